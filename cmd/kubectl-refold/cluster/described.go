package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// What a report says of an object is listed here, field by field: what is not
// listed is not in it, whoever may have written it there.

type describedMeta struct {
	Name        string       `json:"name"`
	UID         string       `json:"uid,omitempty"`
	Generation  int64        `json:"generation,omitempty"`
	Created     time.Time    `json:"created"`
	Deleted     *metav1.Time `json:"deleted,omitempty"`
	Revision    string       `json:"revision,omitempty"`
	Component   string       `json:"component,omitempty"`
	Finalizers  []string     `json:"finalizers,omitempty"`
	Labels      []string     `json:"labels,omitempty"`      // names alone
	Annotations []string     `json:"annotations,omitempty"` // names alone
	Managers    []string     `json:"managers,omitempty"`
}

func metaOf(o metav1.Object) describedMeta {
	out := describedMeta{
		Name: o.GetName(), UID: string(o.GetUID()), Generation: o.GetGeneration(),
		Created: o.GetCreationTimestamp().UTC(), Deleted: o.GetDeletionTimestamp(), Finalizers: o.GetFinalizers(),
		Revision: o.GetLabels()[v1alpha1.RevisionLabel], Component: string(resources.ComponentOf(o.GetLabels())),
		Labels:      slices.Sorted(maps.Keys(o.GetLabels())),
		Annotations: slices.Sorted(maps.Keys(o.GetAnnotations())),
	}
	for _, m := range o.GetManagedFields() {
		text := fmt.Sprintf("%s %s", m.Operation, m.Manager)
		if m.Time != nil {
			text += " " + m.Time.UTC().Format(time.RFC3339)
		}
		out.Managers = append(out.Managers, text)
	}
	return out
}

type describedProjection struct {
	Metadata describedMeta             `json:"metadata"`
	Spec     v1alpha1.ProjectionSpec   `json:"spec"`
	Status   v1alpha1.ProjectionStatus `json:"status"`
	Unknown  []string                  `json:"unknownFields,omitempty"`
}

func (r *redactor) projection(o *object) describedProjection {
	out := describedProjection{metaOf(o), *o.Spec.DeepCopy(), *o.Status.DeepCopy(), o.Unknown}
	out.Spec.Source.Redis.URL = v1alpha1.URL(r.url(string(out.Spec.Source.Redis.URL)))
	out.Spec.ReadModel.RedisHash.URL = v1alpha1.URL(r.url(string(out.Spec.ReadModel.RedisHash.URL)))
	for name := range out.Spec.Projector.PodLabels {
		out.Spec.Projector.PodLabels[name] = removed
	}
	for name := range out.Spec.Projector.PodAnnotations {
		out.Spec.Projector.PodAnnotations[name] = removed
	}
	for i := range out.Status.Revisions {
		if diff := out.Status.Revisions[i].Diff; diff != nil {
			diff.Sample = nil
		}
	}
	out.Status.Conditions = r.conditions(out.Status.Conditions)
	return out
}

func (r *redactor) conditions(in []metav1.Condition) []metav1.Condition {
	out := slices.Clone(in)
	for i := range out {
		out[i].Message = r.message(out[i].Reason, out[i].Message)
	}
	return out
}

type describedCondition struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"`
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since"`
}

type describedPod struct {
	Metadata   describedMeta        `json:"metadata"`
	Node       string               `json:"node,omitempty"`
	Phase      string               `json:"phase"`
	Reason     string               `json:"reason,omitempty"`
	QOS        string               `json:"qos,omitempty"`
	Conditions []describedCondition `json:"conditions,omitempty"`
	Containers []describedContainer `json:"containers,omitempty"`
}

type describedContainer struct {
	Name      string                      `json:"name"`
	Image     string                      `json:"image"`
	ImageID   string                      `json:"imageID,omitempty"`
	Ready     bool                        `json:"ready"`
	Restarts  int32                       `json:"restarts"`
	Now       string                      `json:"now"`
	Last      string                      `json:"last,omitempty"`
	Result    *contract.Result            `json:"result,omitempty"` // of a Job
	Resources corev1.ResourceRequirements `json:"resources"`
	Env       map[string]string           `json:"env,omitempty"`
}

func (r *redactor) pod(pod corev1.Pod) describedPod {
	out := describedPod{Metadata: metaOf(&pod), Node: pod.Spec.NodeName, Phase: string(pod.Status.Phase), Reason: pod.Status.Reason, QOS: string(pod.Status.QOSClass)}
	for _, c := range pod.Status.Conditions {
		out.Conditions = append(out.Conditions, describedCondition{string(c.Type), string(c.Status), c.Reason, r.text(c.Message), c.LastTransitionTime.UTC()})
	}
	for _, c := range pod.Spec.Containers {
		out.Containers = append(out.Containers, r.container(c, pod.Status.ContainerStatuses))
	}
	return out
}

func (r *redactor) container(c corev1.Container, statuses []corev1.ContainerStatus) describedContainer {
	out := describedContainer{Name: c.Name, Image: c.Image, Env: environment(c)}
	out.Resources.Limits, out.Resources.Requests = c.Resources.Limits, c.Resources.Requests
	for _, s := range statuses {
		if s.Name != c.Name {
			continue
		}
		out.ImageID, out.Ready, out.Restarts = s.ImageID, s.Ready, s.RestartCount
		out.Now, out.Last = r.state(s.State), r.state(s.LastTerminationState)
		if t := s.State.Terminated; t != nil {
			out.Result = r.result(t.Message)
		}
	}
	return out
}

// harmless are the variables whose values are shown: what Go may use.
var harmless = []string{"GOMEMLIMIT", "GOGC", "GOMAXPROCS"}

func environment(c corev1.Container) map[string]string {
	out := map[string]string{}
	for _, v := range c.Env {
		out[v.Name] = removed
		if slices.Contains(harmless, v.Name) {
			out[v.Name] = v.Value
		}
	}
	return out
}

func (r *redactor) state(s corev1.ContainerState) string {
	switch {
	case s.Running != nil:
		return "running since " + s.Running.StartedAt.UTC().Format(time.RFC3339)
	case s.Waiting != nil:
		return "waiting: " + s.Waiting.Reason + " " + r.text(s.Waiting.Message)
	case s.Terminated != nil:
		t := s.Terminated
		return fmt.Sprintf("ended with %d, %s, at %s", t.ExitCode, t.Reason, t.FinishedAt.UTC().Format(time.RFC3339))
	}
	return ""
}

// result is what a Job has written, without its sample of entities.
func (r *redactor) result(message string) *contract.Result {
	var out contract.Result
	if json.Unmarshal([]byte(message), &out) != nil {
		return nil
	}
	out.Message = r.text(out.Message)
	if out.Problem != nil {
		out.Problem = r.problem(*out.Problem)
	}
	if out.Diff != nil {
		out.Diff.Sample = nil
	}
	return &out
}

func (r *redactor) problem(p contract.Problem) *contract.Problem {
	p.Message, p.Remedy = r.message(p.Reason, p.Message), r.text(p.Remedy)
	return &p
}

func (r *redactor) status(s contract.Status) contract.Status {
	for i := range s.Partitions {
		if p := s.Partitions[i].Problem; p != nil {
			s.Partitions[i].Problem = r.problem(*p)
		}
	}
	return s
}

type describedWorkload struct {
	Metadata   describedMeta        `json:"metadata"`
	Replicas   string               `json:"replicas"`
	Images     []string             `json:"images"`
	Conditions []describedCondition `json:"conditions,omitempty"`
}

func (r *redactor) deployment(d appsv1.Deployment) describedWorkload {
	out := describedWorkload{Metadata: metaOf(&d), Images: imagesOf(d.Spec.Template.Spec)}
	wanted := int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	out.Replicas = fmt.Sprintf("%d wanted, %d there, %d ready, %d updated", wanted, d.Status.Replicas, d.Status.ReadyReplicas, d.Status.UpdatedReplicas)
	for _, c := range d.Status.Conditions {
		out.Conditions = append(out.Conditions, describedCondition{string(c.Type), string(c.Status), c.Reason, r.text(c.Message), c.LastTransitionTime.UTC()})
	}
	return out
}

func (r *redactor) job(j batchv1.Job) describedWorkload {
	out := describedWorkload{Metadata: metaOf(&j), Images: imagesOf(j.Spec.Template.Spec)}
	out.Replicas = fmt.Sprintf("%d active, %d succeeded, %d failed", j.Status.Active, j.Status.Succeeded, j.Status.Failed)
	for _, c := range j.Status.Conditions {
		out.Conditions = append(out.Conditions, describedCondition{string(c.Type), string(c.Status), c.Reason, r.text(c.Message), c.LastTransitionTime.UTC()})
	}
	return out
}

func imagesOf(pod corev1.PodSpec) (out []string) {
	for _, c := range pod.Containers {
		out = append(out, c.Image)
	}
	return out
}

type describedContract struct {
	Metadata describedMeta      `json:"metadata"`
	Genuine  bool               `json:"genuine"` // its name holds its content's hash
	Bytes    int                `json:"bytes"`
	Contract *contract.Document `json:"contract,omitempty"` // nil: it cannot be read
}

func (r *redactor) contract(o *object, c corev1.ConfigMap) describedContract {
	text := c.Data[contract.FileName]
	out := describedContract{Metadata: metaOf(&c), Bytes: len(text)}
	out.Genuine = c.Name == resources.ConfigMapName(o.Name, c.Labels[v1alpha1.RevisionLabel], []byte(text))
	d, err := contract.Decode([]byte(text))
	if err != nil || !out.Genuine {
		return out
	}
	d.Source.Redis.URL = r.url(d.Source.Redis.URL)
	if d.ReadModel.RedisHash != nil {
		d.ReadModel.RedisHash.Redis.URL = r.url(d.ReadModel.RedisHash.Redis.URL)
	}
	out.Contract = &d
	return out
}

type describedEvent struct {
	About   string    `json:"about"`
	Type    string    `json:"type"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Count   int32     `json:"count,omitempty"`
	Last    time.Time `json:"last"`
}

func (r *redactor) event(e corev1.Event) describedEvent {
	out := describedEvent{e.InvolvedObject.Kind + " " + e.InvolvedObject.Name, e.Type, e.Reason, r.message(e.Reason, e.Message), e.Count, lastSeen(e).UTC()}
	if e.Series != nil {
		out.Count = e.Series.Count
	}
	return out
}
