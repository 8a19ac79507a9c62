package engine

import (
	"context"
	"errors"
	"time"

	"github.com/refold-dev/refold/projector/engine/failpoint"
	"github.com/refold-dev/refold/projector/readmodel"
)

// mostFlying is how many commits are under way: one at the server, and one that
// waits for it.
const mostFlying = 2

// errNotSent is the outcome of a commit behind one that failed.
var errNotSent = errors.New("not sent: a commit before it has failed")

// sent is a commit under way; what becomes of it is err.
type sent struct {
	number      uint64
	transaction readmodel.Transaction
	next        readmodel.Checkpoint
	counted     tally // at next
	entities    int
	bytes       int64 // of the entities
	began       time.Time
	err         error
}

// committer commits beside the fold, in order, until one commit fails.
type committer struct {
	partition readmodel.Partition
	in, out   chan *sent
	// bounded is a context for one commit: what is under way when the engine is
	// stopped is finished within its grace.
	bounded func() (context.Context, context.CancelFunc)
}

// startCommitter takes commits from in and gives them back by out.
func startCommitter(ctx context.Context, p readmodel.Partition, grace time.Duration) *committer {
	c := &committer{
		partition: p,
		in:        make(chan *sent, mostFlying),
		out:       make(chan *sent, mostFlying),
		bounded:   func() (context.Context, context.CancelFunc) { return graceful(ctx, grace) },
	}
	go func() {
		defer close(c.out)
		c.run()
	}()
	return c
}

// now commits on the caller's goroutine. Nothing else may be under way.
func (c *committer) now(s *sent) { s.err = c.commit(s.transaction) }

func (c *committer) run() {
	failed := false
	for s := range c.in {
		if s.err = errNotSent; !failed {
			s.err = c.commit(s.transaction)
		}
		var altered *readmodel.AlteredError
		failed = s.err != nil && !errors.As(s.err, &altered)
		c.out <- s
	}
}

func (c *committer) commit(t readmodel.Transaction) error {
	ctx, cancel := c.bounded()
	defer cancel()
	failpoint.Hit(failpoint.BeforeCommit)
	err := c.partition.Commit(ctx, t)
	if err == nil {
		failpoint.Hit(failpoint.CommitReplyLost)
	}
	return err
}

// stop waits for what is under way; its outcome is lost.
func (c *committer) stop() {
	close(c.in)
	for range c.out { // until it has ended
	}
}
