package engine

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/stream"
)

// growing is a log that grows.
type growing struct {
	log
	mu    sync.Mutex
	reads int
}

func (g *growing) now() *log {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reads++
	return &log{to: g.to, entities: g.entities}
}

func (g *growing) grow(to uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.to = to
}

func (g *growing) Check(ctx context.Context, position projector.ID, entries int64) (stream.Info, error) {
	return g.now().Check(ctx, position, entries)
}

func (g *growing) Read(ctx context.Context, after projector.ID, entries int64, limit stream.Limit, block time.Duration) (*stream.Batch, error) {
	return g.now().Read(ctx, after, entries, limit, min(block, 10*time.Millisecond))
}

// holding is a store with a Job that asks to stand still at until.
type holding struct {
	*shelf
	until   *projector.ID
	reason  string
	claims  int
	refused int
}

func (h *holding) Claim(ctx context.Context, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint, error) {
	h.mu.Lock()
	h.claims++
	until := h.until
	if until != nil && h.at.Position.Compare(*until) >= 0 {
		h.refused++
		h.mu.Unlock()
		return nil, readmodel.Checkpoint{}, &fault.Error{Reason: h.reason}
	}
	h.mu.Unlock()
	_, at, err := h.shelf.Claim(ctx, c)
	at.Until = until
	h.mu.Lock()
	defer h.mu.Unlock()
	return &fencing{h, at.Epoch}, at, err
}

// fencing is a partition whose epoch counts.
type fencing struct {
	*holding
	epoch int64
}

func (f *fencing) Commit(ctx context.Context, t readmodel.Transaction) error {
	f.mu.Lock()
	fenced := f.at.Epoch != f.epoch
	f.mu.Unlock()
	if fenced {
		return readmodel.ErrFenced
	}
	return f.shelf.Commit(ctx, t)
}

// hold begins, or with 0 ends.
func (h *holding) hold(until uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until = nil
	if until > 0 {
		h.until = &projector.ID{Ms: until}
		h.at.Epoch++
	}
}

func (h *holding) counts() (claims, refused int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.claims, h.refused
}

func (h *holding) sums() map[string]int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.model.sums()
}

// begin runs an engine until the test ends.
func begin(t *testing.T, o Options) *Engine {
	t.Helper()
	e, stop := begun(t, o)
	t.Cleanup(func() { _ = stop() })
	return e
}

func begun(t *testing.T, o Options) (e *Engine, stop func() error) {
	t.Helper()
	if o.Acker == nil {
		o.Acker = &acks{}
	}
	o.Decoder, o.Reducer, o.Schema = asTyped{}, sums{}, testSchema(t)
	orDefault(&o.Pace.RetryFirst, time.Millisecond)
	orDefault(&o.Pace.RetryMost, o.Pace.RetryFirst)
	e = New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return e, sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(10 * time.Second):
			t.Error("Run does not return")
			return nil
		}
	})
}

// lines is a log's text.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestAHoldEndsExactlyThereAndGoesOnByItself(t *testing.T) {
	const entities = mostTogether + 1000
	for _, until := range []uint64{1501, 2900, 4500, 6000} {
		for _, shadow := range []bool{false, true} {
			t.Run(fmt.Sprint(until, shadow), func(t *testing.T) {
				h := &holding{shelf: &shelf{model: memory{}, shadow: shadow}, reason: contract.ReasonHeld}
				g := &growing{log: log{to: 1500, entities: entities}}
				var said lines
				e := begin(t, Options{Reader: g, Store: h, Log: slog.New(slog.NewTextHandler(&said, nil)), Pace: Pace{CommitAge: 5 * time.Millisecond, Hold: time.Millisecond}})
				eventually(t, "live", func() bool { return e.Status().Position == "1500-0" })
				h.hold(until)
				g.grow(6000)
				eventually(t, "held", func() bool { _, refused := h.counts(); return refused > 20 })
				at, _ := h.Position(t.Context())
				if at.Position.Ms != until || at.Lanes != nil {
					t.Errorf("it is held at %+v, want %d", at, until)
				}
				if diff := cmp.Diff(sumsOf(until, entities), h.sums()); diff != "" {
					t.Error(diff)
				}
				if s := e.Status(); s.State != contract.StateHolding || s.Problem != nil || !e.Ready() || s.Published == shadow {
					t.Errorf("%+v", s)
				}
				h.hold(0)
				g.grow(7000)
				eventually(t, "on its way", func() bool { return e.Status().Position == "7000-0" && e.Status().State == contract.StateLive })
				if diff := cmp.Diff(sumsOf(7000, entities), h.sums()); diff != "" {
					t.Error(diff)
				}
				if s := e.Status(); s.Rejected != 0 || s.Events != 7000 {
					t.Errorf("%+v", s)
				}
				if n := strings.Count(said.String(), "\n"); n > 4 || strings.Contains(said.String(), "WARN") {
					t.Errorf("it says much:\n%s", said.String())
				}
			})
		}
	}
}

func TestAHoldThatIsGivenUpBeforeItIsReachedIsForgotten(t *testing.T) {
	h := &holding{shelf: &shelf{model: memory{}}, reason: contract.ReasonHeld}
	g := &growing{log: log{to: 100, entities: 5}}
	e := begin(t, Options{Reader: g, Store: h, Pace: Pace{Hold: time.Millisecond}})
	eventually(t, "live", func() bool { return e.Status().Position == "100-0" })
	h.hold(1000)
	g.grow(200)
	eventually(t, "as far as it comes", func() bool { return e.Status().Position == "200-0" && e.Status().State == contract.StateHolding })
	before, _ := h.counts()
	eventually(t, "asking again", func() bool { claims, _ := h.counts(); return claims > before+2 })
	h.hold(0)
	eventually(t, "live again", func() bool { return e.Status().State == contract.StateLive })
	g.grow(2000)
	eventually(t, "past it", func() bool { return e.Status().Position == "2000-0" })
	if diff := cmp.Diff(sumsOf(2000, 5), h.sums()); diff != "" {
		t.Error(diff)
	}
}

func TestACutoverIsWaitedForInSilence(t *testing.T) {
	h := &holding{shelf: &shelf{model: memory{}}, reason: contract.ReasonCuttingOver}
	g := &growing{log: log{to: 100, entities: 5}}
	e := begin(t, Options{Reader: g, Store: h, Pace: Pace{Hold: 20 * time.Millisecond}})
	eventually(t, "live", func() bool { return e.Status().State == contract.StateLive })
	h.hold(100)
	g.grow(110)
	eventually(t, "waiting", func() bool { _, refused := h.counts(); return refused > 1 })
	_, before := h.counts()
	time.Sleep(300 * time.Millisecond)
	if _, now := h.counts(); now-before < 5 || now-before > 20 {
		t.Errorf("in 300 ms it asked %d times", now-before)
	}
	if got := e.Status(); got.State != contract.StateHolding || got.Problem != nil {
		t.Errorf("%+v", got)
	}
	h.mu.Lock()
	h.shadow = true // another one was published
	h.mu.Unlock()
	h.hold(0)
	eventually(t, "going on", func() bool { return e.Status().Position == "110-0" && !e.Status().Published })
}

func TestCommitsUnderWayWhenAHoldBeginsAreNeitherLostNorDoubled(t *testing.T) {
	const entities = mostTogether + 500
	for step := range 8 {
		h := &holding{shelf: &shelf{model: memory{}}, reason: contract.ReasonHeld}
		e := begin(t, Options{Reader: &log{to: 9000, entities: entities}, Store: h, Pace: Pace{CommitAge: time.Millisecond, Hold: time.Millisecond, Block: 5 * time.Millisecond}})
		commits := func() int { h.mu.Lock(); defer h.mu.Unlock(); return h.commits }
		eventually(t, "some commits", func() bool { return commits() > 4*step || e.Status().Events == 9000 })
		at, _ := h.Position(t.Context())
		furthest := at.Position
		if at.Lanes != nil {
			furthest = slices.MaxFunc(at.Lanes[:], func(a, b readmodel.Mark) int { return a.Position.Compare(b.Position) }).Position
		}
		until := max(furthest.Ms, 1) + 300
		if until < 9000 {
			h.hold(until)
			eventually(t, "held", func() bool { _, refused := h.counts(); return refused > 3 })
			at, _ = h.Position(t.Context())
			if at.Lanes == nil && at.Position.Ms == until {
				if diff := cmp.Diff(sumsOf(until, entities), h.sums()); diff != "" {
					t.Errorf("step %d: %s", step, diff)
				}
			} else if at.Position.Ms < until {
				t.Errorf("step %d: held at %+v, want %d", step, at.Mark, until)
			}
			h.hold(0)
		}
		eventually(t, "at the tail", func() bool { return e.Status().Events == 9000 })
		if diff := cmp.Diff(sumsOf(9000, entities), h.sums()); diff != "" {
			t.Errorf("step %d: %s", step, diff)
		}
	}
}

func TestSourceUntilIsTheEnd(t *testing.T) {
	for name, test := range map[string]struct {
		tail, until, start uint64
		sum                uint64 // of events up to there
	}{
		"before the first entry": {tail: 5000, until: 1999, start: 1999, sum: 1999},
		"in the middle":          {tail: 5000, until: 2500, sum: 2500},
		"at a batch's end":       {tail: 5000, until: 1500, sum: 1500},
		"at the tail":            {tail: 5000, until: 5000, sum: 5000},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				s, a := &shelf{model: memory{}}, &acks{}
				s.at.Position = projector.ID{Ms: test.start}
				until := projector.ID{Ms: test.until}
				for again := range 2 { // a restart folds nothing
					g := &growing{log: log{to: test.tail, entities: 7}}
					e, stop := begun(t, Options{Reader: g, Store: s, Acker: a, Until: &until, Pace: Pace{CommitAge: time.Hour}})
					eventually(t, "completed", func() bool { return e.Status().State == contract.StateCompleted })
					got := e.Status()
					if !e.Ready() || !e.Alive() || !got.CaughtUp || got.LagEvents != 0 || got.LagSeconds != 0 || got.EtaSeconds != 0 || got.Problem != nil {
						t.Errorf("%+v", got)
					}
					if got.Position != until.String() || got.Events != int64(test.sum-test.start) {
						t.Errorf("it is at %s after %d events", got.Position, got.Events)
					}
					if again == 1 && g.reads != 0 {
						t.Errorf("it read %d times after it was complete", g.reads)
					}
					eventually(t, "acknowledged", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.last == until })
					if err := stop(); err != nil {
						t.Errorf("Run: %v", err)
					}
				}
				want := sumsOf(test.sum, 7)
				for key, sum := range sumsOf(test.start, 7) {
					if want[key] -= sum; want[key] == 0 {
						delete(want, key)
					}
				}
				if diff := cmp.Diff(want, s.model.sums()); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestSourceUntilBeyondTheTailIsWaitedFor(t *testing.T) {
	s, g := &shelf{model: memory{}}, &growing{log: log{to: 100, entities: 7}}
	until := projector.ID{Ms: 150, Seq: 9}
	e := begin(t, Options{Reader: g, Store: s, Until: &until})
	eventually(t, "live", func() bool { return e.Status().Position == "100-0" && e.Status().State == contract.StateLive })
	g.grow(150) // an entry may still come between
	eventually(t, "further", func() bool { return e.Status().Position == "150-0" })
	time.Sleep(50 * time.Millisecond)
	if got := e.Status(); got.State != contract.StateLive {
		t.Errorf("%+v", got)
	}
	g.grow(151)
	eventually(t, "completed", func() bool { return e.Status().State == contract.StateCompleted })
	g.grow(300)
	time.Sleep(30 * time.Millisecond)
	if got := e.Status(); got.Position != "150-9" || got.Events != 150 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(sumsOf(150, 7), s.model.sums()); diff != "" {
		t.Error(diff)
	}
}

func TestACompletedRevisionLooksAtItsLedger(t *testing.T) {
	h := &holding{shelf: &shelf{model: memory{}}, reason: contract.ReasonHeld}
	until := projector.ID{Ms: 50}
	e := begin(t, Options{Reader: &log{to: 100, entities: 7}, Store: h, Until: &until, Pace: Pace{Verify: 10 * time.Millisecond, Hold: time.Millisecond}})
	eventually(t, "completed", func() bool { return e.Status().State == contract.StateCompleted && e.Status().Published })
	h.mu.Lock()
	h.shadow = true
	h.at.Epoch++ // as a Job that has published another one
	h.mu.Unlock()
	eventually(t, "told", func() bool { return !e.Status().Published && e.Status().State == contract.StateCompleted })
	h.hold(50)
	eventually(t, "held", func() bool { return e.Status().State == contract.StateHolding })
	h.hold(0)
	eventually(t, "completed again", func() bool { return e.Status().State == contract.StateCompleted })
	if diff := cmp.Diff(sumsOf(50, 7), maps.Clone(h.sums())); diff != "" {
		t.Error(diff)
	}
}

// alwaysFenced is a store of which commits are fenced though nobody else claims.
type alwaysFenced struct{ *shelf }

func (a alwaysFenced) Claim(ctx context.Context, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint, error) {
	_, at, err := a.shelf.Claim(ctx, c)
	return a, at, err
}

func (a alwaysFenced) Commit(context.Context, readmodel.Transaction) error {
	return readmodel.ErrFenced
}

func TestAPartitionThatIsFencedAgainAndAgainIsNotClaimedWithoutPause(t *testing.T) {
	s := &shelf{model: memory{}}
	_, stop := begun(t, Options{Reader: &log{to: 10, entities: 1}, Store: alwaysFenced{s}, Pace: Pace{RetryFirst: 50 * time.Millisecond}})
	time.Sleep(500 * time.Millisecond)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if s.at.Epoch < 3 || s.at.Epoch > 25 {
		t.Errorf("claimed %d times in half a second", s.at.Epoch)
	}
}

// blocked is a log whose entry after the last one cannot be read.
type blocked struct{ *growing }

func (b blocked) Read(ctx context.Context, after projector.ID, entries int64, limit stream.Limit, block time.Duration) (*stream.Batch, error) {
	batch, err := b.growing.Read(ctx, after, entries, limit, block)
	if err == nil && len(batch.Events) == 0 {
		batch.Release()
		return nil, &fault.Error{Reason: contract.ReasonEventTooLarge, EventID: "9000-0", Permanent: true}
	}
	return batch, err
}

func TestWhatCannotBeReadBeyondTheBoundIsInNobodysWay(t *testing.T) {
	h := &holding{shelf: &shelf{model: memory{}}, reason: contract.ReasonHeld}
	e := begin(t, Options{Reader: blocked{&growing{log: log{to: 100, entities: 5}}}, Store: h, Until: &projector.ID{Ms: 8000}})
	eventually(t, "completed", func() bool { s := e.Status(); return s.State == contract.StateCompleted && s.Position == "8000-0" })
	if diff := cmp.Diff(sumsOf(100, 5), h.sums()); diff != "" {
		t.Error(diff)
	}
	e = begin(t, Options{Reader: blocked{&growing{log: log{to: 100, entities: 5}}}, Store: &holding{shelf: &shelf{model: memory{}}}, Until: &projector.ID{Ms: 9000}})
	eventually(t, "stopped", func() bool {
		s := e.Status()
		return s.Problem != nil && s.Problem.Reason == contract.ReasonEventTooLarge
	})
}
