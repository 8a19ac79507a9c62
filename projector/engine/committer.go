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
	began       time.Time
	err         error
}

// committer commits beside the fold, in order, until one commit fails.
type committer struct {
	in, out chan *sent
	commit  func(readmodel.Transaction) error
}

// startCommitter takes commits from in and gives them back by out. What is left
// when ctx ends has grace, all of it together.
func startCommitter(ctx context.Context, p readmodel.Partition, grace time.Duration) *committer {
	ctx, cancel := graceful(ctx, grace)
	c := &committer{
		in:     make(chan *sent, mostFlying),
		out:    make(chan *sent, mostFlying),
		commit: func(t readmodel.Transaction) error { return commit(ctx, p, t) },
	}
	go func() {
		defer cancel()
		defer close(c.out)
		c.run()
	}()
	return c
}

func commit(ctx context.Context, p readmodel.Partition, t readmodel.Transaction) error {
	failpoint.Hit(failpoint.BeforeCommit)
	err := p.Commit(ctx, t)
	if err == nil {
		failpoint.Hit(failpoint.CommitReplyLost)
	}
	return err
}

// now commits on the caller's goroutine. Nothing else may be under way.
func (c *committer) now(s *sent) { s.commit(c.commit) }

func (c *committer) run() {
	failed := false
	for s := range c.in {
		if s.err = errNotSent; !failed {
			s.commit(c.commit)
		}
		var altered *readmodel.AlteredError
		failed = s.err != nil && !errors.As(s.err, &altered)
		c.out <- s
	}
}

func (s *sent) commit(commit func(readmodel.Transaction) error) {
	s.err = commit(s.transaction)
	s.transaction = nil // its outcome may be waited for long
}

// stop waits for what is under way and returns it: whatever came of it, the next
// claim tells.
func (c *committer) stop() (left []*sent) {
	close(c.in)
	for s := range c.out {
		left = append(left, s)
	}
	return left
}
