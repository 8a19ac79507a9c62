package engine

import (
	"errors"
	"time"

	"github.com/refold-dev/refold/projector/failpoint"
	"github.com/refold-dev/refold/projector/readmodel"
)

// Bounds on what is folded and not sent, and on what the server does in one go.
const (
	mostDirty      = 2048 * readmodel.Lanes // entities: a lane is then some milliseconds of the server's time
	mostDirtyBytes = 64 * mebibyte
	dirtyShare     = 3    // of the cache
	mostTogether   = 2048 // entities of a commit of all lanes
	togetherShare  = 4    // of mostDirtyBytes
	fewEntities    = 64   // of a commit that is not worth another goroutine
)

// everyLane stands for a commit of all of them.
const everyLane = -1

// sendDue sends what is due, and waits for what is under way only where nothing
// more may be folded before.
func (e *Engine) sendDue() error {
	for {
		lane, due := e.due()
		switch {
		case !due:
			return nil
		case e.maySend():
			if err := e.send(lane); err != nil {
				return err
			}
		case !e.full():
			return nil
		default:
			if err := e.awaitCommit(); err != nil {
				return err
			}
		}
	}
}

// due says which commit it is time for. At the tail everything is sent at once,
// together if it is little. Behind, more events may come for an entity before it
// is written: each lane waits until it is old, or all together are too much.
func (e *Engine) due() (lane int, due bool) {
	switch {
	case !e.unsent():
		return 0, false
	case e.together():
		return everyLane, !e.behind || e.overdue()
	default:
		return e.fold.lanes.oldest(), !e.behind || e.full() || e.overdue()
	}
}

// together says whether all that is folded is little enough for one commit.
func (e *Engine) together() bool {
	l := &e.fold.lanes
	return l.dirty <= e.mostTogether() && l.bytes <= e.mostDirtyBytes()/togetherShare
}

// overdueAt is when the next commit is due though more may come for it.
func (e *Engine) overdueAt() time.Time {
	since := e.unsentSince
	if l := &e.fold.lanes; !e.together() {
		since = l.each[l.oldest()].since
	}
	return since.Add(e.Pace.CommitAge)
}

func (e *Engine) overdue() bool { return !time.Now().Before(e.overdueAt()) }

// unsent says whether something is folded that no commit is under way for: an
// event that was skipped moves the position too.
func (e *Engine) unsent() bool {
	return e.fold.lanes.dirty > 0 || e.fold.at.Position != e.sentTo
}

// full says that nothing more may be folded before something is sent.
func (e *Engine) full() bool {
	return e.fold.lanes.dirty >= e.mostDirty() || e.fold.lanes.bytes >= e.mostDirtyBytes()
}

func (e *Engine) mostDirty() int {
	if e.polite() {
		return politeDirty
	}
	return mostDirty
}

func (e *Engine) mostTogether() int {
	if e.polite() {
		return politeTogether
	}
	return mostTogether
}

func (e *Engine) mostDirtyBytes() int64 { return min(mostDirtyBytes, e.CacheBytes/dirtyShare) }

// maySend keeps few commits under way; of small ones at the tail one, so that
// what comes meanwhile goes together.
func (e *Engine) maySend() bool {
	if e.behind || e.fold.lanes.dirty > e.mostTogether() {
		return len(e.flying) < mostFlying
	}
	return len(e.flying) == 0
}

// send starts a commit. A small one at the tail is made at once: to hand it to
// another goroutine would take as long as to make it.
func (e *Engine) send(lane int) error {
	f := e.fold
	first, last := lane, lane
	if lane == everyLane {
		first, last = 0, readmodel.Lanes-1
	}
	e.changed = e.changed[:0]
	dirtyBytes := f.lanes.bytes
	for i := first; i <= last; i++ {
		e.changed = f.lanes.take(i, &f.at, e.changed)
	}
	next, counted := f.lanes.checkpoint(e.at.Epoch)
	e.lastSent++
	s := &sent{number: e.lastSent, next: next, counted: counted, began: time.Now()}
	s.entities, s.bytes = len(e.changed), dirtyBytes-f.lanes.bytes
	s.transaction = e.prepare(s)
	e.sentTo = f.at.Position
	if lane == everyLane {
		e.unsentSince = s.began // what comes now
	}
	e.flying = append(e.flying, s)
	if !e.behind && len(e.flying) == 1 && s.entities <= fewEntities {
		defer e.status.outside()()
		e.committer.now(s)
		return e.committed(s)
	}
	e.committer.in <- s
	return nil
}

// prepare encodes what has changed, and takes it for stored.
func (e *Engine) prepare(s *sent) readmodel.Transaction {
	e.entities = e.entities[:0]
	for _, t := range e.changed {
		e.fold.warmth += t.warm()
		e.entities = append(e.entities, readmodel.Entity{Key: t.key, State: t.state})
	}
	transaction := e.partition.Prepare(e.entities, s.next)
	for _, t := range e.changed {
		t.state.MarkStored()
		t.sent = s.number
	}
	clear(e.changed) // what is forgotten is not to be held
	clear(e.entities)
	return transaction
}

// awaitCommit waits for the first commit that is under way.
func (e *Engine) awaitCommit() error {
	defer e.status.outside()()
	return e.committed(<-e.committer.out)
}

// committed takes over a commit's outcome.
func (e *Engine) committed(s *sent) error {
	e.flying = e.flying[1:]
	var altered *readmodel.AlteredError
	if s.err != nil && !errors.As(s.err, &altered) {
		return e.commitFailed(s)
	}
	failpoint.Hit(failpoint.Committed)
	e.Metrics.committed(s)
	e.at, e.counted = s.next, s.counted
	e.fold.cache.settled = s.number
	if altered != nil {
		e.fold.doubt(altered.Keys) // while they are sure to be in memory
	}
	e.fold.cache.shrink()
	e.retry.reset()
	e.status.committed(s.next, s.counted)
	e.show()
	e.status.progress()
	e.verifiedAt = time.Now()
	e.acks.to(e.at)
	if altered != nil {
		return altered.Err
	}
	return nil
}

// commitFailed leaves it to the next claim to tell what became of a commit: its
// reply may be lost, or the fault one that came after it.
func (e *Engine) commitFailed(s *sent) error {
	if errors.Is(s.err, readmodel.ErrFenced) {
		e.refused++
	} else {
		e.unknown = append(e.unknown, s)
	}
	return e.storeFailed(s.err)
}

// flush commits all that is folded and waits for it. Commits under way when the
// engine is stopped are finished. An error that leaves the partition claimed
// leaves nothing unsent.
func (e *Engine) flush() (failed error) {
	e.behind = false
	for e.partition != nil {
		err := e.sendDue()
		if err == nil && len(e.flying) == 0 {
			return failed
		}
		if err == nil {
			err = e.awaitCommit()
		}
		failed = errors.Join(failed, err)
	}
	return failed
}
