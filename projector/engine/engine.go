// Package engine is the loop of one partition: claim, check the history, read,
// fold, commit, acknowledge. It alone owns retry, backoff and shutdown. It
// knows a stream, a reducer and a read model by what they promise and nothing
// of how they do it; it parses no manifest and serves nothing.
//
// # Who does what
//
// Run is the loop: it folds, and encodes what is to be committed. Beside it work
// one goroutine that reads the next batch, one that commits, and one that moves
// the consumer group; none outlives Run. What is folded and not yet committed
// lives in the fold alone, so every fault has the same cure: commit what is
// whole or forget it, and go on from the checkpoint that the store tells.
//
// # When it commits
//
// At the tail at once, and all together. Behind, an entity that a thousand
// events change is best written once: what is folded waits, for as long as a
// restart may well take, or until it is too much. It then goes lane by lane, so
// that the server is never held up for long. See readmodel.Checkpoint.
//
// # Faults
//
// Transient ones back off with jitter and go on by themselves. Permanent ones
// are looked at again slowly, so that a fixed Secret heals with no restart and
// an event that cannot be folded is never passed. A successor's claim is
// neither: this process then never claims again, it idles, not ready, until it
// is stopped. Two processes of one partition so never fight. Whether it is one,
// the claim alone tells: a commit is fenced also by a Job that compares or
// publishes, and that is over soon. See bound.go.
//
// A revision that is not published keeps out of others' way: see courtesy.go.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/stream"
)

// Reader reads the partition's stream; *stream.Reader says how. It is used by
// one goroutine at a time and may be used again after Close.
type Reader interface {
	Check(ctx context.Context, position projector.ID, entries int64) (stream.Info, error)
	Read(ctx context.Context, after projector.ID, entries int64, limit stream.Limit, block time.Duration) (*stream.Batch, error)
	Close() error
	// Tolerate sets whether entries may have been deleted before they were read.
	// No other call may be under way.
	Tolerate(deleted bool)
}

// Claimer takes the partition; a readmodel.Store does.
type Claimer interface {
	Claim(ctx context.Context, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint, error)
}

// Acker shows the position to others. It is called beside the Reader, from
// another goroutine.
type Acker interface {
	Ack(ctx context.Context, position projector.ID, entries int64) error
}

// Decoder sets an event's type and document.
type Decoder interface {
	Decode(e *projector.Event) error
}

// Options is what an engine works with. Reader, Acker, Decoder, Reducer, Store
// and Schema must be set; the rest has defaults.
type Options struct {
	Claim  readmodel.Claim // whose partition it is, and where a new revision starts
	Stream string          // for status

	Reader  Reader
	Acker   Acker
	Decoder Decoder
	Reducer projector.Reducer
	Store   Claimer
	Schema  *projector.Schema

	// Until is the last ID that is folded at all; nil for no end.
	Until *projector.ID
	// Replay bounds the folding of a revision that is not published.
	Replay contract.Replay
	// Probe is for a revision that is not published to see whether it is in the
	// way. It may be nil: then it is not polite.
	Probe Probe

	Log     *slog.Logger
	Metrics *Metrics
	Pace    Pace
	// CacheBytes bounds the cached and the uncommitted states. The default is
	// two fifths of Go's memory limit, or 256 MiB where there is none.
	CacheBytes int64
}

// Pace is how long and how much; zero fields have defaults.
type Pace struct {
	RetryFirst  time.Duration // first backoff of a transient fault: 50 ms
	RetryMost   time.Duration // longest backoff: 5 s
	Recheck     time.Duration // between looks at a permanent fault: 15 s
	Wait        time.Duration // between looks at a stream that is not there: 1 s
	Hold        time.Duration // between claims while a Job compares or publishes: 20 ms
	Block       time.Duration // of one read at the tail: 1 s
	Verify      time.Duration // between looks at the ledger and the group while idle: 2 s
	History     time.Duration // between looks at the log's history, at the tail: 5 s
	Ack         time.Duration // between acknowledgements: 200 ms
	Grace       time.Duration // for what is under way when stopped: 3 s
	CommitAge   time.Duration // behind, the longest that an event waits for its commit: 2 s
	BatchEvents int           // events a read: 2,000
	BatchBytes  int           // bytes a read, aimed at: 4 MiB or 1/32 of CacheBytes
	EventBytes  int           // bytes of one event at most: stream.EventShare of Go's memory limit
}

const mebibyte = 1 << 20

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = processMemory() / 100 * cachePercent
	}
	o.Pace = o.Pace.withDefaults(o.CacheBytes)
	return o
}

func (p Pace) withDefaults(cacheBytes int64) Pace {
	orDefault(&p.RetryFirst, 50*time.Millisecond)
	orDefault(&p.RetryMost, 5*time.Second)
	orDefault(&p.Recheck, 15*time.Second)
	orDefault(&p.Wait, time.Second)
	orDefault(&p.Hold, 20*time.Millisecond)
	orDefault(&p.Block, time.Second)
	orDefault(&p.Verify, 2*time.Second)
	orDefault(&p.History, 5*time.Second)
	orDefault(&p.Ack, 200*time.Millisecond)
	orDefault(&p.Grace, 3*time.Second)
	orDefault(&p.CommitAge, 2*time.Second)
	orDefault(&p.BatchEvents, 2_000)
	orDefault(&p.BatchBytes, int(min(4*mebibyte, cacheBytes/32)))
	orDefault(&p.EventBytes, int(processMemory()/stream.EventShare))
	return p
}

func orDefault[T int | time.Duration](v *T, or T) {
	if *v <= 0 {
		*v = or
	}
}

// Engine keeps one partition of a read model.
type Engine struct {
	Options
	status *tracker
	acks   *acker
	fold   *fold
	retry  backoff

	partition  readmodel.Partition // nil: to be claimed
	committer  *committer
	at         readmodel.Checkpoint // committed
	counted    tally                // up to there
	held       int64                // epoch of the last claim, 0 before the first
	unknown    []*sent              // commits whose outcome is not known yet
	refused    int                  // commits that were fenced: by whom, the next claim tells
	verifiedAt time.Time
	lookedAt   time.Time // at the history

	published bool          // as claimed
	until     *projector.ID // as claimed: a Job waits for that
	bound     *projector.ID // the last ID that may be folded: until, or Until
	manners   *manners      // nil when published
	gone      error         // what the history lacks, as first seen

	behind      bool         // more is coming that is worth waiting for
	sentTo      projector.ID // all up to here is committed, under way or dirty
	unsentSince time.Time
	flying      []*sent // in order
	lastSent    uint64

	// Scratch of send.
	changed  []*entry
	entities []readmodel.Entity
}

// New makes an engine; it dials nothing and starts nothing.
func New(o Options) *Engine {
	o = o.withDefaults()
	status := newTracker(o)
	return &Engine{
		Options: o,
		status:  status,
		acks:    newAcker(o, status),
		fold:    newFold(o.Decoder, o.Reducer, o.Schema, o.CacheBytes),
		retry:   backoff{first: o.Pace.RetryFirst, most: o.Pace.RetryMost},
	}
}

// Status is a snapshot, for /statusz. It may be called at any time.
func (e *Engine) Status() contract.Partition { return e.status.snapshot() }

// Ready says whether the partition is claimed and being folded.
func (e *Engine) Ready() bool { return e.status.ready() }

// Alive says whether the loop moves: it is false only when a step that waits
// for nothing outside has taken longer than two minutes.
func (e *Engine) Alive() bool { return e.status.alive() }

// Run folds until ctx ends, then commits what is folded, acknowledges and
// returns nil; the read model is then consistent whatever came before. It
// returns readmodel.ErrFenced when it was stopped after a successor had
// claimed the partition. It is called once.
func (e *Engine) Run(ctx context.Context) error {
	stopAcks := e.acks.start(ctx)
	defer stopAcks()
	defer func() { _ = e.Reader.Close() }()
	defer e.release()
	for ctx.Err() == nil {
		err := e.attempt(ctx)
		switch {
		case errors.Is(err, errSuccessor):
			return e.idleFenced(ctx, err)
		case errors.Is(err, readmodel.ErrFenced):
			sleep(ctx, e.fenced())
		case err != nil && ctx.Err() == nil:
			sleep(ctx, e.failed(err))
		}
	}
	e.status.stopped()
	return nil
}

// attempt works until something fails or ctx ends. After a fault of the source
// the ledger is asked first: a server that was restarted may have lost the tail
// of both, and the position in memory is then not the one to go by.
func (e *Engine) attempt(ctx context.Context) error {
	begin := e.claim
	if e.partition != nil {
		begin = e.verify
	}
	if err := begin(ctx); err != nil {
		return err
	}
	err := e.follow(ctx)
	if errors.Is(err, errStore) || errors.Is(err, readmodel.ErrFenced) {
		return err
	}
	flushed := e.flush() // what is folded is whole: keep it
	if flushed == nil && errors.Is(err, errReached) {
		return e.atBound(ctx)
	}
	return errors.Join(err, flushed)
}

// idleFenced waits for the end: a successor holds the partition.
func (e *Engine) idleFenced(ctx context.Context, err error) error {
	e.acks.forget()
	e.status.fenced()
	e.Log.Error("Stopped folding: a successor holds the partition", "epoch", e.held)
	<-ctx.Done()
	return err
}
