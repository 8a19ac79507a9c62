package main

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/chaos/history"
)

// producer appends the history to the stream, beside the faults: bursts, and
// between them a trickle, so that every projector always has something to do.
// It never loses an entry: each has an ID of its own, and the stream says which
// it has.
type producer struct {
	client  *goredis.Client
	model   *history.History
	stopped chan struct{}
	done    chan struct{}
	failed  error // read after done
}

func startProducer(ctx context.Context, w *world, r round) *producer {
	p := &producer{client: w.client, model: w.model, stopped: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.failed = p.run(ctx, r)
	}()
	return p
}

// stop ends it between two of them.
func (p *producer) stop() error {
	close(p.stopped)
	<-p.done
	return p.failed
}

func (p *producer) run(ctx context.Context, r round) error {
	if r.large {
		if err := p.append(ctx, p.model.Large(64<<20, 100_000)); err != nil {
			return err
		}
	}
	for i := 0; !p.over(); i++ {
		if err := p.append(ctx, p.model.Next(r.bursts[i%len(r.bursts)])); err != nil {
			return err
		}
		if err := p.trickle(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *producer) over() bool {
	select {
	case <-p.stopped:
		return true
	default:
		return false
	}
}

// trickle appends a few events at a time, and a few times.
func (p *producer) trickle(ctx context.Context) error {
	const times = 20
	for i := range times {
		if p.over() {
			return nil
		}
		if err := p.append(ctx, p.model.Next(1+i*7%40)); err != nil {
			return err
		}
		if err := pause(ctx, 15*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// append sends entries until the stream has them all.
func (p *producer) append(ctx context.Context, entries []history.Entry) error {
	const most = 500
	for len(entries) > 0 {
		n := min(len(entries), most)
		if err := p.send(ctx, entries[:n]); err == nil {
			entries = entries[n:]
			continue
		}
		last, err := p.last(ctx)
		if err != nil {
			return err
		}
		for len(entries) > 0 && entries[0].ID.Compare(last) <= 0 {
			entries = entries[1:]
		}
	}
	return nil
}

func (p *producer) send(ctx context.Context, entries []history.Entry) error {
	pipe := p.client.Pipeline()
	for _, e := range entries {
		pipe.XAdd(ctx, &goredis.XAddArgs{Stream: history.Stream, ID: e.ID.String(), Values: e.Values})
	}
	_, err := pipe.Exec(ctx)
	return err
}

// last waits for Redis and asks for the stream's last ID.
func (p *producer) last(ctx context.Context) (id history.ID, err error) {
	err = await(ctx, func() (bool, error) {
		info, err := p.client.XInfoStream(ctx, history.Stream).Result()
		switch {
		case err == nil:
			id, err = history.ParseID(info.LastGeneratedID)
			return true, err
		case goredis.HasErrorPrefix(err, "ERR no such key"):
			return true, nil
		}
		return false, nil // away
	}, func() string { return "Redis did not come back" })
	return id, errors.Join(err, ctx.Err())
}
