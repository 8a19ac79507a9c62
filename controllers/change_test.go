package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

func newCredentials(p *v1alpha1.Projection) {
	p.Spec.Source.Redis.CredentialsSecretRef = &v1alpha1.SecretReference{Name: "redis-new"}
}

func newFold(p *v1alpha1.Projection) { p.Spec.Reducer.Rules[3].Add["orders"] = "2" }
func oldFold(p *v1alpha1.Projection) { p.Spec.Reducer.Rules[3].Add["orders"] = "1" }

func (w *world) deployments() []appsv1.Deployment {
	w.t.Helper()
	var list appsv1.DeploymentList
	w.Expect(w.client.List(w.ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
	return list.Items
}

// contracts are the ConfigMaps that hold one; every namespace has another besides.
func (w *world) contracts() []corev1.ConfigMap {
	w.t.Helper()
	var list corev1.ConfigMapList
	w.Expect(w.client.List(w.ctx, &list, client.InNamespace(w.namespace), client.HasLabels{v1alpha1.RevisionLabel})).To(Succeed())
	return list.Items
}

// mounted is the contract that the one pod runs by.
func (w *world) mounted() contract.Document {
	w.t.Helper()
	pods := w.pods()
	w.Expect(pods).To(HaveLen(1))
	d, err := contract.Decode(w.cluster.document(&pods[0]))
	w.Expect(err).NotTo(HaveOccurred())
	return d
}

func TestAChangeOfCredentialsRollsThePodAndKeepsTheRevision(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	revision, starts := w.refresh(p).Status.ActiveRevision, w.projectors().starts
	w.edit(p, newCredentials)
	w.settle(p)

	w.expectReady(p)
	w.Expect(p.Status.ActiveRevision).To(Equal(revision))
	w.Expect(w.projectors().starts).To(Equal(starts + 1))
	w.Expect(w.mounted().Source.Redis.Credentials.SecretName).To(Equal("redis-new"))
	w.Expect(w.mounted().ReadModel.RedisHash.Redis.Credentials.SecretName).To(Equal("redis-new"), "the read model shares the server")
	w.Expect(w.deployments()).To(HaveLen(1))
	w.Expect(w.contracts()).To(HaveLen(1), "the old contract is collected")
}

func TestAChangeOfResourcesRollsThePodAndKeepsTheContract(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	before := w.contracts()[0].Name
	w.edit(p, func(p *v1alpha1.Projection) {
		p.Spec.Projector.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
	})
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.contracts()[0].Name).To(Equal(before))
	w.Expect(w.pods()[0].Spec.Containers[0].Env).To(ContainElement(corev1.EnvVar{Name: "GOMEMLIMIT", Value: "966367638"}))
}

func TestAFieldThatIsTakenBackIsTakenBackFromThePodToo(t *testing.T) {
	w := newWorld(t)
	p := w.ready(func(p *v1alpha1.Projection) {
		p.Spec.Projector.NodeSelector = map[string]string{"disk": "fast"}
		p.Spec.Projector.PodLabels = map[string]v1alpha1.LabelValue{"team": "shop"}
	})
	w.Expect(w.pods()[0].Spec.NodeSelector).To(HaveKey("disk"))
	w.edit(p, func(p *v1alpha1.Projection) { p.Spec.Projector = v1alpha1.ProjectorSpec{} })
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.pods()[0].Spec.NodeSelector).To(BeEmpty())
	w.Expect(w.pods()[0].Labels).NotTo(HaveKey("team"))
}

func TestAChangeOfTheFoldIsNeverFoldedIntoTheSameModel(t *testing.T) {
	w := newWorld(t)
	p := w.ready(manual)
	revision, pod := w.refresh(p).Status.ActiveRevision, w.pods()[0].UID
	w.edit(p, newFold)
	w.settle(p)

	w.Expect(w.condition(p, v1alpha1.ConditionReady).Reason).To(Equal(v1alpha1.ReasonAwaitingApproval))
	w.Expect(p.Status.ActiveRevision).To(Equal(revision))
	w.Expect(w.podOf(revision).UID).To(Equal(pod), "the old revision goes on unchanged")

	w.projectors().length = 700
	w.settle(p)
	w.Expect(w.refresh(p).Status.LastAckedID).To(HaveSuffix("-700"), "and status follows it")

	w.edit(p, oldFold)
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.podOf(revision).UID).To(Equal(pod))
}

// podOf is the pod of a revision's projector.
func (w *world) podOf(revision string) *corev1.Pod {
	w.t.Helper()
	for _, pod := range w.pods() {
		if pod.Labels[v1alpha1.RevisionLabel] == revision && resources.IsProjector(pod.Labels) {
			return &pod
		}
	}
	w.t.Fatalf("revision %s has no pod", revision)
	return nil
}

// mountedBy is the contract that a revision's projector runs by.
func (w *world) mountedBy(revision string) contract.Document {
	w.t.Helper()
	d, err := contract.Decode(w.cluster.document(w.podOf(revision)))
	w.Expect(err).NotTo(HaveOccurred())
	return d
}

func TestBesideACandidateTheOldRevisionStillTakesNewCredentials(t *testing.T) {
	w := newWorld(t)
	p := w.ready(manual)
	revision := w.refresh(p).Status.ActiveRevision
	w.edit(p, newFold)
	w.edit(p, newCredentials)
	w.edit(p, func(p *v1alpha1.Projection) { p.Spec.Replay.MaxEventsPerSecond = 500 })
	w.settle(p)

	d := w.mountedBy(revision)
	w.Expect(d.Revision).To(Equal(revision))
	w.Expect(d.Reducer.Rules[3].Add["orders"]).To(Equal("1"))
	w.Expect(d.Source.Redis.Credentials.SecretName).To(Equal("redis-new"))
	w.Expect(d.Replay.MaxEventsPerSecond).To(BeEquivalentTo(500))
	w.Expect(w.contracts()).To(HaveLen(2))
}

func TestBesideACandidateADeletedContractIsMadeAnew(t *testing.T) {
	w := newWorld(t)
	p := w.ready(manual)
	before := w.contracts()[0]
	w.edit(p, newFold)
	w.settle(p)
	w.Expect(w.client.Delete(w.ctx, before.DeepCopy())).To(Succeed())
	w.restart() // nor does memory help
	w.settle(p)
	after := &corev1.ConfigMap{}
	w.Expect(w.client.Get(w.ctx, client.ObjectKeyFromObject(&before), after)).To(Succeed())
	w.Expect(after.Data).To(Equal(before.Data))
}

func TestARevisionThatFoldedNothingGivesWay(t *testing.T) {
	w := newWorld(t)
	w.projectors().length = 0
	p := w.ready()
	first := w.refresh(p).Status.ActiveRevision
	w.edit(p, newFold)
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.refresh(p).Status.ActiveRevision).NotTo(Equal(first))
	w.Expect(w.deployments()).To(HaveLen(1))
	w.Expect(w.contracts()).To(HaveLen(1))
}

func TestAModelThatFoldedSomethingAfterAllIsReplacedByAReplay(t *testing.T) {
	w := newWorld(t)
	w.projectors().length = 0
	p := w.ready()
	first := w.refresh(p).Status.ActiveRevision
	// The first event arrives after the last reading, and the pod falls silent.
	w.projectors().model(w).events[first] = 7
	w.projectors().length = 7
	w.projectors().silent = true
	w.edit(p, newFold)
	_, err := w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.cluster.step()
	w.projectors().silent = false
	w.settle(p)
	w.expectReady(p)
	second := w.desired(p)
	w.Expect(w.states(p)).To(Equal(second + ":*Active " + first + ":Retained"))
	w.Expect(w.projectors().did).To(Equal([]string{"verify " + second, "cutover " + second}))
}

func TestAnUpgradeOfTheOperatorRestartsNothing(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	writes := len(w.writes.log)
	w.restart()
	w.r.Image = "refold-projector:v2"
	w.settle(p)
	w.Expect(w.writes.log[writes:]).To(BeEmpty())
	w.Expect(w.pods()[0].Spec.Containers[0].Image).To(Equal("refold-projector:v1"))

	w.edit(p, newCredentials)
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.pods()[0].Spec.Containers[0].Image).To(Equal("refold-projector:v2"), "a pod that is rolled anyway takes the new image")
}

// The trigger is written beside the contract, where no pod sees it.
func TestATriggerIsWrittenDownWithoutARestart(t *testing.T) {
	w := newWorld(t)
	p := w.ready(func(p *v1alpha1.Projection) { p.Spec.Replay.Trigger = "once" })
	first := w.refresh(p).Status.ActiveRevision
	configMap, deployment := w.contracts()[0], w.deployments()[0]
	for _, object := range []client.Object{&configMap, &deployment} { // as an operator that did not write it down has left them
		none := []byte(`{"metadata":{"annotations":{"` + resources.TriggerAnnotation + `":null,"refold.dev/applied":null}}}`)
		w.Expect(w.client.Patch(w.ctx, object, client.RawPatch(types.MergePatchType, none))).To(Succeed())
	}
	w.Expect(w.contracts()[0].Annotations).NotTo(HaveKey(resources.TriggerAnnotation))
	starts := w.projectors().starts
	w.restart()
	w.settle(p)
	w.Expect(w.projectors().starts).To(Equal(starts))
	w.edit(p, func(p *v1alpha1.Projection) { p.Spec.Replay.Trigger = "twice" })
	w.comesTo(p, w.desired(p))
	w.settle(p)
	for _, c := range w.contracts() {
		want := map[bool]string{true: "once", false: "twice"}[c.Labels[v1alpha1.RevisionLabel] == first]
		w.Expect(c.Annotations).To(HaveKeyWithValue(resources.TriggerAnnotation, want))
	}
	for _, d := range w.deployments() {
		want := map[bool]string{true: "once", false: "twice"}[d.Labels[v1alpha1.RevisionLabel] == first]
		w.Expect(d.Annotations).To(HaveKeyWithValue(resources.TriggerAnnotation, want))
	}
}

func TestALostStatusIsFoundAgain(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.refresh(p)
	before := p.Status.DeepCopy()
	p.Status = v1alpha1.ProjectionStatus{}
	w.Expect(w.client.Status().Update(w.ctx, p)).To(Succeed())
	w.settle(p)
	w.expectReady(p)
	w.Expect(p.Status.ActiveRevision).To(Equal(before.ActiveRevision))
	w.Expect(p.Status.LastAckedID).To(Equal(before.LastAckedID))
}
