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
			s.memory.lastRead[status.Revision] = r.Clock.Now()
		}
	}
	return ctrl.Result{}, nil
}

// upToDate tells whether the projector that answers for a revision runs by the
// contract that it is to run by.
func (s *scope) upToDate(revision string) bool {
	found, ok := s.readings[revision]
	terms := s.termsOf(revision)
	return ok && terms != nil && found.status.Contract == resources.ContractHash(terms.document)
}
