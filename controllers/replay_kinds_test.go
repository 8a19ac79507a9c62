package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/refold-dev/refold/api/v1alpha1"
)

func TestATriggerReplaysAnUnchangedSpecAndOneWithAnEditTogether(t *testing.T) {
	for name, tc := range map[string]struct {
		edits []func(*v1alpha1.Projection)
		cause v1alpha1.ReplayCause
	}{
		"alone":        {nil, v1alpha1.CauseTriggered},
		"with an edit": {[]func(*v1alpha1.Projection){newFold}, v1alpha1.CauseSpecChanged},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.ready()
			w.edit(p, func(p *v1alpha1.Projection) {
				p.Spec.Replay.Trigger = "once"
				for _, edit := range tc.edits {
					edit(p)
				}
			})
			b := w.desired(p)
			w.settle(p)
			w.expectReady(p)
			w.Expect(p.Status.ActiveRevision).To(Equal(b))
			w.Expect(p.Status.Replays[0].Cause).To(Equal(tc.cause))
			w.Expect(w.projectors().did).To(Equal([]string{"verify " + b, "cutover " + b}))
		})
	}
}

func TestWithoutARollbackWindowTheOldRevisionGoesAtOnce(t *testing.T) {
	w := newWorld(t)
	p := w.ready(window(0))
	a := w.refresh(p).Status.ActiveRevision
	w.edit(p, newFold)
	b := w.desired(p)
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.states(p)).To(Equal(b + ":*Active"))
	w.Expect(w.projectors().did).To(Equal([]string{"verify " + b, "cutover " + b, "retire " + a}))
}

func TestInPlaceEmptiesTheModelAndFoldsItAnew(t *testing.T) {
	w := newWorld(t)
	p := w.ready(strategy(v1alpha1.ReplayInPlace))
	a := w.refresh(p).Status.ActiveRevision
	w.cluster.holdJobs = true
	w.edit(p, newFold)
	b := w.desired(p)
	w.settle(p)
	w.Expect(w.expectReconciling(p, v1alpha1.ReasonEmptying)).To(ContainSubstring("readers look on"))
	w.Expect(w.pods()).To(BeEmpty())
	w.cluster.holdJobs = false
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.states(p)).To(Equal(b + ":*Active"))
	w.Expect(w.projectors().did).To(Equal([]string{"retire " + a}))
	w.Expect(w.deployments()).To(HaveLen(1))
	w.Expect(w.contracts()).To(HaveLen(1))
}

func TestAReadModelThatMovesIsBuiltThereAndTakenOver(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	a := w.refresh(p).Status.ActiveRevision
	w.projectors().speed = 10
	w.edit(p, elsewhere)
	b := w.desired(p)
	w.reaches(p, b, v1alpha1.RevisionBuilding)
	w.pass(p)
	w.Expect(w.refresh(p).Status.ActiveRevision).To(Equal(a), "not before it has caught up")
	w.projectors().speed = 0
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.states(p)).To(Equal(b + ":*Active " + a + ":Retained"))
	w.Expect(p.Status.Replays[0].Cause).To(Equal(v1alpha1.CauseMoved))
	w.clock.SetTime(w.clock.Now().Add(2 * time.Hour))
	w.settle(p)
	w.Expect(w.states(p)).To(Equal(b + ":*Active"))
	w.Expect(w.projectors().did).To(Equal([]string{"retire " + a}))
}

func TestAProjectionWithAnEndCompletesAndStops(t *testing.T) {
	w := newWorld(t)
	w.projectors().length = 1000
	p := w.create(func(p *v1alpha1.Projection) { p.Spec.Source.Until = "1795412031120-60" })
	w.settle(p)
	ready := w.condition(p, v1alpha1.ConditionReady)
	w.Expect(string(ready.Status) + ready.Reason).To(Equal("TrueCompleted"))
	w.Expect(*w.deployments()[0].Spec.Replicas).To(BeZero())
	w.Expect(w.pods()).To(BeEmpty())
	w.Expect(w.refresh(p).Status.LastAckedID).To(HaveSuffix("-60"))
	w.expectNoWrites(p)
	w.restart()
	w.settle(p)
	w.Expect(w.condition(p, v1alpha1.ConditionReady).Reason).To(Equal(v1alpha1.ReasonCompleted))
	w.Expect(w.projectors().starts).To(Equal(1))

	w.edit(p, func(p *v1alpha1.Projection) { p.Spec.Source.Until = "" })
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.refresh(p).Status.LastAckedID).To(HaveSuffix("-1000"))
}

func TestAnEditWhileTheModelIsEmptiedLeavesNoReplayOpen(t *testing.T) {
	w := newWorld(t)
	p := w.ready(strategy(v1alpha1.ReplayInPlace))
	w.cluster.holdJobs = true
	w.edit(p, newFold)
	w.settle(p)
	w.expectReconciling(p, v1alpha1.ReasonEmptying)
	w.edit(p, func(p *v1alpha1.Projection) { p.Spec.Reducer.Rules[3].Add["orders"] = "3" })
	w.settle(p)
	w.cluster.holdJobs = false
	w.settle(p)
	w.expectReady(p)
	w.Expect(p.Status.ActiveRevision).To(Equal(w.desired(p)))
	for _, record := range p.Status.Replays {
		w.Expect(record.FinishedAt).NotTo(BeNil(), "%v", record)
	}
}

// A server that keeps nothing over a restart begins to count anew.
func TestAReplayEndsAlsoAfterTheServerHasLostItsLedger(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	for range 2 { // publications: 3
		w.edit(p, newFold)
		w.comesTo(p, w.desired(p))
		w.edit(p, oldFold)
		w.comesTo(p, w.desired(p))
	}
	w.settle(p)
	w.clock.SetTime(w.clock.Now().Add(2 * time.Hour))
	w.settle(p)
	w.Expect(w.refresh(p).Status.Publication).To(BeEquivalentTo(5))
	w.projectors().lose(w)
	w.settle(p)
	w.expectReady(p)
	w.expectNoWrites(p)
	for _, fold := range []func(*v1alpha1.Projection){newFold, oldFold} {
		w.edit(p, fold)
		w.settle(p)
		w.expectReady(p)
		w.Expect(p.Status.ActiveRevision).To(Equal(w.desired(p)))
		w.Expect(w.projectors().model(w).active).To(Equal(w.desired(p)))
		w.expectNoWrites(p)
	}
}

// Who claims first in a ledger that is made anew is published: here it is the one
// that was only kept for a rollback.
func TestAfterTheServerHasLostItsLedgerReadersComeBackToTheSpec(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	a := w.refresh(p).Status.ActiveRevision
	w.edit(p, newFold)
	b := w.desired(p)
	w.comesTo(p, b)
	w.settle(p)
	w.projectors().lose(w)
	for _, pod := range w.pods() {
		if pod.Labels[v1alpha1.RevisionLabel] == a {
			_, err := w.projectors().Read(w.ctx, &pod)
			w.Expect(err).NotTo(HaveOccurred())
		}
	}
	w.Expect(w.projectors().model(w).active).To(Equal(a))
	w.until(p, func() bool { return w.refresh(p).Status.ActiveRevision == a })
	w.comesTo(p, b)
	w.settle(p)
	w.Expect(w.projectors().model(w).active).To(Equal(b))
	w.Expect(w.states(p)).To(HavePrefix(b + ":*Active"))
	w.expectNoWrites(p)
}
