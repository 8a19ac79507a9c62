package engine

import (
	"context"
	"slices"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/courtesy"
	"github.com/refold-dev/refold/projector/failpoint"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/stream"
)

// nearTail is how many entries behind the tail still count as being there.
const nearTail = 1000

// follow checks the history and folds what is read, until something fails or
// ctx ends.
func (e *Engine) follow(ctx context.Context) error {
	if e.bound != nil && e.at.Position.Compare(*e.bound) >= 0 {
		return errReached // whatever has become of the log since
	}
	if err := e.check(ctx); err != nil {
		return err
	}
	e.acks.to(e.at)
	reads, stop := startReading(ctx, e.Reader, e.readingPace(), e.at.Position, e.at.Entries)
	defer stop()
	for ctx.Err() == nil {
		r := e.next(ctx, reads)
		switch {
		case r.err != nil && e.beyond(r.err):
			e.pass()
			return errReached
		case r.err != nil:
			return r.err
		}
		reads.taken(r.batch)
		reads.limit = e.readingPace().limit()
		if e.isBehind(r.batch) {
			reads.ahead()
		}
		if err := e.take(ctx, r.batch); err != nil {
			return err
		}
		if err := e.lookBack(ctx, reads); err != nil {
			return err
		}
	}
	return nil
}

// lookBack sees, at the tail, whether the log still has its beginning: a replay
// must know before it begins.
func (e *Engine) lookBack(ctx context.Context, reads *reading) error {
	if reads.asked || len(e.flying) > 0 || e.unsent() || time.Since(e.lookedAt) < e.Pace.History {
		return nil
	}
	defer e.status.outside()()
	info, err := e.Reader.Check(ctx, e.at.Position, e.at.Entries)
	if err != nil {
		return err
	}
	e.lookedAt = time.Now()
	e.status.checked(info)
	return nil
}

// check compares the stream with the position.
func (e *Engine) check(ctx context.Context) error {
	defer e.status.outside()()
	e.Reader.Tolerate(e.takesWhatThereIs())
	info, err := e.Reader.Check(ctx, e.at.Position, e.at.Entries)
	e.lookedAt = time.Now()
	e.status.checked(info)
	if info.History == contract.HistoryIncomplete && !e.published && e.fresh() {
		info, err = e.beginIncomplete(ctx, info, err)
	}
	if err == nil {
		err = e.checkLanes(ctx)
	}
	if err != nil {
		return err
	}
	if info.Entries >= 0 {
		e.at.Entries = info.Entries
	}
	e.startFold()
	e.status.resumed()
	e.show()
	return nil
}

// checkLanes compares the stream with the lane that is the furthest: the read
// model has effects up to there, and a log that lost its tail may end before.
func (e *Engine) checkLanes(ctx context.Context) error {
	if e.at.Lanes == nil {
		return nil
	}
	furthest := slices.MaxFunc(e.at.Lanes[:], func(a, b readmodel.Mark) int { return a.Position.Compare(b.Position) })
	_, err := e.Reader.Check(ctx, furthest.Position, furthest.Entries)
	return err
}

// next waits for the next batch, and sees to the commits meanwhile.
func (e *Engine) next(ctx context.Context, reads *reading) read {
	defer e.status.outside()()
	if !reads.asked && len(e.flying) == 0 && !e.unsent() {
		return reads.now(ctx)
	}
	for reads.ahead(); ; {
		select {
		case r := <-reads.out: // first what can be folded
			return r
		default:
		}
		var err error
		select {
		case r := <-reads.out:
			return r
		case <-ctx.Done():
			return read{err: ctx.Err()}
		case s := <-e.committer.out:
			err = e.committed(s)
		case <-e.nextDue():
		}
		if err == nil {
			err = e.sendDue()
		}
		if err != nil {
			return read{err: err}
		}
	}
}

// nextDue is when something that waits becomes due.
func (e *Engine) nextDue() <-chan time.Time {
	if !e.unsent() || !e.behind {
		return nil // sent already, or when what is under way has landed
	}
	return time.After(max(time.Millisecond, time.Until(e.overdueAt())))
}

// take folds a batch, and sends what is due.
func (e *Engine) take(ctx context.Context, b *stream.Batch) error {
	defer b.Release()
	failpoint.Hit(failpoint.Read)
	reached := e.bound != nil && e.cut(b)
	e.status.read(b)
	if len(b.Events) > 0 {
		if err := e.foldBatch(ctx, b); err != nil {
			return err
		}
	}
	switch {
	case reached:
		e.pass()
		return errReached
	case len(b.Events) == 0:
		return e.idle(ctx)
	}
	if err := e.sendDue(); err != nil || e.manners == nil {
		return err
	}
	return e.giveWay(ctx, len(b.Events))
}

func (e *Engine) foldBatch(ctx context.Context, b *stream.Batch) error {
	if !e.unsent() {
		e.unsentSince = time.Now()
	}
	e.behind = true
	if err := e.foldAll(ctx, b.Events); err != nil {
		return err
	}
	e.fold.at.Entries = b.Entries
	e.show()
	e.behind = e.isBehind(b)
	return nil
}

// foldAll folds events. It ends early when ctx does.
func (e *Engine) foldAll(ctx context.Context, events []projector.Event) error {
	for len(events) > 0 {
		e.status.beat()
		n, err := e.fold.some(ctx, events, e.load)
		if err != nil {
			return err
		}
		failpoint.Hit(failpoint.Folded)
		events = events[n:]
		if err := e.landed(); err != nil {
			return err
		}
		if err := e.sendDue(); err != nil {
			return err
		}
		if len(events) > 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// landed takes over what was committed meanwhile.
func (e *Engine) landed() error {
	for {
		select {
		case s := <-e.committer.out:
			if err := e.committed(s); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// isBehind says whether more is coming that is worth waiting for.
func (e *Engine) isBehind(b *stream.Batch) bool {
	switch {
	case b.Last.Compare(b.Tail) >= 0:
		return false
	case b.Entries >= 0 && b.TailEntries >= 0:
		return b.TailEntries-b.Entries > nearTail
	}
	if e.polite() {
		return len(b.Events) >= courtesy.Events
	}
	return len(b.Events) >= nearTail
}

// idle is for an empty read at the tail.
func (e *Engine) idle(ctx context.Context) error {
	if err := e.flush(); err != nil {
		return err
	}
	if time.Since(e.verifiedAt) >= e.Pace.Verify {
		if err := e.verify(ctx); err != nil {
			return err
		}
		e.verifiedAt = time.Now()
		e.acks.again() // the group may have been destroyed
	}
	e.retry.reset()
	e.status.progress()
	if e.until != nil {
		return errReached // as far as it comes for now: the claim tells whether that is still wanted
	}
	return nil
}

// load is the fold's way to the store.
func (e *Engine) load(ctx context.Context, keys []string, states []*projector.State) error {
	ctx, cancel := graceful(ctx, e.Pace.Grace)
	defer cancel()
	defer e.status.outside()()
	if err := e.partition.Load(ctx, keys, states); err != nil {
		return e.storeFailed(err)
	}
	return nil
}
