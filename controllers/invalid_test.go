package controllers

import (
	"errors"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/refold-dev/refold/api/v1alpha1"
)

func badReducer(p *v1alpha1.Projection) { p.Spec.Reducer.Rules[1].Set["email"] = "evnt.email" }

func TestAReducerThatDoesNotCompileIsRefusedBeforeAnyPodStarts(t *testing.T) {
	w := newWorld(t)
	p := w.create(badReducer)
	_, err := w.reconcile(p)
	w.Expect(errors.Is(err, reconcile.TerminalError(nil))).To(BeTrue(), "nothing is tried again until the spec changes")
	w.Expect(w.expectStalled(p, v1alpha1.ReasonInvalidReducer)).To(
		Equal("reducer.rules[1].set.email: 1:1: undeclared reference to 'evnt'"))
	w.Expect(w.deployments()).To(BeEmpty())
	w.Expect(w.contracts()).To(BeEmpty())

	w.edit(p, func(p *v1alpha1.Projection) { p.Spec.Reducer.Rules[1].Set["email"] = "event.email" })
	w.settle(p)
	w.expectReady(p)
}

func TestABadEditLeavesTheActiveRevisionRunning(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	pod := w.pods()[0].UID
	w.edit(p, badReducer)
	w.settle(p)
	w.expectStalled(p, v1alpha1.ReasonInvalidReducer)
	w.projectors().length = 300
	w.settle(p)
	w.Expect(w.refresh(p).Status.LastAckedID).To(HaveSuffix("-300"), "the old revision folds on and is followed")
	w.edit(p, func(p *v1alpha1.Projection) { p.Spec.Reducer.Rules[1].Set["email"] = "event.email" })
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.pods()[0].UID).To(Equal(pod))
}

func TestATimeThatTheSchemaCannotRefuseIsRefusedByTheOperator(t *testing.T) {
	for _, from := range []string{"2026-02-30T00:00:00Z", "99999999999999999999-0", "1970-01-01T00:00:00+01:00"} {
		w := newWorld(t)
		p := w.create(func(p *v1alpha1.Projection) { p.Spec.Source.From = from })
		_, err := w.reconcile(p)
		w.Expect(errors.Is(err, reconcile.TerminalError(nil))).To(BeTrue())
		w.Expect(w.expectStalled(p, v1alpha1.ReasonInvalidSpec)).To(ContainSubstring(from))
	}
}

func TestABadSpecStopsWhatNeverTookOver(t *testing.T) {
	w := newWorld(t)
	w.projectors().silent = true
	p := w.create()
	w.settle(p)
	w.Expect(w.deployments()).To(HaveLen(1))
	w.edit(p, badReducer)
	w.settle(p)
	w.Expect(w.deployments()).To(BeEmpty())
	w.projectors().silent = false
	w.edit(p, func(p *v1alpha1.Projection) { p.Spec.Reducer.Rules[1].Set["email"] = "event.email" })
	w.settle(p)
	w.expectReady(p)
}

func TestASpecOlderThanTheBoundOnMemoryIsRefusedByTheOperator(t *testing.T) {
	g := NewWithT(t)
	p := &v1alpha1.Projection{}
	p.Spec.Source.From = "0"
	p.Spec.Projector.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("32Mi")}
	fault := (&Reconciler{}).invalidSpec(&scope{projection: p})
	g.Expect(fault.Reason).To(Equal(v1alpha1.ReasonInvalidSpec))
	g.Expect(fault.Message).To(Equal("projector.resources.limits.memory: 32Mi is too little; a projector needs 64Mi or more"))
}
