package engine

import (
	"context"
	"errors"
	"sort"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/stream"
)

// A partition may be bound to fold no further than an ID: for good, by its
// contract, and for a moment, by a Job that compares or publishes revisions. The
// Job raises the epoch, so the next commit is fenced; the claim that follows
// tells up to where to fold, and then to wait. The Job may lose its lease, die or
// end at any time, so who stands still claims again and again, until it is told
// to go on.

// errReached says that the partition is folded up to its bound, or as far as the
// log goes.
var errReached = errors.New("folded as far as it may be")

// elsewhere is how many times as seldom a partition claims again that has not
// come to where the Job waits for it: the log does not hold what it lacks.
const elsewhere = 10

// stand takes over what a claim says of how to go on.
func (e *Engine) stand(at readmodel.Checkpoint) {
	e.published, e.until, e.bound = at.Published, at.Until, e.Until
	if e.until != nil && (e.Until == nil || e.until.Compare(*e.Until) < 0) {
		e.bound = e.until
	}
	switch {
	case e.published:
		e.manners = nil
	case e.manners == nil:
		e.manners = newManners(e.Probe, e.Replay.MaxEventsPerSecond)
	}
}

// final says whether nothing is folded beyond the bound, ever.
func (e *Engine) final() bool { return e.bound == e.Until }

// readingPace is how to read, as long as the claim holds.
func (e *Engine) readingPace() Pace {
	p := e.Pace
	if e.until != nil {
		p.Block = min(p.Block, elsewhere*p.Hold)
	}
	if e.manners != nil {
		e.manners.slow(&p)
	}
	return p
}

// cut takes what lies beyond the bound off a batch, and says whether nothing up
// to the bound can come any more.
func (e *Engine) cut(b *stream.Batch) (reached bool) {
	reached = b.Last.Compare(*e.bound) >= 0 || len(b.Events) == 0 && b.Tail.Compare(*e.bound) >= 0
	n := sort.Search(len(b.Events), func(i int) bool { return b.Events[i].ID.Compare(*e.bound) > 0 })
	if b.Entries >= 0 {
		b.Entries -= int64(len(b.Events) - n)
	}
	b.Events = b.Events[:n]
	return reached
}

// beyond says of a fault of a read that it is about an event that is not to be
// folded: all up to the bound was read before.
func (e *Engine) beyond(err error) bool {
	f := fault.As(err)
	if f == nil || f.EventID == "" || e.bound == nil {
		return false
	}
	id, err := projector.ParseID(f.EventID)
	return err == nil && id.Compare(*e.bound) > 0
}

// pass moves to a final bound, which need not be an entry's ID: the ledger then
// tells that all is folded, also when the log is gone.
func (e *Engine) pass() {
	if e.final() && e.fold.at.Position.Compare(*e.bound) < 0 {
		e.fold.at.Position = *e.bound
	}
}

// atBound goes on from a bound, when all up to there is committed.
func (e *Engine) atBound(ctx context.Context) error {
	if e.until == nil {
		return e.complete(ctx)
	}
	e.status.holding()
	there := e.at.Position.Compare(*e.until) >= 0
	e.release()
	if !there {
		sleep(ctx, elsewhere*e.Pace.Hold)
	}
	return nil
}

// complete idles, with all in the read model that is ever to be there, until the
// ledger is not as it was left.
func (e *Engine) complete(ctx context.Context) error {
	e.retry.reset()
	e.status.completed()
	e.acks.to(e.at)
	e.Log.Info("Completed: all up to source.until is folded", "position", e.at.Position.String(), "events", e.at.Events)
	for e.wait(ctx, e.Pace.Verify); ctx.Err() == nil; e.wait(ctx, e.Pace.Verify) {
		if err := e.verify(ctx); err != nil {
			return err
		}
		e.acks.again()
	}
	return nil
}
