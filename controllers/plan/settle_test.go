package plan

import (
	"flag"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/refold-dev/refold/api/v1alpha1"
)

var worldSteps = flag.Int("world.steps", 10_000, "steps of the simulated world, at least")

func newWorld(t *rapid.T) *world {
	w := &world{t: t, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), tail: 9, ledgers: map[string]*ledger{}, procs: map[string]*process{},
		stores: map[string]string{}, jobs: map[string]*job{}, gateOK: map[string]bool{}, approvedOnce: map[string]bool{}, abandoned: map[string]bool{}}
	w.spec = worldSpec{name: "a", store: "1", replay: ReplaySpec{Strategy: v1alpha1.ReplayShadow, Mode: v1alpha1.PromotionAutomatic,
		MaxChangedPercent: 20, RollbackWindow: 20 * time.Second, History: v1alpha1.HistoryRequired}}
	return w
}

// edit is what a person does.
func (w *world) edit() {
	w.spec.invalid = false
	switch rapid.IntRange(0, 9).Draw(w.t, "edit") {
	case 0, 1, 2, 3:
		w.spec.name = rapid.SampledFrom([]string{"a", "b", "c", "dx", "ex", "uf"}).Draw(w.t, "revision")
		w.spec.store = "1"
	case 4:
		w.spec.name, w.spec.store = rapid.SampledFrom([]string{"m", "n", "ux"}).Draw(w.t, "moved"), "2"
	case 5:
		w.spec.replay.Approve = rapid.SampledFrom([]string{"", "dx", "ex", "ux", "b"}).Draw(w.t, "approve")
	case 6:
		w.spec.replay.Suspend = !w.spec.replay.Suspend
	case 7:
		w.spec.replay.RollbackWindow = time.Duration(rapid.SampledFrom([]int{0, 5, 20}).Draw(w.t, "window")) * time.Second
	case 8:
		w.spec.replay.Strategy = rapid.SampledFrom([]v1alpha1.ReplayStrategy{v1alpha1.ReplayShadow, v1alpha1.ReplayInPlace}).Draw(w.t, "strategy")
		w.emptied = w.emptied || w.spec.replay.Strategy == v1alpha1.ReplayInPlace
	case 9:
		w.spec.invalid = true
	}
	if w.spec.replay.Approve == w.spec.name {
		w.approvedOnce[w.spec.name] = true
	}
}

// settle lets faults and edits end, and expects what the newest spec alone asks for.
func (w *world) settle() {
	w.spec.invalid, w.spec.replay.Suspend = false, false
	w.spec.replay.Approve = w.spec.name
	w.approvedOnce[w.spec.name] = true
	for range 200 {
		w.live(false)
		w.reconcile(false)
	}
	w.t.Logf("%s", describe(w.input(w.status)))
	for range 30 {
		w.live(false)
		in := w.input(w.status)
		d := w.reconcile(false)
		done := strings.HasPrefix(w.spec.name, "u")
		switch {
		case d.Active != w.spec.name || len(d.Revisions) != 1 || d.Job != nil || len(d.Forget) > 0 || d.Fault != nil || !d.WakeAt.IsZero() || len(d.Finished) > 0:
			w.t.Fatalf("does not settle at %s: %+v\n%s", w.spec.name, d, describe(in))
		case done && (d.Phase != PhaseCompleted || d.Revisions[0].Replicas != 0), !done && (d.Phase != PhaseSteady || d.Revisions[0].Replicas != 1):
			w.t.Fatalf("phase %s: %+v", d.Phase, d)
		}
	}
	for store, l := range w.ledgers {
		for name := range l.folds {
			if !w.abandoned[name] && name != w.spec.name || name == w.spec.name && !w.abandoned[name] && store != w.spec.store {
				w.t.Fatalf("%s is left at %s", name, store)
			}
		}
	}
	if l := w.ledger(w.spec.store); l.active != w.spec.name || len(w.jobs) > 0 || len(w.stores) != 1 {
		w.t.Fatalf("published %s, jobs %v, contracts %v", l.active, w.jobs, w.stores)
	}
}

func TestWhateverHappensNextEndsWhereTheNewestSpecIs(t *testing.T) {
	// One seed, so that make test says the same every time. To search: -rapid.checks=5000 -rapid.seed=N.
	if seed := flag.Lookup("rapid.seed"); seed != nil && seed.Value.String() == seed.DefValue {
		_ = seed.Value.Set("20261123")
		defer func() { _ = seed.Value.Set(seed.DefValue) }()
	}
	steps := 0
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(200, 500).Draw(t, "length") {
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			case 0:
				w.edit()
			case 1, 2, 3:
				w.live(true)
			default:
				w.reconcile(true)
			}
		}
		steps += w.steps
		w.settle()
	})
	if steps < *worldSteps && !t.Failed() {
		t.Errorf("%d steps are too few", steps)
	} else {
		t.Logf("%d steps", steps)
	}
}
