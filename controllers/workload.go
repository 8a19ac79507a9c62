package controllers

import (
	"context"
	"errors"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// Nothing tells when a foreign object goes, or when what refuses one changes its
// mind.
const (
	pollForeign = 30 * time.Second
	pollRefused = 2 * time.Minute
)

// applyContract makes sure that the ConfigMap of the running revision is there.
func (r *Reconciler) applyContract(ctx context.Context, s *scope) (ctrl.Result, error) {
	if s.document == nil {
		return ctrl.Result{}, nil
	}
	s.memory.revision, s.memory.document = s.running.Revision, s.document
	desired := resources.ConfigMap(s.projection, s.running.Revision, s.document)
	live := s.configMap(desired.Name)
	if live != nil && live.Data[contract.FileName] != string(s.document) {
		// Immutable, so somebody has put another one in its place.
		s.progress(v1alpha1.ReasonRetrying, "a contract that was changed by hand is being replaced")
		if err := r.remove(ctx, live, "ConfigMap"); err != nil {
			return ctrl.Result{}, err
		}
		return s.end(pollSoon)
	}
	return s.settle(r.apply(ctx, s, desired, asObject(live)))
}

// applyDeployment makes sure that the projector of the running revision is there.
func (r *Reconciler) applyDeployment(ctx context.Context, s *scope) (ctrl.Result, error) {
	if s.document == nil {
		return ctrl.Result{}, nil
	}
	live := s.deployment(resources.DeploymentName(s.projection.Name, s.running.Revision))
	in := resources.Input{Document: s.document, Contract: s.running, Image: r.Image, Replicas: s.decision.Replicas}
	in.Image = resources.KeepImage(live, s.projection, in)
	if err := r.dropRollingUpdate(ctx, live); err != nil {
		return ctrl.Result{}, err
	}
	return s.settle(r.apply(ctx, s, resources.Deployment(s.projection, in), asObject(live)))
}

// dropRollingUpdate removes a setting that somebody has made by hand and that
// cannot stand beside Recreate; an apply can only add to it.
func (r *Reconciler) dropRollingUpdate(ctx context.Context, live *appsv1.Deployment) error {
	if live == nil || live.Spec.Strategy.RollingUpdate == nil {
		return nil
	}
	base := client.MergeFromWithOptions(live.DeepCopy(), client.MergeFromWithOptimisticLock{})
	live.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	ctrl.LoggerFrom(ctx).Info("Resetting strategy", "Deployment", klog.KObj(live))
	return r.Client.Patch(ctx, live, base, FieldOwner)
}

// settle turns a refusal into a verdict; other errors pass.
func (s *scope) settle(err error) (ctrl.Result, error) {
	var refused *refusal
	if !errors.As(err, &refused) {
		return ctrl.Result{}, err
	}
	s.verdict = nil // a refusal outweighs what was said before
	switch refused.reason {
	case v1alpha1.ReasonRetrying:
		s.progress(refused.reason, refused.message)
		return s.end(pollSoon)
	case contract.ReasonNotOwned:
		s.stall(refused.reason, refused.message)
		return s.end(pollForeign)
	}
	s.stall(refused.reason, refused.message)
	return s.end(pollRefused)
}

// collectGarbage removes contracts that no Deployment mounts any more. Those of
// the active revision stay until another one has claimed the read model: it may
// have to go on.
func (r *Reconciler) collectGarbage(ctx context.Context, s *scope) (ctrl.Result, error) {
	used := map[string]bool{}
	for i := range s.deployments {
		used[mountedContract(&s.deployments[i])] = true
	}
	if s.document != nil {
		used[resources.ConfigMapName(s.projection.Name, s.running.Revision, s.document)] = true
	}
	active := s.projection.Status.ActiveRevision
	for i := range s.configMaps {
		configMap := &s.configMaps[i]
		held := active != s.decision.Run && configMap.Labels[v1alpha1.RevisionLabel] == active
		if used[configMap.Name] || held {
			continue
		}
		if err := r.remove(ctx, configMap, "ConfigMap"); err != nil {
			return ctrl.Result{}, err
		}
	}
	return ctrl.Result{}, nil
}
