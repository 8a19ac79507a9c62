package engine

import (
	"math"
	"testing"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/stream"
)

func TestARateIsRightFromTheBeginningAndFollows(t *testing.T) {
	var r rate
	now := time.Unix(1000, 0)
	if got := r.at(now); got != 0 {
		t.Errorf("before anything it is %v", got)
	}
	r.add(now, 0)
	for i := range 200 {
		now = now.Add(100 * time.Millisecond)
		r.add(now, 50)
		if got := r.at(now); math.Abs(got-500) > 10 {
			t.Fatalf("after %d of 500 a second it is %v", i+1, got)
		}
	}
	if got := r.at(now.Add(time.Minute)); got > 1 {
		t.Errorf("a minute later it is %v", got)
	}
}

func TestTheEtaIsOfTheRateAndTheGrowth(t *testing.T) {
	const lag = 100_000
	now := time.Now()
	steady := func(perSecond float64) rate {
		return rate{sum: perSecond * rateWindow.Seconds(), begun: now.Add(-time.Hour), last: now}
	}
	for name, test := range map[string]struct {
		folded, grown float64
		state         contract.State
		want          int64
	}{
		"a tail that stands":                      {1000, 0, contract.StateCatchingUp, 100},
		"a tail that moves takes longer":          {1000, 500, contract.StateCatchingUp, 200},
		"one that moves as fast is never reached": {1000, 1000, contract.StateCatchingUp, -1},
		"one that moves faster is never reached":  {1000, 2000, contract.StateCatchingUp, -1},
		"nothing is folded":                       {0, 0, contract.StateCatchingUp, -1},
		"nothing is said while a server is away":  {1000, 0, contract.StateBackingOff, -1},
		"years are as good as never":              {0.001, 0, contract.StateCatchingUp, -1},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTracker(Options{Metrics: NewMetrics(nil)})
			tr.seen.LagEvents, tr.seen.State = lag, test.state
			tr.rate, tr.growth = steady(test.folded), steady(test.grown)
			if got := tr.eta(now); got != test.want {
				t.Errorf("%d seconds, want %d", got, test.want)
			}
		})
	}
}

func TestTheRateFollowsTheFoldAndTheLagTheReadModel(t *testing.T) {
	tr := newTracker(Options{Metrics: NewMetrics(nil)})
	tr.claimed(readmodel.Checkpoint{})
	tr.checked(stream.Info{Exists: true, LastID: projector.ID{Ms: 9}, EntriesAdded: 10_000})
	tr.progress()
	tr.folded(tally{read: 5_000}, usage{clean: 100, dirty: 50})
	s := tr.snapshot()
	if s.EventsPerSecond <= 0 || s.EtaSeconds < 0 || s.LagEvents != 10_000 || s.Memory.UsedBytes != 150 {
		t.Errorf("%+v", s)
	}
	tr.folded(tally{}, usage{}) // a new claim begins where the read model is
	tr.committed(readmodel.Checkpoint{Mark: readmodel.Mark{Position: projector.ID{Ms: 9}, Entries: 10_000}}, tally{read: 10_000})
	if s := tr.snapshot(); !s.CaughtUp || s.EtaSeconds != 0 {
		t.Errorf("at the tail: %+v", s)
	}
}
