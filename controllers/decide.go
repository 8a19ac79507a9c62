package controllers

import (
	"context"
	"reflect"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/projector/contract"
)

// decide asks plan what must be, and records it.
func (r *Reconciler) decide(_ context.Context, s *scope) (ctrl.Result, error) {
	now := r.Clock.Now()
	s.decision = plan.Next(s.input(now))
	r.record(s, now)
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

// input gathers what a decision rests on.
func (s *scope) input(now time.Time) plan.Input {
	status := &s.projection.Status
	return plan.Input{
		Now:         now,
		Desired:     s.desired.Revision,
		Spec:        plan.ReplaySpecOf(s.projection.Spec),
		Store:       databaseOf(s.desired),
		Invalid:     s.invalid,
		Rival:       s.rival,
		Target:      plan.TargetOf(&s.projection.Spec),
		Active:      status.ActiveRevision,
		Publication: status.Publication,
		Known:       s.known(),
		History:     s.history(),
	}
}

// databaseOf is the server and database of the read model.
func databaseOf(d contract.Document) string { return targetOf(d).Database }

func targetOf(d contract.Document) plan.Target {
	hash := d.ReadModel.RedisHash
	if hash == nil {
		return plan.Target{}
	}
	return plan.NewTarget(v1alpha1.URL(hash.Redis.URL), hash.KeyPrefix)
}

// history is what the active revision's projector says of the log, if the spec
// names the same one; else it says nothing of a replay.
func (s *scope) history() plan.HistoryStatus {
	active := s.termsOf(s.projection.Status.ActiveRevision)
	if active == nil || !sameLog(active.contract.Source, s.desired.Source) {
		return plan.HistoryUnknown
	}
	reading, ok := s.readings[active.contract.Revision]
	if !ok {
		return plan.HistoryUnknown
	}
	switch reading.partition().History {
	case contract.HistoryComplete:
		return plan.HistoryComplete
	case contract.HistoryIncomplete:
		return plan.HistoryIncomplete
	}
	return plan.HistoryUnknown
}

func sameLog(a, b contract.Source) bool {
	return a.Redis.URL == b.Redis.URL && a.Stream == b.Stream && a.From == b.From
}

// sameFold tells a replay that was asked for from one of another fold.
func sameFold(a, b contract.Document) bool {
	b.Revision, b.ErrorPolicy, b.Replay = a.Revision, a.ErrorPolicy, a.Replay
	b.Source.Redis, b.UID = a.Source.Redis, a.UID
	if a.ReadModel.RedisHash == nil || b.ReadModel.RedisHash == nil {
		return false
	}
	hash := *b.ReadModel.RedisHash
	same := hash.Redis.URL == a.ReadModel.RedisHash.Redis.URL
	hash.Redis = a.ReadModel.RedisHash.Redis
	b.ReadModel.RedisHash = &hash
	return same && reflect.DeepEqual(a, b)
}
