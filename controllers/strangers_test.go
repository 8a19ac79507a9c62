package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

// stranger is a pod that bears the labels of a projector but belongs to nobody:
// one that was taken out of its ReplicaSet to be looked at, or one that lies.
func (w *world) stranger(revision string) *corev1.Pod {
	w.t.Helper()
	like := w.pods()[0]
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "stranger", Labels: like.Labels}, Spec: like.Spec}
	pod.Spec.ServiceAccountName, pod.Spec.NodeName = "", ""
	pod.Labels[v1alpha1.RevisionLabel] = revision
	w.Expect(w.client.Create(w.ctx, pod)).To(Succeed())
	pod.Status = like.Status
	w.Expect(w.client.Status().Update(w.ctx, pod)).To(Succeed())
	return pod
}

func TestAPodThatOnlyBearsTheLabelsHoldsUpNoDeletion(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.stranger(p.Status.ActiveRevision)
	w.cluster.strangers = true
	w.delete(p)
	w.until(p, func() bool { return !w.exists(p) })
	w.Expect(w.projectors().dropped).To(Equal([]bool{true}))
}

func TestAPodThatOnlyBearsTheLabelsHoldsUpNoRollout(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.stranger("another1")
	w.cluster.strangers = true
	w.settle(p)
	w.expectReady(p)
}

func TestAPodThatOnlyBearsTheLabelsIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	stranger := w.stranger(p.Status.ActiveRevision)
	w.cluster.strangers = true
	w.projectors().Run(stranger, []byte(w.contracts()[0].Data[contract.FileName]))
	w.projectors().asked = nil
	_, err := w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(w.projectors().asked).NotTo(ContainElement(stranger.Name))
	w.Expect(client.IgnoreNotFound(w.client.Delete(w.ctx, stranger))).To(Succeed())
}

func TestAPodThatHasEndedHoldsUpNoDeletion(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	pod := w.pods()[0]
	pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "Evicted"
	w.Expect(w.client.Status().Update(w.ctx, &pod)).To(Succeed())
	w.cluster.stuckPods = true
	w.delete(p)
	w.until(p, func() bool { return !w.exists(p) })
}
