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
	floods  chan int // events that are to come at once
	stopped chan struct{}
	done    chan struct{}
	failed  error // read after done
}

func startProducer(ctx context.Context, w *world, r round) *producer {
	p := &producer{client: w.client, model: w.model, floods: make(chan int, 1), stopped: make(chan struct{}), done: make(chan struct{})}
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
	if err := p.append(ctx, p.model.Next(r.first)); err != nil {
		return err
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
		select {
		case n := <-p.floods:
			if err := p.append(ctx, p.model.Next(n)); err != nil {
				return err
			}
		case <-time.After(15 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
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

// send appends entries, or the first of them. They go over one connection, behind
// one that was taken: a server that is just loading its data refuses some of a
// pipeline and takes the rest, and nothing could be put before that any more.
func (p *producer) send(ctx context.Context, entries []history.Entry) error {
	cn := p.client.Conn()
	defer func() { _ = cn.Close() }()
	if err := cn.XAdd(ctx, add(entries[0])).Err(); err != nil {
		return err
	}
	pipe := cn.Pipeline()
	for _, e := range entries[1:] {
		pipe.XAdd(ctx, add(e))
	}
	_, err := pipe.Exec(ctx)
	return err
}

func add(e history.Entry) *goredis.XAddArgs {
	return &goredis.XAddArgs{Stream: history.Stream, ID: e.ID.String(), Values: e.Values}
}

// last waits for Redis and asks for the stream's last ID.
func (p *producer) last(ctx context.Context) (id history.ID, err error) {
	err = await(ctx, func() (bool, error) {
		info, err := p.client.XInfoStream(ctx, history.Stream).Result()
		switch {
		case err == nil:
			id, err = history.ParseID(info.LastGeneratedID)
			return true, err
		case goredis.HasErrorPrefix(err, "no such key"):
			return true, nil
		}
		return false, nil // away
	}, func() string { return "Redis did not come back" })
	return id, errors.Join(err, ctx.Err())
}
