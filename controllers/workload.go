package controllers

import (
	"context"
	"errors"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// Nothing tells when a foreign object goes, or when what refuses one changes its
// mind.
const (
	pollForeign = 30 * time.Second
	pollRefused = 2 * time.Minute
)

// patience is how long a pod may outlive its grace period before the next
// revision starts without waiting for it; the read model's epoch then keeps
// the two apart.
const patience = time.Minute

// stopOthers removes the Deployments of revisions that are not to run. Where one
// gives way to another in the same place it waits for their pods, so that no two
// revisions are seen to contend for the read model.
func (r *Reconciler) stopOthers(ctx context.Context, s *scope) (ctrl.Result, error) {
	for i := range s.deployments {
		step := s.step(s.deployments[i].Labels[v1alpha1.RevisionLabel])
		if step != nil && (step.Run || !slices.Contains(states, step.State)) {
			continue
		}
		if err := r.remove(ctx, &s.deployments[i], "Deployment"); err != nil {
			return ctrl.Result{}, err
		}
	}
	if s.decision.Phase != plan.PhaseReplacing && s.decision.Active != "" {
		return ctrl.Result{}, nil
	}
	for _, pod := range s.projectorPods("") {
		if !s.runsOn(pod.Labels[v1alpha1.RevisionLabel]) && !r.overdue(pod) {
			s.progress(v1alpha1.ReasonReplacing, "the projector of a revision that gives way is being stopped")
			return s.end(pollSoon)
		}
	}
	return ctrl.Result{}, nil
}

func (r *Reconciler) overdue(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && r.Clock.Since(pod.DeletionTimestamp.Time) > patience
}

// states are those that this operator knows. What a newer one has put into another
// it leaves alone.
var states = []v1alpha1.RevisionState{v1alpha1.RevisionBuilding, v1alpha1.RevisionVerifying, v1alpha1.RevisionHeld,
	v1alpha1.RevisionPromoting, v1alpha1.RevisionActive, v1alpha1.RevisionRetained, v1alpha1.RevisionRetiring, v1alpha1.RevisionFailed}

// runsOn tells whether plan gives a revision a Deployment.
func (s *scope) runsOn(revision string) bool {
	step := s.step(revision)
	return step != nil && step.Run
}

func (s *scope) step(revision string) *plan.Step {
	for i := range s.decision.Revisions {
		if s.decision.Revisions[i].Name == revision {
			return &s.decision.Revisions[i]
		}
	}
	return nil
}

// applyRevisions makes sure that every revision that runs has its contract and its
// projector, the active one first: no other's troubles are its own.
func (r *Reconciler) applyRevisions(ctx context.Context, s *scope) (ctrl.Result, error) {
	for i := range s.decision.Revisions {
		step := &s.decision.Revisions[i]
		terms := s.termsOf(step.Name)
		if !step.Run && !s.worksOn(step.Name) || terms == nil {
			continue
		}
		result, err := r.applyContract(ctx, s, terms)
		if err == nil && !s.ended && step.Run {
			result, err = r.applyDeployment(ctx, s, step, terms)
		}
		if err != nil || s.ended {
			return result, err
		}
	}
	return ctrl.Result{}, nil
}

// worksOn tells whether a Job runs by the contract of a revision.
func (s *scope) worksOn(revision string) bool {
	return s.decision.Job != nil && s.decision.Job.Revision == revision
}

// applyContract makes sure that the ConfigMap of a revision is there.
func (r *Reconciler) applyContract(ctx context.Context, s *scope, terms *terms) (ctrl.Result, error) {
	revision := terms.contract.Revision
	s.memory.documents[revision] = terms.document
	desired := resources.ConfigMap(s.projection, revision, terms.trigger, terms.document)
	live := s.configMap(desired.Name)
	if live != nil && live.Data[contract.FileName] != string(terms.document) {
		// Immutable, so somebody has put another one in its place.
		s.progress(v1alpha1.ReasonRetrying, "a contract that was changed by hand is being replaced")
		if err := r.remove(ctx, live, "ConfigMap"); err != nil {
			return ctrl.Result{}, err
		}
		return s.end(pollSoon)
	}
	return s.settle(r.apply(ctx, s, desired, asObject(live)))
}

// applyDeployment makes sure that the projector of a revision is there.
func (r *Reconciler) applyDeployment(ctx context.Context, s *scope, step *plan.Step, terms *terms) (ctrl.Result, error) {
	live := s.deployment(resources.DeploymentName(s.projection.Name, step.Name))
	in := resources.Input{Document: terms.document, Contract: terms.contract, Trigger: terms.trigger, Image: r.Image, Replicas: step.Replicas}
	if !s.outdated(step.Name) {
		in.Image = resources.KeepImage(live, s.projection, in)
	}
	if err := r.dropRollingUpdate(ctx, live); err != nil {
		return ctrl.Result{}, err
	}
	return s.settle(r.apply(ctx, s, resources.Deployment(s.projection, in), asObject(live)))
}

// outdated tells a projector that is older than replays: it does not say that what
// it folds is what readers read, and would not stand still for a cutover. When a
// replay begins it takes the operator's image.
func (s *scope) outdated(revision string) bool {
	found, ok := s.readings[revision]
	return ok && found.claimed() && !found.partition().Published && found.status.Contract != "" &&
		revision == s.decision.Active && revision != s.desired.Revision && s.decision.Fault == nil
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

// collectGarbage removes contracts that no Deployment mounts any more, and those
// of revisions that are no more. A revision that does not run keeps its own: it may
// have to go on, or to be removed.
func (r *Reconciler) collectGarbage(ctx context.Context, s *scope) (ctrl.Result, error) {
	if s.unwritten() {
		return ctrl.Result{}, nil
	}
	used := s.usedContracts()
	for i := range s.configMaps {
		configMap := &s.configMaps[i]
		revision := configMap.Labels[v1alpha1.RevisionLabel]
		if used[configMap.Name] || s.mayNeed(revision) {
			continue
		}
		if err := r.remove(ctx, configMap, "ConfigMap"); err != nil {
			return ctrl.Result{}, err
		}
	}
	for revision := range s.memory.documents {
		if s.step(revision) == nil {
			delete(s.memory.documents, revision)
			delete(s.memory.lastRead, revision)
		}
	}
	return ctrl.Result{}, nil
}

// mayNeed tells whether a contract may be wanted that nothing mounts now: of a
// revision that stands still, that a Job is about, or that the list had no room for.
func (s *scope) mayNeed(revision string) bool {
	job := s.jobAbout(revision)
	switch {
	case job != nil && !job.Ended:
		return true
	case s.step(revision) == nil:
		return job == nil && len(s.decision.Revisions) >= maxRevisions
	}
	return !s.runsOn(revision)
}

func (s *scope) usedContracts() map[string]bool {
	used := map[string]bool{}
	for i := range s.deployments {
		used[mountedContract(&s.deployments[i])] = true
	}
	for _, step := range s.decision.Revisions {
		if terms := s.termsOf(step.Name); terms != nil {
			used[resources.ConfigMapName(s.projection.Name, step.Name, terms.document)] = true
		}
	}
	return used
}
