package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
)

func TestReadyIsNeverSaidOfTheNewSpecWhileTheOldPodAnswers(t *testing.T) {
	changes := map[string]func(*v1alpha1.Projection){
		"credentials": newCredentials,
		"resources": func(p *v1alpha1.Projection) {
			p.Spec.Projector.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
		},
		"labels": func(p *v1alpha1.Projection) {
			p.Spec.Projector.PodLabels = map[string]v1alpha1.LabelValue{"team": "shop"}
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.ready()
			w.edit(p, change)
			_, err := w.reconcile(p)
			w.Expect(err).NotTo(HaveOccurred())
			w.expectReconciling(p, v1alpha1.ReasonRollingProjectors)
			w.settle(p)
			w.expectReady(p)
		})
	}
}

func TestAServiceAccountThatIsTakenBackIsTakenBackFromThePodToo(t *testing.T) {
	w := newWorld(t)
	p := w.ready(func(p *v1alpha1.Projection) { p.Spec.Projector.ServiceAccountName = "puller" })
	w.edit(p, func(p *v1alpha1.Projection) { p.Spec.Projector.ServiceAccountName = "" })
	w.settle(p)
	w.expectReady(p)
	template := w.deployments()[0].Spec.Template.Spec
	w.Expect(template.ServiceAccountName).To(BeEmpty())
}

func TestASelectorOfEverythingStaysOne(t *testing.T) {
	w := newWorld(t)
	term := corev1.PodAffinityTerm{TopologyKey: "kubernetes.io/hostname",
		LabelSelector: &metav1.LabelSelector{}, NamespaceSelector: &metav1.LabelSelector{}}
	p := w.ready(func(p *v1alpha1.Projection) {
		p.Spec.Projector.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{term}}}
	})
	w.Expect(w.deployments()[0].Spec.Template.Spec.Affinity).To(Equal(p.Spec.Projector.Affinity))
	w.expectNoWrites(p)
}

func TestOddQuantitiesAreWrittenOnce(t *testing.T) {
	w := newWorld(t)
	p := w.ready(func(p *v1alpha1.Projection) {
		p.Spec.Projector.Resources.Requests = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("100u"), corev1.ResourceMemory: resource.MustParse("0.1Gi")}
		p.Spec.Projector.Resources.Limits = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("1.0"), corev1.ResourceMemory: resource.MustParse("1024Mi")}
	})
	w.expectNoWrites(p)
}

// expectNoWrites fails if the next pass writes anything.
func (w *world) expectNoWrites(p *v1alpha1.Projection) {
	w.t.Helper()
	writes := len(w.writes.log)
	_, err := w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(w.writes.log[writes:]).To(BeEmpty())
}
