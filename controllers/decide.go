package controllers

import (
	"context"
	"reflect"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// decide asks plan what must run, and finds the contract for it.
func (r *Reconciler) decide(_ context.Context, s *scope) (ctrl.Result, error) {
	status := s.projection.Status
	s.decision = plan.Decide(plan.Input{
		Desired: s.desired.Revision,
		Active:  status.ActiveRevision,
		Folded:  s.folded(),
		Refused: s.stateOf(s.desired.Revision) == v1alpha1.RevisionFailed,
		Invalid: s.invalid,
		Rival:   s.rival,
		Target:  plan.TargetOf(&s.projection.Spec),
		Suspend: s.projection.Spec.Suspend,
	})
	if s.decision.Run != "" {
		s.findContract(s.decision.Run)
	}
	s.sayDecision()
	return ctrl.Result{}, nil
}

func (s *scope) sayDecision() {
	if s.projection.Spec.Suspend {
		s.say(verdict{Reason: v1alpha1.ReasonSuspended,
			Message: "spec.suspend is true: nothing is folded, and the position is kept"})
	}
	if fault := s.decision.Fault; fault != nil {
		s.stall(fault.Reason, fault.Message)
	}
}

// folded is what is known of the active revision: what its projector says now,
// else what it said last.
func (s *scope) folded() plan.Folded {
	if reading, ok := s.readings[s.projection.Status.ActiveRevision]; ok && reading.claimed() {
		if reading.partition().Events > 0 {
			return plan.FoldedSome
		}
		return plan.FoldedNothing
	}
	if s.projection.Status.Events > 0 {
		return plan.FoldedSome
	}
	return plan.FoldedNothingYet
}

func (s *scope) stateOf(revision string) v1alpha1.RevisionState {
	for _, known := range s.projection.Status.Revisions {
		if known.Name == revision {
			return known.State
		}
	}
	return ""
}

// findContract sets running and document for a revision. The spec's own is
// rendered; of another one the contract that it runs by is taken, and brought up
// to date in what is not part of the fold. The bytes of a contract that says the
// same are kept, so that a new operator that writes them differently rolls no pod.
func (s *scope) findContract(revision string) {
	current := s.contractOf(revision)
	running, err := contract.Decode(current)
	known := err == nil && running.Revision == revision
	switch {
	case revision == s.desired.Revision:
		s.running = s.desired
	case known:
		s.running = resources.CarryOver(running, s.desired)
	default:
		return
	}
	s.document = current
	if !known || !reflect.DeepEqual(running, s.running) {
		s.document = resources.Encode(s.running)
	}
}

// contractOf finds the contract that a revision runs by: in the ConfigMap that
// its Deployment mounts, in the copy on the Deployment, in any ConfigMap of the
// revision, or in memory.
func (s *scope) contractOf(revision string) []byte {
	deployment := s.deployment(resources.DeploymentName(s.projection.Name, revision))
	if deployment != nil {
		if configMap := s.configMap(mountedContract(deployment)); configMap != nil && s.genuine(configMap) {
			return []byte(configMap.Data[contract.FileName])
		}
		if text := deployment.Annotations[resources.ContractAnnotation]; text != "" {
			return []byte(text)
		}
	}
	if configMap := s.newestContract(revision); configMap != nil {
		return []byte(configMap.Data[contract.FileName])
	}
	if s.memory.revision == revision {
		return s.memory.document
	}
	return nil
}

func (s *scope) newestContract(revision string) *corev1.ConfigMap {
	var newest *corev1.ConfigMap
	for i := range s.configMaps {
		configMap := &s.configMaps[i]
		if configMap.Labels[v1alpha1.RevisionLabel] == revision && s.genuine(configMap) &&
			(newest == nil || newest.CreationTimestamp.Before(&configMap.CreationTimestamp)) {
			newest = configMap
		}
	}
	return newest
}

// genuine tells a contract from one that somebody has put in its place: its name
// holds the hash of its content.
func (s *scope) genuine(configMap *corev1.ConfigMap) bool {
	return configMap.Name == resources.ConfigMapName(s.projection.Name,
		configMap.Labels[v1alpha1.RevisionLabel], []byte(configMap.Data[contract.FileName]))
}

// mountedContract is the name of the ConfigMap that a Deployment's pods mount.
func mountedContract(deployment *appsv1.Deployment) string {
	for _, volume := range deployment.Spec.Template.Spec.Volumes {
		if volume.ConfigMap != nil {
			return volume.ConfigMap.Name
		}
	}
	return ""
}

// patience is how long a pod may outlive its grace period before the next
// revision starts without waiting for it; the read model's epoch then keeps
// the two apart.
const patience = time.Minute

// retire removes the Deployments of revisions that are not to run, and waits for
// their pods, so that no two revisions are seen to contend for the read model.
func (r *Reconciler) retire(ctx context.Context, s *scope) (ctrl.Result, error) {
	keep := resources.DeploymentName(s.projection.Name, s.decision.Run)
	for i := range s.deployments {
		if s.deployments[i].Name == keep && s.decision.Run != "" {
			continue
		}
		if err := r.remove(ctx, &s.deployments[i], "Deployment"); err != nil {
			return ctrl.Result{}, err
		}
	}
	for _, pod := range s.projectorPods("") {
		if pod.Labels[v1alpha1.RevisionLabel] != s.decision.Run && !r.overdue(pod) {
			s.progress(v1alpha1.ReasonReplacing, "the projector of a revision that gives way is being stopped")
			return s.end(pollSoon)
		}
	}
	return ctrl.Result{}, nil
}

func (r *Reconciler) overdue(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && r.Clock.Since(pod.DeletionTimestamp.Time) > patience
}
