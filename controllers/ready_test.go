package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/projector/contract"
)

func (w *world) lists() []client.ObjectList {
	return []client.ObjectList{&v1alpha1.ProjectionList{}, &appsv1.DeploymentList{}, &corev1.ConfigMapList{},
		&batchv1.JobList{}, &corev1.PodList{}}
}

func TestAProjectionBecomesReadyAndMirrorsItsProjector(t *testing.T) {
	w := newWorld(t)
	p := w.ready()

	w.refresh(p)
	w.Expect(p.Status.ObservedGeneration).To(Equal(p.Generation))
	w.Expect(p.Status.ActiveRevision).To(Equal(plan.Revision(p.Spec)))
	w.Expect(p.Status.LastAckedID).To(Equal("1795412031120-100"))
	w.Expect(p.Status.Events).To(BeEquivalentTo(100))
	w.Expect(p.Status.LagEvents).To(HaveValue(BeEquivalentTo(0)))
	w.Expect(p.Status.Revisions).To(Equal([]v1alpha1.RevisionStatus{
		{Name: p.Status.ActiveRevision, State: v1alpha1.RevisionActive, LastAckedID: "1795412031120-100",
			PromotedAt: p.Status.Revisions[0].PromotedAt}}))
	w.Expect(p.Status.Replays).To(HaveLen(1))
	w.Expect(p.Status.Replays[0]).To(And(HaveField("Cause", v1alpha1.CauseFirstBuild), HaveField("Outcome", v1alpha1.OutcomePromoted),
		HaveField("FromID", "0-0"), HaveField("ToID", "1795412031120-100"), HaveField("Events", BeEquivalentTo(100))))
	w.Expect(p.Status.Partitions).To(HaveLen(1))
	w.Expect(meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionCaughtUp)).To(BeTrue())
	w.Expect(meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionHistoryComplete)).To(BeTrue())
	w.Expect(p.Finalizers).To(ContainElement(v1alpha1.Finalizer))
	w.Expect(w.events()).To(ContainSubstring("Normal Folding"))
}

func TestInSteadyStateNothingIsWritten(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	before, writes := w.fingerprint(), len(w.writes.log)
	for range 20 {
		result, err := w.reconcile(p)
		w.Expect(err).NotTo(HaveOccurred())
		w.Expect(result.RequeueAfter).To(Equal(pollLive))
		w.clock.SetTime(w.clock.Now().Add(result.RequeueAfter))
	}
	w.restart()
	_, err := w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(w.writes.log[writes:]).To(BeEmpty())
	w.Expect(w.fingerprint()).To(Equal(before))
}

func TestProgressIsWrittenEveryTenSecondsWhileLiveAndTransitionsAtOnce(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	_, err := w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.clock.SetTime(w.clock.Now().Add(pollLive))
	lastAcked := func() string { return w.refresh(p).Status.LastAckedID }
	advance := func(d time.Duration) {
		w.clock.SetTime(w.clock.Now().Add(d))
		_, err := w.reconcile(p)
		w.Expect(err).NotTo(HaveOccurred())
	}
	w.projectors().length = 200
	advance(0)
	w.Expect(lastAcked()).To(HaveSuffix("-200"))
	w.projectors().length = 300
	advance(4 * time.Second)
	w.Expect(lastAcked()).To(HaveSuffix("-200"), "mere progress waits")
	advance(6 * time.Second)
	w.Expect(lastAcked()).To(HaveSuffix("-300"))

	w.projectors().change = func(p *contract.Partition) { p.CaughtUp, p.State, p.LagEvents = false, contract.StateCatchingUp, 5000 }
	w.projectors().length = 400
	advance(time.Second)
	w.Expect(lastAcked()).To(HaveSuffix("-400"), "a transition does not wait")
	w.expectReady(p) // behind, but kept up
	w.projectors().length = 500
	advance(time.Second)
	w.Expect(lastAcked()).To(HaveSuffix("-400"))
	advance(time.Second)
	w.Expect(lastAcked()).To(HaveSuffix("-500"), "while behind it is written every two seconds")
}

func TestTheFirstCatchUpIsBuildingAndNotReady(t *testing.T) {
	w := newWorld(t)
	w.projectors().change = func(p *contract.Partition) { p.CaughtUp, p.State, p.LagEvents = false, contract.StateCatchingUp, 5000 }
	p := w.create()
	w.settle(p)
	w.expectReconciling(p, v1alpha1.ReasonBuilding)
	w.Expect(w.refresh(p).Status.ActiveRevision).NotTo(BeEmpty())
	w.Expect(p.Status.Revisions[0].State).To(Equal(v1alpha1.RevisionBuilding))
	w.projectors().change = nil
	w.settle(p)
	w.expectReady(p)
}
