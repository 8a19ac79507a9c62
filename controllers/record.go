package controllers

import (
	"reflect"
	"slices"
	"time"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// What the schema of status has room for.
const (
	maxRevisions = 4
	maxReplays   = 10
)

// record writes down what was decided, and how far each revision is.
func (r *Reconciler) record(s *scope, now time.Time) {
	status := &s.projection.Status
	status.ActiveRevision, status.Publication = s.decision.Active, s.decision.Publication
	var revisions []v1alpha1.RevisionStatus
	for _, step := range s.decision.Revisions[:min(len(s.decision.Revisions), maxRevisions)] {
		revisions = append(revisions, s.revisionStatus(step))
	}
	status.Revisions = revisions
	s.recordActive()
	r.recordReplays(s, now)
}

func (s *scope) revisionStatus(step plan.Step) v1alpha1.RevisionStatus {
	out := v1alpha1.RevisionStatus{
		Name:          step.Name,
		State:         step.State,
		PromotedAt:    timeIn(step.PromotedAt),
		RetainedUntil: timeIn(step.RetainedUntil),
		Completed:     step.Completed,
		Diff:          step.Diff,
	}
	last := revisionIn(&s.before.Status, step.Name)
	if last != nil {
		out.LastAckedID, out.Progress = last.LastAckedID, last.Progress
	}
	if found, ok := s.readings[step.Name]; ok && found.claimed() {
		out.LastAckedID, out.Progress = found.partition().Position, progressOf(found.partition())
	}
	if !beingBuilt(step.State) {
		out.Progress = nil
	}
	return out
}

func beingBuilt(state v1alpha1.RevisionState) bool {
	switch state {
	case v1alpha1.RevisionBuilding, v1alpha1.RevisionVerifying, v1alpha1.RevisionHeld, v1alpha1.RevisionPromoting:
		return true
	}
	return false
}

func progressOf(p contract.Partition) *v1alpha1.ReplayProgress {
	out := &v1alpha1.ReplayProgress{
		Percent:         percentOf(p),
		Events:          p.Events,
		EventsPerSecond: int64(p.EventsPerSecond),
	}
	if p.EtaSeconds >= 0 {
		out.EtaSeconds = &p.EtaSeconds
	}
	return out
}

// percentOf is how much of the stream's entries is folded, nil while unknown. It
// is 100 only when nothing is left.
func percentOf(p contract.Partition) *int32 {
	switch {
	case p.State == contract.StateCompleted || p.CaughtUp:
		return new(int32(100))
	case p.Entries < 0 || p.LagEvents < 0 || p.Entries+p.LagEvents == 0:
		return nil
	}
	return new(min(int32(float64(p.Entries)/float64(p.Entries+p.LagEvents)*100), 99))
}

// recordActive mirrors the projector of the active revision. After a switch what
// was said of the other revision is said no more.
func (s *scope) recordActive() {
	status, active := &s.projection.Status, s.decision.Active
	if found, ok := s.readings[active]; ok && found.claimed() {
		recordProgress(status, found.partition())
		return
	}
	if active == s.before.Status.ActiveRevision {
		return
	}
	status.LastAckedID, status.Events, status.Partitions = "", 0, nil
	status.LagEvents, status.LagSeconds = nil, nil
	if last := revisionIn(&s.before.Status, active); last != nil {
		status.LastAckedID = last.LastAckedID
		if last.Progress != nil {
			status.Events = last.Progress.Events
		}
	}
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

// unwritten tells whether status does not hold yet what was decided in this pass.
// What must not happen twice, or cannot be seen again, waits until it does.
func (s *scope) unwritten() bool {
	before, after := &s.before.Status, &s.projection.Status
	return before.ActiveRevision != after.ActiveRevision ||
		!reflect.DeepEqual(steps(before.Revisions), steps(after.Revisions))
}

// steps are revisions without what changes with every event.
func steps(in []v1alpha1.RevisionStatus) []v1alpha1.RevisionStatus {
	out := slices.Clone(in)
	for i := range out {
		out[i].LastAckedID, out[i].Progress = "", nil
		out[i].PromotedAt, out[i].RetainedUntil = timeIn(timeOf(out[i].PromotedAt)), timeIn(timeOf(out[i].RetainedUntil))
	}
	return out
}

// recordReplays closes the records of replays that have ended, and opens one for
// the replay that is under way.
func (r *Reconciler) recordReplays(s *scope, now time.Time) {
	records := slices.Clone(s.projection.Status.Replays)
	for i := range records {
		if ended := s.endOf(records[i]); ended != nil {
			records[i] = s.closed(records[i], *ended, now)
		}
	}
	cause := s.cause()
	if cause != "" && s.begun() && openRecord(records, s.desired.Revision) < 0 {
		records = slices.Insert(records, 0, v1alpha1.ReplayRecord{
			Revision: s.desired.Revision, Cause: cause, FromID: s.desired.Source.From,
			Image: r.Image, StartedAt: timeIn(now),
		})
	}
	s.projection.Status.Replays = records[:min(len(records), maxReplays)]
}

// endOf is how the replay of an open record has ended, nil if it has not. One of a
// revision that is no more has ended whether or not anybody saw it.
func (s *scope) endOf(record v1alpha1.ReplayRecord) *plan.Ended {
	if record.FinishedAt != nil {
		return nil
	}
	for i := range s.decision.Finished {
		if s.decision.Finished[i].Revision == record.Revision {
			return &s.decision.Finished[i]
		}
	}
	if record.Revision == s.desired.Revision || s.step(record.Revision) != nil {
		return nil
	}
	out := &plan.Ended{Revision: record.Revision, Outcome: v1alpha1.OutcomeSuperseded}
	if s.decision.Active == s.desired.Revision {
		out.Outcome = v1alpha1.OutcomeCalledOff
	}
	return out
}

// begun tells whether the desired revision is more than wished for.
func (s *scope) begun() bool {
	return s.decision.Phase == plan.PhaseEmptying ||
		s.decision.Phase != plan.PhaseBlocked && s.step(s.desired.Revision) != nil
}

func openRecord(records []v1alpha1.ReplayRecord, revision string) int {
	return slices.IndexFunc(records, func(record v1alpha1.ReplayRecord) bool {
		return record.Revision == revision && record.FinishedAt == nil
	})
}

// cause tells a replay that was asked for by its trigger from one of another fold.
func (s *scope) cause() v1alpha1.ReplayCause {
	active := s.termsOf(s.decision.Active)
	if s.decision.Cause == v1alpha1.CauseSpecChanged && active != nil && sameFold(active.contract, s.desired) {
		return v1alpha1.CauseTriggered
	}
	return s.decision.Cause
}

func (s *scope) closed(record v1alpha1.ReplayRecord, ended plan.Ended, now time.Time) v1alpha1.ReplayRecord {
	record.Outcome, record.Digest, record.FinishedAt = ended.Outcome, ended.Digest, timeIn(now)
	if found, ok := s.readings[ended.Revision]; ok && found.claimed() {
		record.ToID, record.Events = found.partition().Position, found.partition().Events
	} else if last := revisionIn(&s.before.Status, ended.Revision); last != nil {
		record.ToID, record.Events = last.LastAckedID, eventsOf(&s.before.Status, last)
	}
	deployment := s.deployment(resources.DeploymentName(s.projection.Name, ended.Revision))
	if deployment != nil && deployment.Annotations[resources.ImageAnnotation] != "" {
		record.Image = deployment.Annotations[resources.ImageAnnotation]
	}
	return record
}
