package engine

import (
	"context"
	"errors"
	"time"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/engine/failpoint"
	"github.com/refold-dev/refold/projector/readmodel"
)

// pending is what has been folded since the last commit.
type pending struct {
	next    readmodel.Checkpoint // where the commit leads
	read    int64                // events, skipped ones too
	folded  int64
	skipped contract.Skipped
	since   time.Time // of the first event; the zero time when there is none
}

// any says whether there is anything to commit: an event that was skipped
// moves the position too.
func (p *pending) any() bool { return p.read > 0 }

// commit writes what is folded, if anything is. A commit under way when ctx
// ends is finished.
func (e *Engine) commit(ctx context.Context) error {
	if !e.fold.pending.any() || e.partition == nil {
		return nil
	}
	failpoint.Hit(failpoint.BeforeCommit)
	changed := e.fold.changed()
	sent := e.fold.pending
	began := time.Now()
	if err := e.send(ctx, changed, sent.next); err != nil {
		return e.commitFailed(err, sent)
	}
	failpoint.Hit(failpoint.CommitReplyLost)
	e.Metrics.committed(time.Since(began), len(changed))
	e.at = sent.next
	e.fold.committed()
	failpoint.Hit(failpoint.Committed)
	e.retry.reset()
	e.status.committed(sent)
	e.status.progress()
	e.verifiedAt = time.Now()
	e.acks.to(e.at)
	return nil
}

func (e *Engine) send(ctx context.Context, changed []readmodel.Entity, next readmodel.Checkpoint) error {
	ctx, cancel := graceful(ctx, e.Pace.Grace)
	defer cancel()
	defer e.status.outside()()
	return e.partition.Commit(ctx, changed, next)
}

// commitFailed leaves it to the next claim to tell what became of a commit: its
// reply may be lost, or the fault one that came after it.
func (e *Engine) commitFailed(err error, sent pending) error {
	if errors.Is(err, readmodel.ErrFenced) {
		e.status.rejected()
	} else {
		e.sent = &sent
	}
	return e.storeFailed(err)
}
