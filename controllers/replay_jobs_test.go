package controllers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

func TestAJobThatFailsIsExplainedAndTriedAgain(t *testing.T) {
	for kind, reason := range map[string]string{"verify": v1alpha1.ReasonVerifyFailed, "cutover": v1alpha1.ReasonCutoverFailed} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.ready()
			a := w.refresh(p).Status.ActiveRevision
			w.projectors().jobErr[kind] = redisAway
			w.edit(p, newFold)
			b := w.desired(p)
			name := func(n int) string { return fmt.Sprintf("user-profile-%s-%s-%d", kind, b, n) }
			w.until(p, func() bool { return slices.ContainsFunc(w.jobNames(), func(n string) bool { return n == name(3) }) })
			ready := w.condition(p, v1alpha1.ConditionReady)
			w.Expect(ready.Reason).To(Equal(reason))
			w.Expect(ready.Message).To(And(ContainSubstring("redis.shop.svc:6379 refuses connections"), ContainSubstring("tried again by itself")))
			w.Expect(len(w.jobs())).To(BeNumerically("<=", 3))
			w.Expect(w.refresh(p).Status.ActiveRevision).To(Equal(a))
			clear(w.projectors().jobErr)
			w.until(p, func() bool { return w.isReady(p) })
			w.settle(p)
			w.expectReady(p)
			w.Expect(p.Status.ActiveRevision).To(Equal(b))
			w.Expect(w.jobs()).To(BeEmpty())
		})
	}
}

func (w *world) jobNames() (out []string) {
	for _, job := range w.jobs() {
		out = append(out, job.Name)
	}
	return out
}

func TestAJobThatVanishesIsRunAgain(t *testing.T) {
	for _, state := range []v1alpha1.RevisionState{v1alpha1.RevisionVerifying, v1alpha1.RevisionPromoting} {
		for _, ended := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s ended %t", state, ended), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				p := w.ready()
				w.edit(p, newFold)
				b := w.desired(p)
				w.reaches(p, b, state)
				w.cluster.holdJobs = !ended
				w.until(p, func() bool { return len(w.jobs()) == 1 })
				job := w.jobs()[0]
				w.cluster.delete(&job)
				w.cluster.holdJobs = false
				w.settle(p)
				w.expectReady(p)
				w.Expect(p.Status.ActiveRevision).To(Equal(b))
				w.Expect(w.jobs()).To(BeEmpty())
			})
		}
	}
}

func TestAJobWhosePodIsGoneBeforeItsResultIsReadIsRunAgain(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.edit(p, newFold)
	b := w.desired(p)
	w.reaches(p, b, v1alpha1.RevisionVerifying)
	w.until(p, func() bool { return len(w.jobs()) == 1 })
	for _, pod := range w.pods() {
		if strings.Contains(pod.Name, "-verify-") {
			w.cluster.delete(&pod)
		}
	}
	w.until(p, func() bool { return w.isReady(p) })
	w.Expect(p.Status.ActiveRevision).To(Equal(b))
	w.Expect(w.projectors().did).To(Equal([]string{"verify " + b, "verify " + b, "cutover " + b}))
}

func TestDeletionReachesEveryServer(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	a := w.refresh(p).Status.ActiveRevision
	w.edit(p, elsewhere)
	w.settle(p)
	w.expectReady(p)
	w.projectors().jobErr["retire"] = redisAway
	w.delete(p)
	w.until(p, func() bool { return len(w.jobs()) > 1 })
	w.Expect(w.expectStalled(p, v1alpha1.ReasonDropFailed)).To(ContainSubstring("refuses connections"))
	w.Expect(w.projectors().dropped).To(BeEmpty())
	clear(w.projectors().jobErr)
	w.until(p, func() bool { return !w.exists(p) })
	w.Expect(w.projectors().did).To(Equal([]string{"retire " + a}))
	w.Expect(w.projectors().dropped).To(Equal([]bool{true}))
}

func TestARevisionThatCannotBeRemovedDoesNotHurtReaders(t *testing.T) {
	w := newWorld(t)
	p := w.ready(window(0))
	a := w.refresh(p).Status.ActiveRevision
	w.projectors().jobErr["retire"] = redisAway
	w.edit(p, newFold)
	w.until(p, func() bool {
		return w.isReady(p) && strings.Contains(strings.Join(w.jobNames(), " "), "retire-"+a+"-3")
	})
	w.pass(p)
	w.expectReady(p)
	w.Expect(w.condition(p, v1alpha1.ConditionReady).Message).To(And(ContainSubstring("cannot be removed"), ContainSubstring("refuses connections")))
	clear(w.projectors().jobErr)
	w.until(p, func() bool { return len(w.refresh(p).Status.Revisions) == 1 && len(w.jobs()) == 0 })
	w.Expect(w.condition(p, v1alpha1.ConditionReady).Message).NotTo(ContainSubstring("cannot be removed"))
}

func TestDeletionDoesNotWaitForAServerThatNeverWas(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	a := w.refresh(p).Status.ActiveRevision
	w.projectors().changeOf = func(revision string, p *contract.Partition) {
		if revision != a {
			*p = contract.Partition{State: contract.StateClaiming, LagEvents: -1, Problem: redisAway}
		}
	}
	w.edit(p, elsewhere)
	w.settle(p)
	w.Expect(w.expectReconciling(p, contract.ReasonReadModelUnreachable)).To(ContainSubstring("readers still read revision " + a))
	w.projectors().jobErr["retire"] = redisAway
	w.delete(p)
	w.until(p, func() bool { return !w.exists(p) })
	w.Expect(w.projectors().dropped).To(Equal([]bool{true}))
}
