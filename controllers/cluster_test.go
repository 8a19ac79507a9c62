package controllers

import (
	"encoding/json"
	"fmt"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// projectors is what runs in pods. The fake one below keeps a ledger in memory;
// another may start real projectors, as processes or goroutines, and answer from
// their /statusz.
type projectors interface {
	StatusReader
	// Run starts the projector of a pod by its contract.
	Run(pod *corev1.Pod, document []byte)
	// Stop ends it; after that it writes nothing.
	Stop(pod *corev1.Pod)
	// Job does what a Job's container does.
	Job(args []string, document []byte) contract.Result
}

// cluster does, when it is stepped, what the Deployment and Job controllers, the
// garbage collector and the kubelet do. podStatus lets a test have pods fail.
type cluster struct {
	w          *world
	client     client.Client
	writes     writes
	changed    int // by writes that the API server took
	projectors projectors
	podStatus  func(*corev1.Pod) // set: pods never start but are left like this
	stuckPods  bool              // pods do not go
	strangers  bool              // pods that nobody owns stay, too
	holdJobs   bool              // no Job's pod starts
	slowJobs   bool              // Jobs are said to have ended a step after they have
}

func newCluster(w *world, p projectors) *cluster {
	c := &cluster{w: w, projectors: p}
	c.writes.after = func(int) error { c.changed++; return nil }
	c.client = interceptor.NewClient(w.client, c.writes.funcs())
	return c
}

func (c *cluster) step() {
	c.w.t.Helper()
	deployments, pods := &appsv1.DeploymentList{}, &corev1.PodList{}
	c.list(deployments, pods)
	wanted := map[string]bool{}
	for i := range deployments.Items {
		if name := c.stepDeployment(&deployments.Items[i], pods); name != "" {
			wanted[name] = true
		}
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if stays := c.stuckPods || c.strangers && len(pod.OwnerReferences) == 0; stays {
			continue
		}
		if resources.IsProjector(pod.Labels) && !wanted[pod.Name] {
			c.projectors.Stop(pod)
			c.delete(pod)
		}
	}
	c.stepJobs()
}

func (c *cluster) list(lists ...client.ObjectList) {
	c.w.t.Helper()
	for _, list := range lists {
		c.w.Expect(c.client.List(c.w.ctx, list, client.InNamespace(c.w.namespace))).To(Succeed())
	}
}

func (c *cluster) delete(object client.Object) {
	c.w.t.Helper()
	c.w.Expect(client.IgnoreNotFound(c.client.Delete(c.w.ctx, object, client.GracePeriodSeconds(0), client.PropagationPolicy("Background")))).To(Succeed())
}

// stepDeployment gives the Deployment the one pod of its present template, once
// those of older ones are gone, and returns its name.
func (c *cluster) stepDeployment(d *appsv1.Deployment, pods *corev1.PodList) string {
	status := appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Conditions: d.Status.Conditions}
	var name string
	if *d.Spec.Replicas > 0 {
		name = fmt.Sprintf("%s-%s", d.Name, shortHash(d.Spec.Template))
		if c.olderPods(d, name, pods) == 0 {
			c.startPod(d, name)
			status.Replicas, status.UpdatedReplicas = 1, 1
		}
	}
	if !equality.Semantic.DeepEqual(d.Status, status) {
		d.Status = status
		c.w.Expect(client.IgnoreNotFound(c.client.Status().Update(c.w.ctx, d))).To(Succeed())
	}
	return name
}

func shortHash(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return resources.ContractHash(data)[:10]
}

func (c *cluster) olderPods(d *appsv1.Deployment, name string, pods *corev1.PodList) (n int) {
	for _, pod := range pods.Items {
		if pod.Name != name && len(pod.OwnerReferences) > 0 && pod.Labels[v1alpha1.RevisionLabel] == d.Labels[v1alpha1.RevisionLabel] && resources.IsProjector(pod.Labels) {
			n++
		}
	}
	return n
}

func (c *cluster) startPod(d *appsv1.Deployment, name string) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: d.Namespace, Name: name, Labels: d.Spec.Template.Labels, Annotations: d.Spec.Template.Annotations,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
	}, Spec: *d.Spec.Template.Spec.DeepCopy()}
	pod.OwnerReferences[0].Name = name // the one pod of its ReplicaSet bears its name
	err := c.client.Create(c.w.ctx, pod)
	if apierrors.IsAlreadyExists(err) {
		return
	}
	c.w.Expect(err).NotTo(HaveOccurred())
	pod.Status = corev1.PodStatus{
		Phase:      corev1.PodRunning,
		PodIP:      "127.0.0.1",
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "projector", Image: pod.Spec.Containers[0].Image,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(c.w.clock.Now())}}}},
	}
	if c.podStatus != nil {
		c.podStatus(pod)
	}
	c.w.Expect(c.client.Status().Update(c.w.ctx, pod)).To(Succeed())
	if document := c.document(pod); document != nil && pod.Status.Phase == corev1.PodRunning {
		c.projectors.Run(pod, document)
	}
}

// document is the contract that the pod mounts.
func (c *cluster) document(pod *corev1.Pod) []byte {
	configMap := &corev1.ConfigMap{}
	for _, volume := range pod.Spec.Volumes {
		if volume.ConfigMap == nil {
			continue
		}
		key := client.ObjectKey{Namespace: pod.Namespace, Name: volume.ConfigMap.Name}
		if err := c.client.Get(c.w.ctx, key, configMap); err == nil {
			return []byte(configMap.Data[contract.FileName])
		}
	}
	return nil
}

// stepJobs runs the pod of every Job that has not ended, and removes those of
// Jobs that are gone.
func (c *cluster) stepJobs() {
	jobs, pods := &batchv1.JobList{}, &corev1.PodList{}
	c.list(jobs, pods)
	live := map[types.UID]bool{}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		live[job.UID] = true
		if finished, _ := jobFinished(job); !finished && job.DeletionTimestamp == nil && !c.holdJobs {
			c.runJob(job)
		}
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if owner := metav1.GetControllerOfNoCopy(pod); !resources.IsProjector(pod.Labels) && (owner == nil || !live[owner.UID]) {
			c.delete(pod)
		}
	}
}

func (c *cluster) runJob(job *batchv1.Job) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: job.Namespace, Name: job.Name + "-" + string(job.UID)[:5], Labels: job.Spec.Template.Labels,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))},
	}, Spec: *job.Spec.Template.Spec.DeepCopy()}
	switch err := c.client.Create(c.w.ctx, pod); {
	case c.slowJobs && apierrors.IsAlreadyExists(err):
		c.w.Expect(c.client.Get(c.w.ctx, client.ObjectKeyFromObject(pod), pod)).To(Succeed())
	case err != nil:
		c.w.t.Fatal(err)
	}
	if message := pod.Annotations["result"]; message != "" {
		c.endPod(job, pod, message)
		return
	}
	result := c.projectors.Job(pod.Spec.Containers[0].Args, c.document(pod))
	message, err := json.Marshal(result)
	c.w.Expect(err).NotTo(HaveOccurred())
	if c.slowJobs {
		pod.Annotations = map[string]string{"result": string(message)}
		c.w.Expect(c.client.Update(c.w.ctx, pod)).To(Succeed())
		return
	}
	c.endPod(job, pod, string(message))
}

func (c *cluster) endPod(job *batchv1.Job, pod *corev1.Pod, message string) {
	var result contract.Result
	c.w.Expect(json.Unmarshal([]byte(message), &result)).To(Succeed())
	exit, phase := int32(0), corev1.PodSucceeded
	if !result.Done {
		exit, phase = 1, corev1.PodFailed
	}
	pod.Status = corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{{Name: "projector",
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: exit, Message: message}}}}}
	c.w.Expect(c.client.Status().Update(c.w.ctx, pod)).To(Succeed())
	c.finishJob(job, result.Done)
}

func (c *cluster) finishJob(job *batchv1.Job, done bool) {
	now := metav1.NewTime(c.w.clock.Now())
	kinds := []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobFailed}
	if done {
		kinds = []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete}
		job.Status.CompletionTime = &now
	}
	job.Status.StartTime = &now
	for _, kind := range kinds {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	c.w.Expect(c.client.Status().Update(c.w.ctx, job)).To(Succeed())
}
