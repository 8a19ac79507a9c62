package controllers

import (
	"context"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
)

// observe lists what the Projection owns. Objects that bear the labels but belong
// to somebody else are not among them.
func (r *Reconciler) observe(ctx context.Context, s *scope) (ctrl.Result, error) {
	var (
		deployments appsv1.DeploymentList
		configMaps  corev1.ConfigMapList
		jobs        batchv1.JobList
		pods        corev1.PodList
	)
	for _, list := range []client.ObjectList{&deployments, &configMaps, &jobs, &pods} {
		if err := r.Client.List(ctx, list, client.InNamespace(s.projection.Namespace),
			client.MatchingLabels(resources.ProjectionLabels(s.projection.Name))); err != nil {
			return ctrl.Result{}, err
		}
	}
	uid := s.projection.UID
	s.deployments = owned(deployments.Items, uid, func(d *appsv1.Deployment) metav1.Object { return d })
	s.configMaps = owned(configMaps.Items, uid, func(c *corev1.ConfigMap) metav1.Object { return c })
	s.jobs = owned(jobs.Items, uid, func(j *batchv1.Job) metav1.Object { return j })
	s.pods = slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return !s.made(&p) })
	return ctrl.Result{}, nil
}

// made tells a pod that a Deployment or Job of ours has made from one that only
// bears the labels: such a pod is neither believed nor waited for. A projector's
// that has ended is over. ReplicaSets are told by their names; the garbage
// collector removes a pod whose ReplicaSet is not there.
func (s *scope) made(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return false
	}
	if !resources.IsProjector(pod.Labels) {
		return slices.ContainsFunc(s.jobs, func(job batchv1.Job) bool { return job.UID == owner.UID })
	}
	deployment := resources.DeploymentName(s.projection.Name, pod.Labels[v1alpha1.RevisionLabel])
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	return owner.Kind == "ReplicaSet" && strings.HasPrefix(owner.Name, deployment+"-") && !ended
}

// owned keeps what uid controls, in the order of names.
func owned[T any](items []T, uid types.UID, meta func(*T) metav1.Object) []T {
	kept := slices.DeleteFunc(items, func(item T) bool { return !controlledBy(meta(&item), uid) })
	slices.SortFunc(kept, func(a, b T) int { return strings.Compare(meta(&a).GetName(), meta(&b).GetName()) })
	return kept
}

func controlledBy(object metav1.Object, uid types.UID) bool {
	owner := metav1.GetControllerOfNoCopy(object)
	return owner != nil && owner.UID == uid
}

// labels are those of all objects that belong to a revision.
func (c *children) labels() []map[string]string {
	var out []map[string]string
	for i := range c.deployments {
		out = append(out, c.deployments[i].Labels)
	}
	for i := range c.configMaps {
		out = append(out, c.configMaps[i].Labels)
	}
	for i := range c.jobs {
		out = append(out, c.jobs[i].Labels)
	}
	for i := range c.pods {
		out = append(out, c.pods[i].Labels)
	}
	return out
}

// projectorPods are the pods of projectors of one revision, "" for all.
func (c *children) projectorPods(revision string) []*corev1.Pod {
	var out []*corev1.Pod
	for i := range c.pods {
		labels := c.pods[i].Labels
		if resources.IsProjector(labels) && (revision == "" || labels[v1alpha1.RevisionLabel] == revision) {
			out = append(out, &c.pods[i])
		}
	}
	return out
}

func (c *children) deployment(name string) *appsv1.Deployment {
	for i := range c.deployments {
		if c.deployments[i].Name == name {
			return &c.deployments[i]
		}
	}
	return nil
}

func (c *children) configMap(name string) *corev1.ConfigMap {
	for i := range c.configMaps {
		if c.configMaps[i].Name == name {
			return &c.configMaps[i]
		}
	}
	return nil
}

// projectionsOfPod maps a pod to the Projection that its label names. The label
// holds a shortened name where the name is too long for one.
func (r *Reconciler) projectionsOfPod(ctx context.Context, pod client.Object) []reconcile.Request {
	label := pod.GetLabels()[v1alpha1.ProjectionLabel]
	if label == "" {
		return nil
	}
	return r.requests(ctx, func(p *v1alpha1.Projection) bool {
		return resources.ProjectionLabels(p.Name)[v1alpha1.ProjectionLabel] == label
	}, client.InNamespace(pod.GetNamespace()))
}

func (r *Reconciler) requests(ctx context.Context, want func(*v1alpha1.Projection) bool, options ...client.ListOption) []reconcile.Request {
	var list v1alpha1.ProjectionList
	if err := r.Client.List(ctx, &list, options...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing Projections")
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if want(&list.Items[i]) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return out
}
