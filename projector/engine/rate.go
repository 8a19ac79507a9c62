package engine

import (
	"math"
	"time"

	"github.com/refold-dev/refold/projector/contract"
)

const (
	// rateWindow is how far back a rate looks, roughly.
	rateWindow = 5 * time.Second
	// rateShortest is the least that a rate rests on: of less it would be a guess.
	rateShortest = 100 * time.Millisecond
)

// rate is an exponentially weighted moving average of events per second.
type rate struct {
	sum         float64 // of events, those longer ago counting less
	begun, last time.Time
}

func (r *rate) add(now time.Time, events int64) {
	if r.last.IsZero() {
		r.begun, r.last = now, now
	}
	r.sum = r.sum*fading(now.Sub(r.last)) + float64(events)
	r.last = now
}

// at divides by the time that was seen, which is weighted as the events are: so
// it is right from the beginning.
func (r *rate) at(now time.Time) float64 {
	seen := rateWindow.Seconds() * (1 - fading(now.Sub(r.begun)))
	return r.sum * fading(now.Sub(r.last)) / max(seen, rateShortest.Seconds())
}

func fading(d time.Duration) float64 { return math.Exp(-d.Seconds() / rateWindow.Seconds()) }

// farthest is the longest that is told of the future.
const farthest = 365 * 24 * time.Hour

// eta is how many seconds it takes to the tail, -1 while that is not known or
// never: the tail moves too.
func (t *tracker) eta(now time.Time) int64 {
	s := &t.seen
	switch {
	case s.CaughtUp:
		return 0
	case s.LagEvents < 0, s.State != contract.StateCatchingUp && s.State != contract.StateLive:
		return -1
	}
	seconds := float64(s.LagEvents) / (t.rate.at(now) - t.growth.at(now))
	if !(seconds >= 0 && seconds <= farthest.Seconds()) { // nor a number at all
		return -1
	}
	return int64(math.Ceil(seconds))
}
