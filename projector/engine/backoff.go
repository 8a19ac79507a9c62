package engine

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

// backoff doubles from first to most, each time somewhere in the upper half.
type backoff struct {
	first, most time.Duration
	last        time.Duration
}

func (b *backoff) reset() { b.last = 0 }

func (b *backoff) next() time.Duration {
	b.last = min(max(b.first, 2*b.last), b.most)
	return b.last/2 + rand.N(b.last/2+1)
}

// failed reports a fault and says how long to wait.
func (e *Engine) failed(err error) time.Duration {
	f := fault.As(err)
	if f != nil && isHold(f) {
		e.status.holding()
		return e.Pace.Hold
	}
	if f == nil {
		f = &fault.Error{
			Reason:  contract.ReasonSourceUnreachable,
			Message: "the stream could not be read",
			Remedy:  "nothing: it is tried again; see that the server is up and reachable",
			Err:     err,
		}
	}
	first := e.status.failed(f)
	e.Metrics.retries.WithLabelValues(f.Reason).Inc()
	if first {
		e.Log.Warn("Stopped folding", "reason", f.Reason, "permanent", f.Permanent, "eventID", f.EventID, "error", err.Error())
	}
	switch {
	case f.Permanent:
		return e.Pace.Recheck
	case isWaiting(f):
		return e.Pace.Wait
	}
	return e.retry.next()
}

// isWaiting says whether nothing is wrong: there is nothing to fold yet.
func isWaiting(f *fault.Error) bool {
	return f.Reason == contract.ReasonSourceMissing || f.Reason == contract.ReasonFromAfterEnd
}

// isHold says whether nothing is wrong: a Job has asked to stand still.
func isHold(f *fault.Error) bool {
	return f.Reason == contract.ReasonHeld || f.Reason == contract.ReasonCuttingOver
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// graceful is a context that outlives parent's end by grace: what is under way
// then is finished and not broken off.
func graceful(parent context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() { time.AfterFunc(grace, cancel) })
	return ctx, func() {
		stop()
		cancel()
	}
}
