package engine

import (
	"testing"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/stream"
)

func TestBackoffGrowsToItsMost(t *testing.T) {
	b := backoff{first: 50 * time.Millisecond, most: 5 * time.Second}
	for i := range 20 {
		limit := min(50*time.Millisecond<<i, 5*time.Second)
		if got := b.next(); got < limit/2 || got > limit {
			t.Errorf("wait %d is %s, want %s to %s", i, got, limit/2, limit)
		}
	}
	b.reset()
	if got := b.next(); got > 50*time.Millisecond {
		t.Errorf("after a reset it waits %s", got)
	}
}

func TestLag(t *testing.T) {
	id := func(ms uint64) projector.ID { return projector.ID{Ms: ms} }
	for name, test := range map[string]struct {
		at            readmodel.Mark
		info          stream.Info
		events, secs  int64
		mayBeCaughtUp bool
	}{
		"at the tail there is none": {
			readmodel.Mark{Position: id(5000), Entries: 10}, stream.Info{Exists: true, LastID: id(5000), EntriesAdded: 10}, 0, 0, true},
		"at the tail there is none, whatever the ordinals": {
			readmodel.Mark{Position: id(5000), Entries: -1}, stream.Info{Exists: true, LastID: id(5000), EntriesAdded: -1, Entries: -1}, 0, 0, true},
		"it is counted in ordinals and in the IDs' time": {
			readmodel.Mark{Position: id(5000), Entries: 10}, stream.Info{Exists: true, LastID: id(9500), EntriesAdded: 1500, Entries: 10}, 1490, 4, false},
		"before the first entry it begins there": {
			readmodel.Mark{Entries: 0}, stream.Info{Exists: true, FirstID: id(5000), LastID: id(9500), EntriesAdded: 1500}, 1500, 4, false},
		"without ordinals it is unknown": {
			readmodel.Mark{Position: id(5000), Entries: -1}, stream.Info{Exists: true, LastID: id(9000), EntriesAdded: -1, Entries: -1}, -1, 4, false},
		"a stream that ends before the position is not caught up with": {
			readmodel.Mark{Position: id(9000), Entries: 10}, stream.Info{Exists: true, LastID: id(5000), EntriesAdded: 3, Entries: 10}, -1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTracker(Options{Metrics: NewMetrics(nil)})
			tr.claimed(readmodel.Checkpoint{Mark: test.at})
			tr.checked(test.info)
			tr.progress()
			got := tr.snapshot()
			if got.LagEvents != test.events || got.LagSeconds != test.secs || got.CaughtUp != test.mayBeCaughtUp {
				t.Errorf("%d events, %d s, caught up %v", got.LagEvents, got.LagSeconds, got.CaughtUp)
			}
		})
	}
}

func TestBeforeTheFirstEventIsFoldedAShortStreamIsNotCaughtUp(t *testing.T) {
	tr := newTracker(Options{Metrics: NewMetrics(nil)})
	at := readmodel.Checkpoint{}
	tr.claimed(at)
	tr.checked(stream.Info{Exists: true, LastID: projector.ID{Ms: 9}, EntriesAdded: 10})
	if tr.snapshot().CaughtUp {
		t.Error("caught up with nothing folded")
	}
	at.Position, at.Entries = projector.ID{Ms: 9}, 10
	tr.committed(at, tally{read: 10, folded: 10})
	tr.progress()
	tr.read(&stream.Batch{Tail: projector.ID{Ms: 99}, TailEntries: 500})
	if s := tr.snapshot(); !s.CaughtUp || s.LagEvents != 490 || s.State != contract.StateLive {
		t.Errorf("within a batch of the tail: %+v", s)
	}
	tr.read(&stream.Batch{Tail: projector.ID{Ms: 999}, TailEntries: 50_000})
	tr.progress()
	if s := tr.snapshot(); s.CaughtUp || s.State != contract.StateCatchingUp {
		t.Errorf("far behind: %+v", s)
	}
}

func TestAProblemKeepsItsBeginningAndGoesWithProgress(t *testing.T) {
	tr := newTracker(Options{Metrics: NewMetrics(nil)})
	f := &fault.Error{Reason: contract.ReasonNotOwned, Permanent: true}
	if !tr.failed(f) || tr.failed(f) {
		t.Error("the same fault is news twice, or not once")
	}
	tr.claimed(readmodel.Checkpoint{})
	if s := tr.snapshot(); s.State != contract.StateHalted || s.Problem == nil {
		t.Errorf("trying again hides the problem: %+v", s)
	}
	tr.progress()
	if s := tr.snapshot(); s.Problem != nil {
		t.Errorf("%+v", s.Problem)
	}
}

func TestTheLoopIsAliveWhileItWaitsForOthers(t *testing.T) {
	tr := newTracker(Options{Metrics: NewMetrics(nil)})
	tr.beaten.Store(time.Now().Add(-time.Hour).UnixNano())
	back := tr.outside()
	if !tr.alive() {
		t.Error("it is wedged while it waits for a server")
	}
	back()
	if !tr.alive() {
		t.Error("it is wedged right after")
	}
	tr.beaten.Store(time.Now().Add(-time.Hour).UnixNano())
	if tr.alive() {
		t.Error("an hour in one step is not wedged")
	}
}

func TestItIsNotCaughtUpForEverWhileAServerIsAway(t *testing.T) {
	tr := newTracker(Options{Metrics: NewMetrics(nil)})
	at := readmodel.Checkpoint{Mark: readmodel.Mark{Position: projector.ID{Ms: 9}, Entries: 10}}
	tr.claimed(at)
	tr.checked(stream.Info{Exists: true, LastID: at.Position, EntriesAdded: 10, Entries: 10})
	tr.progress()
	away := &fault.Error{Reason: contract.ReasonReadModelUnreachable}
	tr.failed(away)
	if !tr.snapshot().CaughtUp {
		t.Error("a fault of a moment ends it")
	}
	tr.away = tr.away.Add(-time.Minute)
	tr.failed(away)
	if tr.snapshot().CaughtUp {
		t.Error("caught up, after a minute in which nothing could be read or written")
	}
	tr.progress()
	if !tr.snapshot().CaughtUp {
		t.Error("not caught up when all is well again")
	}
}
