package redishash

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
)

// errVoid says that a hold ended before its Job was done.
var errVoid = errors.New("the hold has run out, or another Job has taken it")

// arrivalPoll is how often a hold looks how far the revisions are.
const arrivalPoll = 2 * time.Millisecond

// hold is two revisions that stand still, or fold up to one ID and then do. It
// is a lease: it ends by itself.
type hold struct {
	store      *Store
	projection string
	op         operation
	since      time.Time
	from, to   []names
	until      projector.ID
	common     bool // until means something: both fold one log
	ends       map[string]row
}

// begin puts the hold into control: the writers' next commit is fenced, and their
// next claim tells them how far they may go. That ID is known only when both
// stand: until then they stand where they are. admit refuses; nil does not.
func (s *Store) begin(ctx context.Context, projection string, o operation, admit func(c control, now int64) error) (*hold, error) {
	h := &hold{store: s, projection: projection, op: o}
	var c control
	var frozen []*redis.MapStringStringCmd
	err := s.edit(ctx, projection, func(tx *redis.Tx, found control) (change, error) {
		now, err := serverMillis(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := admit(found, now); err != nil {
			return nil, err
		}
		c, h.op.From, h.since = found, found.active, time.Now()
		if h.op.Expires = now + s.lease.Milliseconds(); c.op.swaps() {
			h.op.Expires = 0 // what has begun is only ended
		}
		h.from, h.to = c.names(projection, h.op.From), c.names(projection, h.op.To)
		if _, err := s.spans(ctx, h.both()); err != nil {
			return nil, err // to raise the epoch of a position that is gone would make one
		}
		return func(pipe redis.Pipeliner) {
			pipe.HSet(ctx, controlName(projection), fieldOp, h.op.text())
			frozen = frozen[:0]
			raise(ctx, pipe, h.both())
			for _, n := range h.both() {
				frozen = append(frozen, pipe.HGetAll(ctx, n.position))
			}
		}, nil
	})
	if err != nil {
		return nil, err
	}
	spans, err := spansOf(h.both(), frozen)
	if err == nil {
		err = h.bound(ctx, c, spans)
	}
	if err != nil {
		if !h.op.swaps() {
			h.abandon(ctx)
		}
		return nil, err
	}
	return h, nil
}

func (h *hold) both() []names { return append(h.from[:len(h.from):len(h.from)], h.to...) }

// bound lets the revision that is behind fold up to where the other one is. Of
// several partitions, or of two logs, no ID is common.
func (h *hold) bound(ctx context.Context, c control, spans []span) error {
	if h.op.swaps() {
		return nil
	}
	h.common = len(h.from) == 1 && len(h.to) == 1 && c.source(h.op.From) == c.source(h.op.To)
	if !h.common {
		return nil
	}
	spans[0].add(spans[1])
	h.until = spans[0].most
	h.op.Until, h.ends = h.until.String(), c.ledgers
	return h.edit(ctx, true, func(pipe redis.Pipeliner) {})
}

// edit writes control while the hold is ours and has not run out; renewed, it
// lasts for another lease.
func (h *hold) edit(ctx context.Context, renew bool, write change) error {
	return h.store.edit(ctx, h.projection, func(tx *redis.Tx, c control) (change, error) {
		now, err := h.ours(ctx, tx, c)
		if err != nil {
			return nil, err
		}
		return func(pipe redis.Pipeliner) {
			if renew {
				h.op.Expires = now + h.store.lease.Milliseconds()
				pipe.HSet(ctx, controlName(h.projection), fieldOp, h.op.text())
			}
			write(pipe)
		}, nil
	})
}

// ours returns the server's clock, or errVoid.
func (h *hold) ours(ctx context.Context, tx *redis.Tx, c control) (now int64, err error) {
	if c.op == nil || c.op.Token != h.op.Token {
		return 0, errVoid
	}
	now, err = serverMillis(ctx, tx)
	if err == nil && c.op.expired(now) {
		err = errVoid
	}
	return now, err
}

// renew makes the hold last for another lease, once half of it is over.
func (h *hold) renew(ctx context.Context, last *time.Time) error {
	if time.Since(*last) < h.store.lease/2 {
		return nil
	}
	*last = time.Now()
	return h.edit(ctx, true, func(redis.Pipeliner) {})
}

// arrive waits until all of ledgers have folded up to the hold's ID.
func (h *hold) arrive(ctx context.Context, ledgers []names) error {
	if !h.common {
		return nil
	}
	for deadline := h.since.Add(h.store.lease * 9 / 10); ; {
		spans, err := h.store.spans(ctx, ledgers)
		if err != nil {
			return err
		}
		behind := ""
		for i := range spans {
			if spans[i].least.Compare(h.ends[ledgers[i].ledger].end(h.until)) < 0 {
				behind = ledgers[i].revision
			}
		}
		switch {
		case behind == "":
			return nil
		case time.Now().After(deadline):
			return notComparable(fmt.Sprintf("the revision %s did not come up to where the other one is, within %s", behind, h.store.lease), behind == h.op.From)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(arrivalPoll):
		}
	}
}

// at is the ID that both are at; empty where there is none.
func (h *hold) at() string {
	if !h.common {
		return ""
	}
	for _, n := range h.both() {
		if h.ends[n.ledger].end(h.until) != h.until {
			return ""
		}
	}
	return h.until.String()
}

// release lets the writers go on; errVoid when they have already.
func (h *hold) release(ctx context.Context) error {
	return h.edit(ctx, false, func(pipe redis.Pipeliner) {
		pipe.HDel(ctx, controlName(h.projection), fieldOp)
	})
}

// abandon releases what is still held, at the end of a Job that failed. Where
// that fails too, the lease ends it.
func (h *hold) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = h.release(ctx)
}
