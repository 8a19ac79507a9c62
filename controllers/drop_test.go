package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/refold-dev/refold/api/v1alpha1"
)

func TestRemovalIsTriedAtLeastOnceHoweverLateTheOperator(t *testing.T) {
	w := newWorld(t)
	w.projectors().silent = true
	p := w.create()
	w.settle(p)
	w.delete(p)
	w.clock.SetTime(w.clock.Now().Add(2 * time.Hour))
	w.until(p, func() bool { return !w.exists(p) })
	w.Expect(w.projectors().dropped).To(Equal([]bool{true}))
	w.Expect(w.events()).To(And(ContainSubstring("Normal Deleted"), Not(ContainSubstring("Abandoned"))))
}

func TestAJobThatIsRefusedSaysHowToGiveUp(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.edit(p, func(p *v1alpha1.Projection) {
		p.Spec.Projector.Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("4Gi")}
		p.Spec.Projector.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
	})
	w.delete(p)
	w.until(p, func() bool { return w.condition(p, v1alpha1.ConditionStalled) != nil })
	w.Expect(w.expectStalled(p, v1alpha1.ReasonObjectRefused)).To(And(
		ContainSubstring("must be less than or equal to memory limit"), ContainSubstring("refold.dev/abandon=true")))
}
