package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/chaos/history"
	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector/contract"
)

// world is one history's: a server, two proxies before it, and the projectors.
type world struct {
	dir      string
	binaries binaries
	contract string // the file
	model    *history.History
	tally    *tally

	server         *redis.Server
	client         *goredis.Client // to the server itself
	source, target *link
	strangers      map[string]string // keys that are somebody else's, as they were

	floods    chan<- int // to the producer
	current   *projector // the one that is to fold
	processes []*projector
	started   int
	heard     int   // processes of which all was judged that they have said
	settled   int64 // events that were judged at the tail
}

// newWorld leaves what it has begun to close, also beside an error.
func newWorld(ctx context.Context, dir string, b binaries, model *history.History, t *tally) (*world, error) {
	w := &world{dir: dir, binaries: b, model: model, tally: t, contract: filepath.Join(dir, contract.FileName)}
	data := filepath.Join(dir, "redis")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return w, err
	}
	var err error
	if w.server, err = redis.Launch(data, redis.AOF()); err != nil {
		return w, fmt.Errorf("start Redis: %w", err)
	}
	w.client = goredis.NewClient(&goredis.Options{Addr: w.server.Addr(), MaxRetries: -1, ReadTimeout: patience})
	if w.source, err = newLink("source", w.server.Addr()); err != nil {
		return w, err
	}
	if w.target, err = newLink("target", w.server.Addr()); err != nil {
		return w, err
	}
	if err := w.plantStrangers(ctx); err != nil {
		return w, err
	}
	return w, w.writeContract()
}

func (w *world) writeContract() error {
	d := w.model.Contract()
	d.Source.Redis.URL = "redis://" + w.source.address
	d.ReadModel.RedisHash.Redis.URL = "redis://" + w.target.address
	document, err := contract.Encode(d)
	if err != nil {
		return err
	}
	return os.WriteFile(w.contract, document, 0o600)
}

// plantStrangers puts keys beside the projection's, some of them close by.
func (w *world) plantStrangers(ctx context.Context) error {
	w.strangers = map[string]string{}
	for key, plant := range map[string][]any{
		"e":                           {"set", "e", "nobody's"},
		history.Prefix + "stranger":   {"hset", history.Prefix + "stranger", history.Counter, "1"},
		"~r1:" + history.Prefix + "0": {"rpush", "~r1:" + history.Prefix + "0", "x"},
		controlKey + "-other":         {"hset", controlKey + "-other", "id", "0-0"},
		"refold:{chaos/other}:r1:0":   {"hset", "refold:{chaos/other}:r1:0", "id", "1-1", "epoch", "9"},
	} {
		if err := w.client.Do(ctx, plant...).Err(); err != nil {
			return err
		}
		dump, err := w.client.Dump(ctx, key).Result()
		if err != nil {
			return err
		}
		w.strangers[key] = dump
	}
	return nil
}

// close ends everything; the files stay.
func (w *world) close() {
	for _, p := range w.processes {
		_ = p.kill()
	}
	for _, l := range []*link{w.source, w.target} {
		if l != nil {
			l.close()
		}
	}
	if w.client != nil {
		_ = w.client.Close()
	}
	if w.server != nil {
		w.server.Kill()
	}
}

// leave writes down what is known of a failure.
func (w *world) leave(ctx context.Context, failure error) {
	text := failure.Error() + "\n"
	if w.client != nil {
		fields, err := w.client.HGetAll(ctx, positionKey).Result()
		text += fmt.Sprintf("\nledger: %q %v\n", fields, err)
	}
	_ = os.WriteFile(filepath.Join(w.dir, "failure.txt"), []byte(text), 0o600)
}

// replace starts a projector as the one that folds.
func (w *world) replace(s setting) error {
	var err error
	w.current, err = w.start(s)
	return err
}

// healed opens both proxies anew.
func (w *world) heal(side []func(*world) *link) error {
	var all error
	for _, of := range side {
		of(w).close()
		all = errors.Join(all, of(w).open())
	}
	return all
}

// sides are which connections a fault is on.
var sides = [][]func(*world) *link{
	{(*world).sourceLink}, {(*world).targetLink}, {(*world).sourceLink, (*world).targetLink},
}

func (w *world) sourceLink() *link { return w.source }
func (w *world) targetLink() *link { return w.target }
