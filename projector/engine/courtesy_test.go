package engine

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/courtesy"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/stream"
)

func TestARateBindsOnlyWhatIsNotPublished(t *testing.T) {
	for _, shadow := range []bool{true, false} {
		s := &shelf{model: memory{}, shadow: shadow}
		e := begin(t, Options{Reader: &log{to: 100_000, entities: 50}, Store: s, Replay: contract.Replay{MaxEventsPerSecond: 4000}, Pace: Pace{CommitAge: 50 * time.Millisecond}})
		began := time.Now()
		if !shadow {
			eventually(t, "at the tail", func() bool { return e.Status().Events == 100_000 })
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("published, it took %s", took)
			}
			continue
		}
		time.Sleep(1500 * time.Millisecond)
		seen, took := e.Status().Events, time.Since(began)
		if most := 4000*took.Seconds() + 2000; float64(seen) > most || seen < 2000 {
			t.Errorf("in %s it folded %d events", took, seen)
		}
	}
}

// measured remembers how much it was asked for at once.
type measured struct {
	log
	mu    sync.Mutex
	limit stream.Limit
}

func (m *measured) Read(ctx context.Context, after projector.ID, entries int64, limit stream.Limit, block time.Duration) (*stream.Batch, error) {
	m.mu.Lock()
	m.limit = limit
	m.mu.Unlock()
	return m.log.Read(ctx, after, entries, limit, block)
}

// sized remembers the largest commit.
type sized struct {
	*shelf
	largest atomic.Int64
}

func (s *sized) Claim(ctx context.Context, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint, error) {
	_, at, err := s.shelf.Claim(ctx, c)
	return s, at, err
}

func (s *sized) Prepare(changed []readmodel.Entity, next readmodel.Checkpoint) readmodel.Transaction {
	s.largest.Store(max(s.largest.Load(), int64(len(changed))))
	return s.shelf.Prepare(changed, next)
}

func TestOnlyWhatIsNotPublishedAsksForLittle(t *testing.T) {
	for _, shadow := range []bool{true, false} {
		s := &sized{shelf: &shelf{model: memory{}, shadow: shadow}}
		m := &measured{log: log{to: 30_000, entities: 2000}}
		e := begin(t, Options{Reader: m, Store: s, Pace: Pace{CommitAge: 300 * time.Millisecond, Block: 10 * time.Millisecond}})
		eventually(t, "at the tail", func() bool { return e.Status().Events == 30_000 })
		m.mu.Lock()
		limit := m.limit
		m.mu.Unlock()
		if largest := s.largest.Load(); shadow != (limit.Events <= courtesy.Events && limit.Bytes <= courtesy.Bytes) || shadow != (largest <= politeTogether) {
			t.Errorf("not published: %v; it read %+v and committed %d at once", shadow, limit, largest)
		}
		if diff := cmp.Diff(sumsOf(30_000, 2000), s.model.sums()); diff != "" {
			t.Error(diff)
		}
	}
}

// probing is a Probe of which a test says what it finds.
type probing struct {
	trip  func(ctx context.Context)
	alone func() bool
}

func (p probing) RoundTrip(ctx context.Context) error {
	if p.trip != nil {
		p.trip(ctx)
	}
	return nil
}

func (p probing) Alone(context.Context) bool { return p.alone != nil && p.alone() }

// limited notes how much was asked for.
type limited struct {
	log
	asked atomic.Int64
}

func (l *limited) Read(ctx context.Context, after projector.ID, entries int64, limit stream.Limit, block time.Duration) (*stream.Batch, error) {
	l.asked.Store(int64(limit.Events))
	return l.log.Read(ctx, after, entries, limit, block)
}

func TestItAsksForLittleWhileOthersAreThere(t *testing.T) {
	r := &limited{log: log{to: 100_000_000, entities: 3000}}
	var others atomic.Bool
	e, stop := begun(t, Options{Reader: r, Store: &shelf{model: memory{}, shadow: true},
		Probe: probing{alone: func() bool { return !others.Load() }}})
	full := int64(e.Pace.BatchEvents)
	for range 3 {
		eventually(t, "at full size", func() bool { return r.asked.Load() == full })
		others.Store(true)
		eventually(t, "little", func() bool { return r.asked.Load() == courtesy.Events })
		others.Store(false)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestARestHoldsUpNoCommitAndNoEnd(t *testing.T) {
	s := &shelf{model: memory{}, shadow: true}
	var probes atomic.Int64
	e, stop := begun(t, Options{
		Reader: &log{to: 1_000_000, entities: 3000}, Store: s, Pace: Pace{CommitAge: 20 * time.Millisecond},
		Probe: probing{trip: func(ctx context.Context) {
			if probes.Add(1) > 1 {
				sleep(ctx, 40*time.Millisecond)
			}
		}},
	})
	eventually(t, "probed", func() bool { return probes.Load() > 5 })
	eventually(t, "committed", func() bool { return e.Status().Events > 0 })
	began := time.Now()
	if err := stop(); err != nil || time.Since(began) > 2*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	at, _ := s.Position(t.Context())
	if at.Lanes != nil || at.Position.Ms == 1_000_000 {
		t.Errorf("at the end it is at %+v", at)
	}
	if diff := cmp.Diff(sumsOf(at.Position.Ms, 3000), s.model.sums()); diff != "" {
		t.Error(diff)
	}
}

// trimmed is a log whose beginning is gone, as stream.Reader tells it.
type trimmed struct {
	log
	first    uint64
	tolerant atomic.Bool
}

func (s *trimmed) Check(_ context.Context, position projector.ID, _ int64) (stream.Info, error) {
	info := stream.Info{Exists: true, LastID: projector.ID{Ms: s.to}, FirstID: projector.ID{Ms: s.first}, EntriesAdded: int64(s.to),
		Length: int64(s.to - s.first + 1), Entries: int64(position.Ms), History: contract.HistoryIncomplete}
	if position.Next().Compare(info.FirstID) < 0 {
		return info, &fault.Error{Reason: contract.ReasonHistoryLost, Permanent: true, Remedy: "restore them"}
	}
	info.Entries = int64(position.Next().Ms) - 1
	return info, nil
}

func (s *trimmed) Tolerate(deleted bool) { s.tolerant.Store(deleted) }

func TestAReplayOfHalfAHistoryHaltsUnlessItIsWanted(t *testing.T) {
	for name, test := range map[string]struct {
		published bool
		history   string
		at        uint64 // what is folded already
		reason    string // "": it folds
	}{
		"a candidate halts":                     {reason: contract.ReasonHistoryIncomplete},
		"one that requires it halts":            {history: contract.HistoryRequired, reason: contract.ReasonHistoryIncomplete},
		"one that takes what there is folds":    {history: contract.HistoryAvailable},
		"one that has begun goes on":            {at: 60},
		"a published one has no choice":         {published: true, history: contract.HistoryAvailable, reason: contract.ReasonHistoryLost},
		"nor one that lost what it has not had": {at: 20, history: contract.HistoryAvailable, reason: contract.ReasonHistoryLost},
	} {
		t.Run(name, func(t *testing.T) {
			s := &shelf{model: memory{}, shadow: !test.published}
			s.at.Position, s.at.Events = projector.ID{Ms: test.at}, int64(test.at)
			l := &trimmed{log: log{to: 100, entities: 7}, first: 41}
			e := begin(t, Options{Reader: l, Store: s, Replay: contract.Replay{History: test.history}, Pace: Pace{Recheck: 10 * time.Millisecond}})
			if test.reason != "" {
				eventually(t, test.reason, func() bool { p := e.Status().Problem; return p != nil && p.Reason == test.reason })
				time.Sleep(50 * time.Millisecond)
				got := e.Status()
				if !got.Problem.Permanent || got.State != contract.StateHalted || s.commits > 0 {
					t.Errorf("%+v %+v", got, got.Problem)
				}
				if test.reason == contract.ReasonHistoryIncomplete {
					for _, says := range []string{"41-0", "40 of the 100"} {
						if !strings.Contains(got.Problem.Message, says) {
							t.Errorf("%q does not say %q", got.Problem.Message, says)
						}
					}
					if !strings.Contains(got.Problem.Remedy, "spec.replay.history: Available") {
						t.Error(got.Problem.Remedy)
					}
				}
				return
			}
			eventually(t, "at the tail", func() bool { return e.Status().Position == "100-0" })
			want := sumsOf(100, 7)
			for key, sum := range sumsOf(max(test.at, 40), 7) {
				want[key] -= sum
			}
			if diff := cmp.Diff(want, s.model.sums()); diff != "" {
				t.Error(diff)
			}
			if got := l.tolerant.Load(); got != (test.history == contract.HistoryAvailable) {
				t.Errorf("tolerant: %v", got)
			}
		})
	}
}
