package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
)

func suspend(p *v1alpha1.Projection) { p.Spec.Suspend = true }
func resume(p *v1alpha1.Projection)  { p.Spec.Suspend = false }

func (w *world) pods() []corev1.Pod {
	w.t.Helper()
	var list corev1.PodList
	w.Expect(w.client.List(w.ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
	return list.Items
}

func TestSuspendStopsTheProjectorAndKeepsThePosition(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.edit(p, suspend)
	w.settle(p)

	w.Expect(w.pods()).To(BeEmpty())
	ready := w.condition(p, v1alpha1.ConditionReady)
	w.Expect(ready.Status).To(Equal(metav1.ConditionFalse))
	w.Expect(ready.Reason).To(Equal(v1alpha1.ReasonSuspended))
	w.Expect(w.condition(p, v1alpha1.ConditionReconciling)).To(BeNil())
	w.Expect(p.Status.LastAckedID).To(HaveSuffix("-100"))
	w.Expect(p.Status.LagEvents).To(BeNil(), "nobody knows it now")
	w.Expect(p.Status.ActiveRevision).NotTo(BeEmpty())

	result, err := w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(result.RequeueAfter).To(BeZero(), "a suspended Projection is left in peace")

	w.projectors().length = 200
	w.edit(p, resume)
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.refresh(p).Status.LastAckedID).To(HaveSuffix("-200"))
}

func TestAProjectionThatIsCreatedSuspendedRunsNothing(t *testing.T) {
	w := newWorld(t)
	p := w.create(suspend)
	w.settle(p)
	w.Expect(w.pods()).To(BeEmpty())
	w.edit(p, resume)
	w.settle(p)
	w.expectReady(p)
}
