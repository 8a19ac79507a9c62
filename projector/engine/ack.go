package engine

import (
	"context"
	"log/slog"
	"sync"

	"github.com/refold-dev/refold/projector/failpoint"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
)

// acker shows the committed position to others, coalesced. What it cannot do
// never holds up the fold: a lost acknowledgement is repaired by the next.
type acker struct {
	target Acker
	pace   Pace
	log    *slog.Logger
	status *tracker
	retry  backoff

	wake chan struct{}

	mu        sync.Mutex
	want      readmodel.Checkpoint
	due       bool // want is not acknowledged yet
	forgotten bool // nothing is due any more
}

func newAcker(o Options, status *tracker) *acker {
	return &acker{
		target: o.Acker,
		pace:   o.Pace,
		log:    o.Log,
		status: status,
		retry:  backoff{first: o.Pace.Ack, most: o.Pace.RetryMost},
		wake:   make(chan struct{}, 1),
	}
}

// to asks for a position to be acknowledged, soon.
func (a *acker) to(at readmodel.Checkpoint) {
	a.mu.Lock()
	a.want, a.due = at, !a.forgotten
	a.mu.Unlock()
	a.call()
}

func (a *acker) call() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// again asks for the last position to be acknowledged once more.
func (a *acker) again() {
	a.mu.Lock()
	want := a.want
	a.mu.Unlock()
	a.to(want)
}

// forget calls off what was asked for: the partition is another's.
func (a *acker) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.due, a.forgotten = false, true
}

// start acknowledges until ctx ends; the function it returns waits for that
// and acknowledges the last position.
func (a *acker) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.run(ctx)
	}()
	return func() {
		cancel()
		<-done
		last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), a.pace.Grace/3)
		defer cancelLast()
		a.ack(last)
	}
}

func (a *acker) run(ctx context.Context) {
	for {
		select {
		case <-a.wake:
		case <-ctx.Done():
			return
		}
		pause := a.pace.Ack
		if !a.ack(ctx) {
			pause = a.retry.next()
		}
		sleep(ctx, pause)
	}
}

// ack acknowledges what is due, and says whether that went well.
func (a *acker) ack(ctx context.Context) bool {
	a.mu.Lock()
	want, due := a.want, a.due
	a.due = false
	a.mu.Unlock()
	if !due {
		return true
	}
	failpoint.Hit(failpoint.BeforeAck)
	err := a.target.Ack(ctx, want.Position, want.Entries)
	if err == nil {
		a.retry.reset()
		a.status.ackFailed(nil)
		return true
	}
	if ctx.Err() == nil {
		a.failed(err)
	}
	a.retryUnlessNewer(want)
	return false
}

func (a *acker) failed(err error) {
	f := fault.As(err)
	if f == nil || !f.Permanent {
		a.log.Debug("Could not acknowledge; trying again", "error", err.Error())
		return
	}
	if a.status.ackFailed(f) {
		a.log.Warn("Could not acknowledge: others see no progress", "reason", f.Reason, "error", err.Error())
	}
}

// retryUnlessNewer asks for a position that could not be acknowledged again.
func (a *acker) retryUnlessNewer(at readmodel.Checkpoint) {
	a.mu.Lock()
	if !a.due {
		a.want, a.due = at, !a.forgotten
	}
	a.mu.Unlock()
	a.call()
}
