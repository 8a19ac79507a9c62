package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

func TestAReplayIsRefusedWhenTheLogHasLostItsBeginning(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	a := w.refresh(p).Status.ActiveRevision
	w.projectors().change = func(p *contract.Partition) { p.History = contract.HistoryIncomplete }
	w.settle(p)
	w.edit(p, newFold)
	w.settle(p)
	w.Expect(w.expectStalled(p, v1alpha1.ReasonHistoryRequired)).To(ContainSubstring("Available"))
	w.Expect(w.states(p)).To(Equal(a + ":*Active"))
	w.Expect(w.deployments()).To(HaveLen(1))
	w.expectNoWrites(p)
	w.edit(p, func(p *v1alpha1.Projection) { p.Spec.Replay.History = v1alpha1.HistoryAvailable })
	w.settle(p)
	w.expectReady(p)
	w.Expect(p.Status.ActiveRevision).To(Equal(w.desired(p)))
}

func TestABrokenCandidateLeavesReadersTheActiveRevision(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	a := w.refresh(p).Status.ActiveRevision
	w.edit(p, newFold)
	b := w.desired(p)
	w.projectors().changeOf = func(revision string, p *contract.Partition) {
		if revision == b {
			p.State, p.CaughtUp = contract.StateHalted, false
			p.Problem = &contract.Problem{Reason: contract.ReasonEventFailed, Message: "no such field", EventID: "5-1", Permanent: true}
		}
	}
	w.settle(p)
	w.Expect(w.expectStalled(p, contract.ReasonEventFailed)).To(And(ContainSubstring("event 5-1"), ContainSubstring("readers still read revision "+a)))
	w.Expect(meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionCaughtUp)).To(BeTrue(), "it is about the active one")
	w.projectors().length = 500
	w.settle(p)
	w.Expect(w.refresh(p).Status.LastAckedID).To(HaveSuffix("-500"))
	w.edit(p, oldFold)
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.states(p)).To(Equal(a + ":*Active"))
}

func TestAfterAnUpgradeAReplayBringsTheActiveRevisionToTheNewImage(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	a := w.refresh(p).Status.ActiveRevision
	w.projectors().oldImage = "refold-projector:v1"
	w.restart()
	w.r.Image = "refold-projector:v2"
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.podOf(a).Spec.Containers[0].Image).To(Equal("refold-projector:v1"), "an upgrade alone restarts nothing")
	w.edit(p, newFold)
	w.settle(p)
	w.expectReady(p)
	w.Expect(p.Status.ActiveRevision).To(Equal(w.desired(p)))
	w.Expect(w.podOf(a).Spec.Containers[0].Image).To(Equal("refold-projector:v2"), "an older one would not stand still for a cutover")
}

func TestARefusedReplayIsNotRecorded(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.projectors().change = func(p *contract.Partition) { p.History = contract.HistoryIncomplete }
	w.settle(p)
	w.events()
	w.edit(p, newFold)
	w.settle(p)
	w.expectStalled(p, v1alpha1.ReasonHistoryRequired)
	w.Expect(p.Status.Replays).To(HaveLen(1))
	w.Expect(w.events()).To(And(ContainSubstring("Warning HistoryRequired"), Not(ContainSubstring("ReplayStarted"))))
}
