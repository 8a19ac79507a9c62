package controllers

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// refusal is an object that could not be applied, and why. A person must act, but
// where the reason is Retrying.
type refusal struct{ reason, message string }

func (r *refusal) Error() string { return r.reason + ": " + r.message }

// apply makes the object on the server what desired says, by server-side apply,
// and writes nothing if it is that already. live is the object in the cache, nil
// if it is not there. A foreign object is a refusal and stays untouched.
func (r *Reconciler) apply(ctx context.Context, s *scope, desired, live client.Object) error {
	if live == nil {
		found, err := r.findLive(ctx, desired)
		if err != nil {
			return err
		}
		live = found
	}
	if live != nil && !controlledBy(live, s.projection.UID) {
		return notOwned(desired, live)
	}
	want, err := resources.Applied(desired)
	if err != nil {
		return err
	}
	if live != nil {
		differs, err := resources.Differs(want, live)
		if err != nil || !differs {
			return err
		}
		want.SetUID(live.GetUID())
	}
	if err := r.serverSideApply(ctx, want, live != nil); err != nil {
		return err
	}
	return s.see(want)
}

// see puts a Deployment that was just written in the place of the one in the
// cache: what is judged of the old one would be said of the new spec.
func (s *scope) see(applied *unstructured.Unstructured) error {
	if applied.GetKind() != "Deployment" {
		return nil
	}
	var written appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(applied.Object, &written); err != nil {
		return fmt.Errorf("read the Deployment that was applied: %w", err)
	}
	s.deployments = slices.DeleteFunc(s.deployments, func(d appsv1.Deployment) bool { return d.Name == written.Name })
	s.deployments = append(s.deployments, written)
	return nil
}

// findLive asks the API server itself: a cache may not know yet of an object
// that is not ours, and applying would adopt it.
func (r *Reconciler) findLive(ctx context.Context, desired client.Object) (client.Object, error) {
	live := desired.DeepCopyObject().(client.Object)
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(desired), live)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return live, nil
}

// notOwned tells what a person must move from what goes by itself: the garbage
// collector is about to remove what a Projection of the same name has left.
func notOwned(object, live client.Object) error {
	kind := object.GetObjectKind().GroupVersionKind().Kind
	mine, owner := metav1.GetControllerOfNoCopy(object), metav1.GetControllerOfNoCopy(live)
	if owner != nil && owner.APIVersion == mine.APIVersion && owner.Kind == mine.Kind && owner.Name == mine.Name {
		return &refusal{v1alpha1.ReasonRetrying, fmt.Sprintf(
			"%s %s of a deleted Projection of this name is being removed", kind, object.GetName())}
	}
	return &refusal{contract.ReasonNotOwned, fmt.Sprintf(
		"%s %s exists and does not belong to this Projection; it is left untouched. Delete or rename it, or give the Projection another name.",
		kind, object.GetName())}
}

// serverSideApply takes over fields that others have changed in an object that
// is ours, but not in one that appears just now: then it is a conflict.
func (r *Reconciler) serverSideApply(ctx context.Context, want *unstructured.Unstructured, exists bool) error {
	ctrl.LoggerFrom(ctx).Info("Applying object", "kind", want.GetKind(), "object", klog.KObj(want))
	options := []client.ApplyOption{FieldOwner}
	if exists {
		options = append(options, client.ForceOwnership)
	}
	err := r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(want), options...)
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return err
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err), apierrors.IsBadRequest(err):
		return &refusal{v1alpha1.ReasonObjectRefused, fmt.Sprintf(
			"the API server refuses %s %s: %v", want.GetKind(), want.GetName(), err)}
	}
	return err
}

// remove deletes the object as the cache has it, and no other of its name.
func (r *Reconciler) remove(ctx context.Context, object client.Object, kind string) error {
	if !object.GetDeletionTimestamp().IsZero() {
		return nil
	}
	ctrl.LoggerFrom(ctx).Info("Deleting object", "kind", kind, "object", klog.KObj(object))
	return client.IgnoreNotFound(r.Client.Delete(ctx, object,
		client.Preconditions{UID: ptr.To(object.GetUID()), ResourceVersion: ptr.To(object.GetResourceVersion())},
		client.PropagationPolicy("Background")))
}

// asObject turns a nil pointer into a nil interface.
func asObject[T any, P interface {
	*T
	client.Object
}](object P) client.Object {
	if object == nil {
		return nil
	}
	return object
}
