package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/engine"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/readmodel/redishash"
	"github.com/refold-dev/refold/projector/redisconn"
	"github.com/refold-dev/refold/projector/stream"
)

// partition is the only one of a source with one stream.
const partition = 0

// worker is what a contract asks for, put together; nothing dials until used.
type worker struct {
	document contract.Document
	digest   string // hex SHA-256 of the contract's file
	start    projector.ID
	until    *projector.ID // nil: no end
	log      string        // the source's name: its server, a space, its stream
	schema   *projector.Schema
	// newReducer makes a reducer of its own for each who folds: one is called at once
	// for different entities alone.
	newReducer func() (projector.Reducer, error)
	reducer    projector.Reducer // the live engine's
	source     *redis.Client
	target     *redis.Client // the store's
	store      *redishash.Store
}

// newWorker reads the contract, all but the reducer. The worker it returns
// knows what could be read, also beside an error, which is a fault.
func newWorker(path string) (*worker, error) {
	w := &worker{}
	data, err := os.ReadFile(path)
	if err != nil {
		return w, invalid(fmt.Errorf("the contract can't be read: %w", err))
	}
	sum := sha256.Sum256(data)
	w.digest = hex.EncodeToString(sum[:])
	if w.document, err = contract.Decode(data); err == nil {
		err = w.build()
	}
	if err != nil {
		return w, invalid(err)
	}
	return w, nil
}

func (w *worker) build() error {
	d := &w.document
	switch {
	case d.Projection == "" || d.Revision == "":
		return errors.New("the contract names no projection or no revision")
	case d.ReadModel.RedisHash == nil:
		return errors.New("readModel: none is set; this projector keeps redisHash")
	case len(d.ReadModel.Fields) == 0:
		return errors.New("readModel.fields: none is declared")
	case !slices.Contains([]string{contract.FormatFields, contract.FormatJSON, contract.FormatCloudEvents}, d.Source.Format):
		return fmt.Errorf("source.format: %q is none that this projector reads", d.Source.Format)
	case d.ErrorPolicy.OnError != contract.OnErrorHalt:
		return fmt.Errorf("errorPolicy.onError: %q is none that this projector follows", d.ErrorPolicy.OnError)
	}
	if err := w.span(); err != nil {
		return err
	}
	if err := checkReplay(d); err != nil {
		return err
	}
	var err error
	if w.schema, err = projector.NewSchema(d.ReadModel.Fields); err != nil {
		return err
	}
	return w.connect()
}

// span reads where the fold begins and ends.
func (w *worker) span() error {
	s := &w.document.Source
	from, err := projector.ParseStart(s.From)
	if err != nil {
		return fmt.Errorf("source.from: %w", err)
	}
	w.start = from.Prev()
	if s.Until == "" {
		return nil
	}
	until, err := projector.ParseEnd(s.Until)
	switch {
	case err != nil:
		return fmt.Errorf("source.until: %w", err)
	case until.Compare(from) < 0:
		return fmt.Errorf("source.until: %s lies before source.from %s", s.Until, s.From)
	}
	w.until = &until
	return nil
}

// checkReplay looks at what says how a revision comes beside another one.
func checkReplay(d *contract.Document) error {
	target := d.ReadModel.RedisHash
	switch {
	case !slices.Contains([]string{"", contract.CutoverRename, contract.CutoverPointer}, target.Cutover):
		return fmt.Errorf("readModel.redisHash.cutover: %q is none that this projector knows", target.Cutover)
	case !slices.Contains([]string{"", contract.HistoryRequired, contract.HistoryAvailable}, d.Replay.History):
		return fmt.Errorf("replay.history: %q is none that this projector knows", d.Replay.History)
	case d.Replay.MaxEventsPerSecond < 0:
		return errors.New("replay.maxEventsPerSecond: it must not be negative")
	}
	return nil
}

// compile builds the reducer. What is dropped needs none.
func (w *worker) compile(registry projector.Registry) error {
	d := &w.document
	w.newReducer = func() (projector.Reducer, error) {
		return registry.New(projector.Config{Reducer: d.Reducer, Format: d.Source.Format, Schema: w.schema})
	}
	var err error
	if w.reducer, err = w.newReducer(); err != nil {
		return invalid(err)
	}
	return nil
}

func (w *worker) connect() error {
	var err error
	if w.source, err = redisconn.New(redisconn.Source, w.document.Source.Redis); err != nil {
		return err
	}
	where, err := redisconn.Normal(redisconn.Source, w.document.Source.Redis)
	if err != nil {
		return err
	}
	w.log = where + " " + w.document.Source.Stream
	target := w.document.ReadModel.RedisHash
	client, err := redisconn.New(redisconn.ReadModel, target.Redis)
	if err != nil {
		return err
	}
	w.target = client
	w.store = redishash.New(client, w.schema, target.KeyPrefix, target.Cutover)
	return nil
}

// RoundTrip implements engine.Probe.
func (w *worker) RoundTrip(ctx context.Context) error {
	return errors.Join(w.source.Ping(ctx).Err(), w.target.Ping(ctx).Err())
}

// Alone implements engine.Probe, by how many commands the servers have worked off
// in a moment in which this process sends two.
func (w *worker) Alone(ctx context.Context) bool {
	const moment, ours = 2 * time.Millisecond, 2 // this question, and maybe an acknowledgement
	for _, client := range []*redis.Client{w.source, w.target} {
		before, ok := worked(ctx, client)
		if !ok {
			return false
		}
		time.Sleep(moment)
		if after, ok := worked(ctx, client); !ok || after-before > ours {
			return false
		}
		if w.document.Source.Redis.URL == w.document.ReadModel.RedisHash.Redis.URL {
			break
		}
	}
	return true
}

// worked is how many commands a server has worked off; false where it does not say.
func worked(ctx context.Context, client *redis.Client) (commands int64, ok bool) {
	const name = "total_commands_processed:"
	info, err := client.Info(ctx, "stats").Result()
	if err != nil {
		return 0, false
	}
	_, rest, _ := strings.Cut(info, name)
	digits, _, _ := strings.Cut(rest, "\r")
	commands, err = strconv.ParseInt(digits, 10, 64)
	return commands, err == nil
}

func (w *worker) close() {
	if w.source != nil {
		_ = w.source.Close()
	}
	if w.store != nil {
		_ = w.store.Close()
	}
}

// newReader makes a reader of its own: each is used by one goroutine.
func (w *worker) newReader() *stream.Reader {
	return w.readerOf(w.document.Source, w.document.Revision)
}

func (w *worker) readerOf(s contract.Source, revision string) *stream.Reader {
	return stream.NewReader(w.source, s, fmt.Sprintf("refold:%s:%s", w.document.Projection, revision))
}

func (w *worker) engine(o options, env surroundings) *engine.Engine {
	d := &w.document
	return engine.New(engine.Options{
		Claim: readmodel.Claim{
			Projection: d.Projection,
			UID:        d.UID,
			Revision:   d.Revision,
			Partition:  partition,
			Start:      w.start,
			Source:     w.log,
		},
		Until:      w.until,
		Replay:     d.Replay,
		Probe:      w,
		Stream:     d.Source.Stream,
		Reader:     w.newReader(),
		Acker:      w.newReader(),
		Decoder:    stream.NewDecoder(d.Source),
		Reducer:    w.reducer,
		Store:      w.store,
		Schema:     w.schema,
		Log:        env.log,
		Metrics:    engine.NewMetrics(prometheus.WrapRegistererWith(prometheus.Labels{"stream": d.Source.Stream}, env.metrics)),
		Pace:       engine.Pace{Recheck: o.recheck},
		CacheBytes: o.cacheMiB << 20,
	})
}

func invalid(err error) error {
	return &fault.Error{
		Reason:    contract.ReasonInvalidContract,
		Message:   err.Error(),
		Remedy:    "correct the Projection; where the message does not speak of it, use the projector image that belongs to the operator",
		Permanent: true,
		Err:       err,
	}
}
