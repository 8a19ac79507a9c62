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
	grace     time.Duration
	in, out   chan *sent
}

// startCommitter takes commits from in and gives them back by out. What is under
// way when ctx ends is finished within grace.
func startCommitter(ctx context.Context, p readmodel.Partition, grace time.Duration) *committer {
	c := &committer{p, grace, make(chan *sent, mostFlying), make(chan *sent, mostFlying)}
	go func() {
		defer close(c.out)
		c.run(ctx)
	}()
	return c
}

func (c *committer) run(ctx context.Context) {
	failed := false
	for s := range c.in {
		if s.err = errNotSent; !failed {
			s.err = c.commit(ctx, s.transaction)
		}
		var altered *readmodel.AlteredError
		failed = s.err != nil && !errors.As(s.err, &altered)
		c.out <- s
	}
}

func (c *committer) commit(ctx context.Context, t readmodel.Transaction) error {
	ctx, cancel := graceful(ctx, c.grace)
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
