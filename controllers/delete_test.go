package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

var redisAway = &contract.Problem{Reason: contract.ReasonReadModelUnreachable,
	Message: "redis.shop.svc:6379 refuses connections", Remedy: "See whether the server runs"}

func (w *world) delete(p *v1alpha1.Projection, options ...client.DeleteOption) {
	w.t.Helper()
	w.Expect(w.client.Delete(w.ctx, p, options...)).To(Succeed())
}

func (w *world) jobs() []batchv1.Job {
	w.t.Helper()
	var list batchv1.JobList
	w.Expect(w.client.List(w.ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
	return list.Items
}

func TestDeletionFollowsItsPolicy(t *testing.T) {
	for policy, keep := range map[v1alpha1.DeletionPolicy]bool{v1alpha1.DeletionRetain: true, v1alpha1.DeletionDelete: false} {
		t.Run(string(policy), func(t *testing.T) {
			w := newWorld(t)
			p := w.ready(func(p *v1alpha1.Projection) { p.Spec.DeletionPolicy = policy })
			w.delete(p)
			w.settle(p)
			w.Expect(w.exists(p)).To(BeFalse())
			w.Expect(w.projectors().dropped).To(Equal([]bool{keep}))
			w.Expect(w.projectors().runs).To(BeEmpty())
			w.Expect(w.deployments()).To(BeEmpty())
			w.Expect(w.events()).To(ContainSubstring("Normal Deleted"))
		})
	}
}

func TestNothingIsDroppedWhileAProjectorStillRuns(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.cluster.stuckPods = true
	w.delete(p)
	w.settle(p)
	w.expectReconciling(p, v1alpha1.ReasonDeleting)
	w.Expect(w.jobs()).To(BeEmpty())
	w.cluster.stuckPods = false
	w.settle(p)
	w.Expect(w.exists(p)).To(BeFalse())
}

func TestDeletionOfWhatNeverStartedNeedsNoJob(t *testing.T) {
	w := newWorld(t)
	p := w.create(badReducer)
	w.settle(p)
	w.delete(p)
	w.settle(p)
	w.Expect(w.exists(p)).To(BeFalse())
	w.Expect(w.projectors().dropped).To(BeEmpty())
}

func TestDeletionDropsWhatTheActiveRevisionMade(t *testing.T) {
	w := newWorld(t)
	p := w.ready(manual, func(p *v1alpha1.Projection) { p.Spec.DeletionPolicy = v1alpha1.DeletionDelete })
	w.edit(p, func(p *v1alpha1.Projection) { p.Spec.ReadModel.RedisHash.KeyPrefix = "other:" })
	w.settle(p)
	w.Expect(w.condition(p, v1alpha1.ConditionHeld)).NotTo(BeNil())
	revision := p.Status.ActiveRevision
	w.projectors().dropErr = redisAway
	w.delete(p)
	w.until(p, func() bool { return len(w.jobs()) > 0 })
	w.Expect(w.jobs()[0].Labels).To(HaveKeyWithValue(v1alpha1.RevisionLabel, revision))
}

// until lets operator and cluster take turns until what is asked for holds.
func (w *world) until(p *v1alpha1.Projection, holds func() bool) {
	w.t.Helper()
	for range 60 {
		result, err := w.reconcile(p)
		if err != nil {
			w.t.Logf("reconcile: %v", err)
		}
		w.cluster.step()
		if holds() {
			return
		}
		w.clock.SetTime(w.clock.Now().Add(max(result.RequeueAfter, time.Second)))
	}
	w.t.Fatal("does not come to what the test waits for")
}

func TestDeletionThatFailsSaysWhyTriesOnAndEnds(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.projectors().dropErr = redisAway
	w.delete(p)
	w.until(p, func() bool { return len(w.jobs()) > 0 && w.jobs()[0].Name == "user-profile-drop-3" })
	message := w.expectStalled(p, v1alpha1.ReasonDropFailed)
	w.Expect(message).To(ContainSubstring("redis.shop.svc:6379 refuses connections. What to do: See whether the server runs."))
	w.Expect(message).To(ContainSubstring("kubectl -n " + w.namespace + " annotate projection user-profile refold.dev/abandon=true"))
	w.Expect(w.events()).To(ContainSubstring("Warning DropFailed"))

	w.projectors().dropErr = nil
	w.until(p, func() bool { return !w.exists(p) })
	w.Expect(w.projectors().dropped).To(Equal([]bool{true}))
}

func TestFailedDropsBackOff(t *testing.T) {
	for attempt, want := range map[int]time.Duration{1: 10 * time.Second, 2: 20 * time.Second, 5: 160 * time.Second, 6: maxBackoff, 1000: maxBackoff} {
		if got := backoff(attempt); got != want {
			t.Errorf("after attempt %d: %s, want %s", attempt, got, want)
		}
	}
}

func TestAbandonGivesUpAtOnceAndListsWhatIsLeft(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.projectors().dropErr = redisAway
	w.delete(p)
	w.until(p, func() bool { return len(w.jobs()) > 0 })
	w.events()
	w.edit(p, func(p *v1alpha1.Projection) { p.Annotations = map[string]string{v1alpha1.AbandonAnnotation: "true"} })
	revision := p.Status.ActiveRevision
	_, err := w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(w.exists(p)).To(BeFalse())
	w.Expect(w.events()).To(And(ContainSubstring("Warning Abandoned"), ContainSubstring("left behind"), ContainSubstring("the keys user:*"),
		ContainSubstring("refold:{"+w.namespace+"/user-profile}"),
		ContainSubstring("refold:"+w.namespace+"/user-profile:"+revision+" of the stream user_events")))
}

func TestANamespaceThatGoesIsNotHeld(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.projectors().dropErr = redisAway
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
	w.Expect(w.client.Delete(w.ctx, namespace)).To(Succeed())
	w.delete(p) // envtest has no namespace controller that would
	_, err := w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(w.exists(p)).To(BeFalse())
	w.Expect(w.events()).To(ContainSubstring("the namespace is being deleted"))
}

func TestANamespaceThatTakesChildrenFirstIsNoError(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.Expect(w.client.Delete(w.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})).To(Succeed())
	for _, d := range w.deployments() {
		w.cluster.delete(&d)
	}
	result, err := w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(result.RequeueAfter).NotTo(BeZero())
	w.Expect(w.condition(p, v1alpha1.ConditionStalled)).To(BeNil())
}

func TestAProjectionThatNeverTookOverGoesWithoutASecondCommand(t *testing.T) {
	w := newWorld(t)
	w.projectors().silent = true
	p := w.create()
	w.settle(p)
	w.projectors().dropErr = redisAway
	w.delete(p)
	w.until(p, func() bool { return !w.exists(p) })
	w.Expect(w.events()).To(ContainSubstring("Warning Abandoned"))
}

func TestForegroundDeletionRunsTheJobToo(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.delete(p, client.PropagationPolicy(metav1.DeletePropagationForeground))
	// What the garbage collector does first.
	for _, d := range w.deployments() {
		w.Expect(w.client.Delete(w.ctx, &d)).To(Succeed())
	}
	for _, configMap := range w.contracts() {
		w.Expect(w.client.Delete(w.ctx, &configMap)).To(Succeed())
	}
	w.until(p, func() bool { return len(w.projectors().dropped) > 0 })
	for _, job := range w.jobs() {
		w.Expect(job.OwnerReferences[0].BlockOwnerDeletion).To(BeNil(), "else it would be removed under way")
	}
}

func TestASuspendedProjectionIsDeletedLikeAnyOther(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.edit(p, suspend)
	w.settle(p)
	w.delete(p)
	w.settle(p)
	w.Expect(w.exists(p)).To(BeFalse())
	w.Expect(w.projectors().dropped).To(Equal([]bool{true}))
}
