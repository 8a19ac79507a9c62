package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/failpoint"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
)

// errStore marks an error of the store: what is cached and not committed is
// void, and the partition is claimed again.
var errStore = errors.New("read model")

// errSuccessor marks an ErrFenced that the claim itself has said: the partition
// is another process', or the revision is gone.
var errSuccessor = errors.New("not to be claimed again")

// claim takes the partition and goes on from its checkpoint.
func (e *Engine) claim(ctx context.Context) error {
	c := e.Claim
	c.Held, c.Until = e.held, e.Until
	claiming, cancel := graceful(ctx, e.Pace.Grace)
	defer cancel()
	defer e.status.outside()()
	partition, at, err := e.Store.Claim(claiming, c)
	if errors.Is(err, readmodel.ErrFenced) {
		e.status.rejected(e.refused)
		err = fmt.Errorf("%w: %w", errSuccessor, err)
	}
	if err != nil {
		return e.storeFailed(err)
	}
	e.partition, e.held, e.refused = partition, at.Epoch, 0
	e.stand(at)
	e.committer = startCommitter(ctx, partition, e.Pace.Grace)
	e.settleUnknown(at)
	e.at = at
	e.fold.forget(at.Empty)
	e.startFold() // at once: a flush must find nothing unsent, also if the source is away
	e.status.claimed(at)
	e.sayClaimed(ctx, at)
	failpoint.Hit(failpoint.Claimed)
	return nil
}

// sayClaimed logs a claim, and one by which a Job lets it go on no more than that.
func (e *Engine) sayClaimed(ctx context.Context, at readmodel.Checkpoint) {
	level := slog.LevelInfo
	if at.Until != nil {
		level = slog.LevelDebug
	}
	e.Log.Log(ctx, level, "Claimed the partition", "epoch", at.Epoch, "position", at.Position.String(),
		"events", at.Events, "published", at.Published)
}

// fenced says how long to wait before the claim that tells whether a successor
// is there: not at all, unless no commit has landed since the last time.
func (e *Engine) fenced() time.Duration {
	again := e.retry.last > 0
	if wait := e.retry.next(); again {
		return wait
	}
	return 0
}

// startFold lets the fold go on from what is committed.
func (e *Engine) startFold() {
	e.fold.start(e.at, e.counted)
	e.sentTo = e.at.Position
}

// settleUnknown counts commits whose outcome was not seen, now that the ledger
// tells.
func (e *Engine) settleUnknown(at readmodel.Checkpoint) {
	for _, s := range e.unknown {
		if sameProgress(s.next, at) {
			e.counted = s.counted
			e.status.committed(at, e.counted)
		}
	}
	e.unknown = nil
}

// sameProgress compares two checkpoints, whoever holds the partition.
func sameProgress(a, b readmodel.Checkpoint) bool {
	if a.Mark != b.Mark || (a.Lanes == nil) != (b.Lanes == nil) {
		return false
	}
	return a.Lanes == nil || *a.Lanes == *b.Lanes
}

// storeFailed makes err one that leads to a new claim.
func (e *Engine) storeFailed(err error) error {
	e.release()
	e.fold.forget(false)
	if errors.Is(err, readmodel.ErrFenced) {
		return err
	}
	if fault.As(err) == nil {
		err = &fault.Error{
			Reason:  contract.ReasonReadModelUnreachable,
			Message: "the read model did not answer",
			Remedy:  "nothing: the partition is claimed again and its position read; see that the server is up and reachable",
			Err:     err,
		}
	}
	return fmt.Errorf("%w: %w", errStore, err)
}

// release lets go of the partition.
func (e *Engine) release() {
	if e.committer != nil {
		left := e.committer.stop()
		e.sayAltered(left)
		e.unknown = append(e.unknown, left...)
	}
	e.partition, e.committer, e.flying = nil, nil, nil
}

// sayAltered logs what commits have found that nobody waits for any more.
func (e *Engine) sayAltered(left []*sent) {
	for _, s := range left {
		var altered *readmodel.AlteredError
		if errors.As(s.err, &altered) {
			e.Log.Warn("Entities were altered by something else", "error", altered.Error())
		}
	}
}

// verify asks the ledger, while nothing else does, whether it still says what
// was written there.
func (e *Engine) verify(ctx context.Context) error {
	ctx, cancel := graceful(ctx, e.Pace.Grace)
	defer cancel()
	defer e.status.outside()()
	at, err := e.partition.Position(ctx)
	switch {
	case err != nil:
		return e.storeFailed(err)
	case at.Epoch > e.at.Epoch:
		return e.storeFailed(readmodel.ErrFenced)
	case at.Position != e.at.Position || at.Epoch != e.at.Epoch:
		return e.storeFailed(&fault.Error{
			Reason:  contract.ReasonNotOwned,
			Message: "the ledger was changed by something other than Refold",
			Remedy:  "nothing: the partition is claimed again; find out what changes the read model's ledger",
		})
	}
	return nil
}
