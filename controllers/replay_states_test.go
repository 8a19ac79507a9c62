package controllers

import (
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// stages are states of a candidate, and how to have it stay there.
var stages = map[v1alpha1.RevisionState]func(*world){
	v1alpha1.RevisionBuilding:  func(w *world) { w.projectors().speed = 1 },
	v1alpha1.RevisionVerifying: func(w *world) { w.cluster.holdJobs = true },
	v1alpha1.RevisionHeld:      func(w *world) { w.projectors().diff.Changed = 1000 },
	v1alpha1.RevisionPromoting: func(w *world) { w.projectors().jobErr["cutover"] = redisAway },
	v1alpha1.RevisionRetained:  func(*world) {},
	v1alpha1.RevisionActive:    func(*world) {},
}

// staged is a Projection whose second revision has come to a state. For Retained
// it is the first that is.
func (w *world) staged(state v1alpha1.RevisionState, changes ...func(*v1alpha1.Projection)) (p *v1alpha1.Projection, a, b string) {
	w.t.Helper()
	p = w.ready(changes...)
	a = w.refresh(p).Status.ActiveRevision
	stages[state](w)
	w.edit(p, newFold)
	b = w.desired(p)
	at := b
	if state == v1alpha1.RevisionRetained {
		at = a
	}
	w.reaches(p, at, state)
	return p, a, b
}

// relieve takes away what has kept a candidate where it was.
func (w *world) relieve() {
	w.cluster.holdJobs = false
	w.projectors().speed = 0
	w.projectors().diff.Changed = 0
	clear(w.projectors().jobErr)
}

func TestBackToTheOldSpecInEveryState(t *testing.T) {
	for state := range stages {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p, a, b := w.staged(state)
			w.edit(p, oldFold)
			w.pass(p)
			w.relieve()
			w.settle(p)
			w.expectReady(p)
			w.Expect(p.Status.ActiveRevision).To(Equal(a))
			wasPublished := state == v1alpha1.RevisionRetained || state == v1alpha1.RevisionActive
			if wasPublished {
				w.Expect(w.states(p)).To(Equal(a + ":*Active " + b + ":Retained"))
				w.Expect(p.Status.Replays[0]).To(And(HaveField("Cause", v1alpha1.CauseRollback), HaveField("Outcome", v1alpha1.OutcomePromoted)))
				w.Expect(w.events()).To(ContainSubstring("RolledBack"))
			}
			w.clock.SetTime(w.clock.Now().Add(2 * time.Hour))
			w.settle(p)
			w.expectReady(p)
			w.Expect(w.states(p)).To(Equal(a + ":*Active"))
			w.Expect(w.deployments()).To(HaveLen(1))
			w.Expect(w.contracts()).To(HaveLen(1))
			w.Expect(w.jobs()).To(BeEmpty())
			w.Expect(w.projectors().model(w).active).To(Equal(a))
			for _, record := range p.Status.Replays {
				w.Expect(record.FinishedAt).NotTo(BeNil())
			}
		})
	}
}

func TestTheNewestSpecWinsInEveryState(t *testing.T) {
	for state := range stages {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p, _, b := w.staged(state)
			w.edit(p, func(p *v1alpha1.Projection) { p.Spec.Reducer.Rules[3].Add["orders"] = "3" })
			c := w.desired(p)
			w.pass(p)
			w.relieve()
			w.settle(p)
			w.expectReady(p)
			w.Expect(p.Status.ActiveRevision).To(Equal(c))
			if state == v1alpha1.RevisionBuilding {
				w.Expect(w.projectors().did).NotTo(ContainElement("cutover " + b))
				w.Expect(w.events()).To(ContainSubstring("Superseded"))
			}
			w.clock.SetTime(w.clock.Now().Add(2 * time.Hour))
			w.settle(p)
			w.Expect(w.states(p)).To(Equal(c + ":*Active"))
			w.Expect(w.deployments()).To(HaveLen(1))
			w.Expect(w.contracts()).To(HaveLen(1))
		})
	}
}

func TestChildrenDeletedByHandInEveryState(t *testing.T) {
	for state := range stages {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p, _, b := w.staged(state)
			for _, d := range w.deployments() {
				w.cluster.delete(&d)
			}
			for _, c := range w.contracts() {
				w.cluster.delete(&c)
			}
			for _, job := range w.jobs() {
				w.cluster.delete(&job)
			}
			w.pass(p)
			w.relieve()
			w.settle(p)
			if state == v1alpha1.RevisionHeld {
				w.Expect(w.stateOf(p, b)).To(Equal(state))
				return
			}
			w.expectReady(p)
			w.Expect(p.Status.ActiveRevision).To(Equal(b))
		})
	}
}

func TestSuspendInEveryState(t *testing.T) {
	for state := range stages {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p, _, b := w.staged(state)
			w.edit(p, suspend)
			w.pass(p)
			w.relieve()
			w.settle(p)
			w.Expect(w.condition(p, v1alpha1.ConditionReady).Reason).To(Equal(v1alpha1.ReasonSuspended))
			w.Expect(slices.DeleteFunc(w.pods(), isJobPod)).To(BeEmpty())
			w.edit(p, resume)
			w.settle(p)
			if state == v1alpha1.RevisionHeld {
				w.Expect(w.stateOf(p, b)).To(Equal(state))
				return
			}
			w.expectReady(p)
			w.Expect(p.Status.ActiveRevision).To(Equal(b))
		})
	}
}

func TestDeletionInEveryState(t *testing.T) {
	for state := range stages {
		for _, policy := range []v1alpha1.DeletionPolicy{v1alpha1.DeletionRetain, v1alpha1.DeletionDelete} {
			t.Run(string(state)+" "+string(policy), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				p, _, _ := w.staged(state, func(p *v1alpha1.Projection) { p.Spec.DeletionPolicy = policy })
				w.cluster.holdJobs = false
				w.delete(p)
				w.settle(p)
				w.Expect(w.exists(p)).To(BeFalse())
				w.Expect(w.projectors().dropped).To(Equal([]bool{policy == v1alpha1.DeletionRetain}))
				w.Expect(w.deployments()).To(BeEmpty())
				for _, name := range w.jobNames() {
					w.Expect(name).To(ContainSubstring("-drop-"))
				}
			})
		}
	}
}

func TestMoreEditsThanStatusHasRoomForLeaveNothingBehind(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	for i := range 6 {
		w.edit(p, func(p *v1alpha1.Projection) {
			p.Spec.Reducer.Rules[3].Add["orders"] = v1alpha1.Expression(rune('2' + i))
		})
		w.until(p, func() bool { return w.isReady(p) && p.Status.ActiveRevision == w.desired(p) })
		w.settle(p)
		w.Expect(len(w.refresh(p).Status.Revisions)).To(BeNumerically("<=", maxRevisions))
		w.Expect(w.projectors().model(w).events).To(HaveLen(len(p.Status.Revisions)), w.states(p))
		w.Expect(w.contracts()).To(HaveLen(len(p.Status.Revisions)))
	}
	w.Expect(p.Status.Replays).To(HaveLen(7))
	w.clock.SetTime(w.clock.Now().Add(2 * time.Hour))
	w.until(p, func() bool { return len(w.refresh(p).Status.Revisions) == 1 && len(w.jobs()) == 0 })
	w.settle(p)
	w.Expect(w.projectors().model(w).events).To(HaveLen(1))
	w.Expect(w.contracts()).To(HaveLen(1))
}
