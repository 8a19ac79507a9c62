package controllers

import (
	"strings"
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

// replace puts another contract in the place of one, as kubectl replace --force does.
func (w *world) replace(configMap corev1.ConfigMap, change func(string) string) {
	w.t.Helper()
	next := configMap.DeepCopy()
	next.ObjectMeta = metav1.ObjectMeta{Namespace: configMap.Namespace, Name: configMap.Name,
		Labels: configMap.Labels, Annotations: configMap.Annotations, OwnerReferences: configMap.OwnerReferences}
	next.Data[contract.FileName] = change(next.Data[contract.FileName])
	w.Expect(w.client.Delete(w.ctx, &configMap)).To(Succeed())
	w.Expect(w.client.Create(w.ctx, next)).To(Succeed())
}

func TestAContractThatSomebodyHasReplacedIsNotTrusted(t *testing.T) {
	changes := map[string]func(string) string{
		"by another fold":     func(s string) string { return strings.Replace(s, `"orders": "1"`, `"orders": "5"`, 1) },
		"by another spelling": func(s string) string { return s + "\n" },
	}
	for name, change := range changes {
		for _, edit := range []func(*v1alpha1.Projection){newFold, oldFold} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t)
				p := w.ready(manual)
				before := w.contracts()[0]
				w.edit(p, edit)
				w.settle(p)
				starts := w.projectors().starts
				w.replace(*before.DeepCopy(), change)
				w.restart()
				w.settle(p)
				after := &corev1.ConfigMap{}
				w.Expect(w.client.Get(w.ctx, client.ObjectKeyFromObject(&before), after)).To(Succeed())
				w.Expect(after.Data).To(Equal(before.Data))
				w.Expect(w.projectors().starts).To(Equal(starts), "and no pod is restarted")
			})
		}
	}
}

func TestWhatADeletedNamesakeHasLeftIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.edit(p, func(p *v1alpha1.Projection) { p.Finalizers = nil })
	w.delete(p)
	p = w.create()
	_, err := w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(w.expectReconciling(p, v1alpha1.ReasonRetrying)).To(ContainSubstring("of a deleted Projection of this name"))
	// What the garbage collector does.
	for _, d := range w.deployments() {
		w.cluster.delete(&d)
	}
	for _, configMap := range w.contracts() {
		w.cluster.delete(&configMap)
	}
	w.settle(p)
	w.expectReady(p)
}
