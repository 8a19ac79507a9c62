package controllers

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// reading is what a projector said in this pass.
type reading struct{ status contract.Status }

// partition is the one stream of this version's projectors; the zero value, if
// the projector has not come that far.
func (r reading) partition() contract.Partition {
	if len(r.status.Partitions) == 0 {
		return contract.Partition{State: contract.StateClaiming}
	}
	return r.status.Partitions[0]
}

func (r reading) claimed() bool { return r.partition().Claimed }

// readProjectors asks every projector that runs, and records how far it is.
func (r *Reconciler) readProjectors(ctx context.Context, s *scope) (ctrl.Result, error) {
	s.readings = map[string]reading{}
	for _, pod := range s.projectorPods("") {
		if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		status, err := r.Status.Read(ctx, pod)
		if err != nil {
			ctrl.LoggerFrom(ctx).V(1).Info("Reading projector failed", "error", err.Error())
			continue
		}
		if status.Projection == s.name() && status.Revision == pod.Labels[v1alpha1.RevisionLabel] {
			s.readings[status.Revision] = reading{status}
			s.memory.lastRead = r.Clock.Now()
		}
	}
	s.recordClaim()
	return ctrl.Result{}, nil
}

// recordClaim makes a revision active once its projector has claimed the read
// model. The spec's revision comes first: it is the one that was started last.
func (s *scope) recordClaim() {
	status := &s.projection.Status
	if reading, ok := s.readings[s.desired.Revision]; ok && reading.claimed() {
		status.ActiveRevision = s.desired.Revision
	}
	if status.ActiveRevision == "" {
		for revision, reading := range s.readings {
			if reading.claimed() {
				status.ActiveRevision = revision
			}
		}
	}
	if reading, ok := s.readings[status.ActiveRevision]; ok && reading.claimed() {
		recordProgress(status, reading.partition())
	}
	s.recordRevisions()
}

// recordProgress mirrors a partition of the active revision.
func recordProgress(status *v1alpha1.ProjectionStatus, p contract.Partition) {
	status.LastAckedID, status.Events = p.Position, p.Events
	status.LagEvents, status.LagSeconds = nil, nil
	if p.LagEvents >= 0 {
		status.LagEvents, status.LagSeconds = &p.LagEvents, &p.LagSeconds
	}
	status.Partitions = []v1alpha1.PartitionStatus{
		{Stream: p.Stream, LastAckedID: p.Position, LagEvents: status.LagEvents},
	}
}

// recordRevisions lists the active revision, and the spec's if it is another.
func (s *scope) recordRevisions() {
	status := &s.projection.Status
	var revisions []v1alpha1.RevisionStatus
	if status.ActiveRevision != "" {
		revisions = append(revisions, v1alpha1.RevisionStatus{
			Name: status.ActiveRevision, State: s.nextState(status.ActiveRevision), LastAckedID: status.LastAckedID,
		})
	}
	desired, isRead := s.readings[s.desired.Revision]
	wasFailed := s.stateOf(s.desired.Revision) == v1alpha1.RevisionFailed
	if status.ActiveRevision != s.desired.Revision && (isRead || wasFailed) {
		state := v1alpha1.RevisionBuilding
		if wasFailed || status.ActiveRevision != "" && refusedByModel(desired.partition()) {
			state = v1alpha1.RevisionFailed
		}
		revisions = append(revisions, v1alpha1.RevisionStatus{Name: s.desired.Revision, State: state})
	}
	status.Revisions = revisions
}

func refusedByModel(p contract.Partition) bool {
	return p.Problem != nil && p.Problem.Reason == contract.ReasonReplayNeeded
}

// nextState is Active from the first time on that the revision has caught up.
func (s *scope) nextState(revision string) v1alpha1.RevisionState {
	if s.stateOf(revision) == v1alpha1.RevisionActive || s.readings[revision].partition().CaughtUp {
		return v1alpha1.RevisionActive
	}
	return v1alpha1.RevisionBuilding
}

// current is the reading of the projector that runs by the right contract.
func (s *scope) current() (reading, bool) {
	found, ok := s.readings[s.running.Revision]
	return found, ok && s.document != nil && found.status.Contract == resources.ContractHash(s.document)
}
