package engine

import (
	"context"
	"errors"
	"time"

	"github.com/refold-dev/refold/projector/failpoint"
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
	commit  func(readmodel.Transaction) error
	in, out chan *sent
}

// startCommitter takes commits from in and gives them back by out. What is left
// when ctx ends has grace, all of it together.
func startCommitter(ctx context.Context, p readmodel.Partition, grace time.Duration) *committer {
	ctx, cancel := graceful(ctx, grace)
	c := &committer{
		commit: func(t readmodel.Transaction) error { return commit(ctx, p, t) },
		in:     make(chan *sent, mostFlying),
		out:    make(chan *sent, mostFlying),
	}
	go func() {
		defer close(c.out)
		defer cancel()
		c.run()
	}()
	return c
}

func (c *committer) run() {
	failed := false
	for s := range c.in {
		if s.err = errNotSent; !failed {
			c.now(s)
		}
		var altered *readmodel.AlteredError
		failed = s.err != nil && !errors.As(s.err, &altered)
		c.out <- s
	}
}

// now commits on the caller's goroutine. Nothing else may be under way.
func (c *committer) now(s *sent) {
	s.err = c.commit(s.transaction)
	s.transaction = nil // its outcome may be waited for long
}

func commit(ctx context.Context, p readmodel.Partition, t readmodel.Transaction) error {
	failpoint.Hit(failpoint.BeforeCommit)
	err := p.Commit(ctx, t)
	if err == nil {
		failpoint.Hit(failpoint.CommitReplyLost)
	}
	return err
}

// stop waits for what is under way and returns it: whatever came of it, the next
// claim tells.
func (c *committer) stop() (left []*sent) {
	close(c.in)
	for s := range c.out {
		if !errors.Is(s.err, errNotSent) {
			left = append(left, s)
		}
	}
	return left
}
