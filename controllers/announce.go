package controllers

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// announce records events of what the status that was just written says anew: so
// each is recorded once. The story of replays comes first.
func (r *Reconciler) announce(s *scope) {
	for _, told := range s.story() {
		r.Recorder.Eventf(s.projection, nil, told.kind, told.reason, "Replay", "%s", clip(told.message))
	}
	last := s.condition(v1alpha1.ConditionReady)
	now := meta.FindStatusCondition(s.projection.Status.Conditions, v1alpha1.ConditionReady)
	if last != nil && last.Status == now.Status && last.Reason == now.Reason {
		return
	}
	kind := corev1.EventTypeNormal
	switch {
	case s.verdict.Fault:
		kind = corev1.EventTypeWarning
	case s.verdict.Type == v1alpha1.ConditionReconciling: // steps on the way: conditions tell
		return
	}
	r.Recorder.Eventf(s.projection, nil, kind, now.Reason, "Reconcile", "%s", now.Message)
}

type told struct{ kind, reason, message string }

// story is what has happened to replays between the status before and now.
func (s *scope) story() []told {
	var out []told
	for _, record := range s.projection.Status.Replays {
		if event := s.recordStory(record); event != nil {
			out = append(out, *event)
		}
	}
	for _, revision := range s.projection.Status.Revisions {
		last := revisionIn(&s.before.Status, revision.Name)
		if revision.Diff != nil && (last == nil || last.Diff == nil || last.Diff.Digest != revision.Diff.Digest || last.Diff.AtID != revision.Diff.AtID) {
			out = append(out, told{corev1.EventTypeNormal, v1alpha1.ReasonVerified,
				fmt.Sprintf("Revision %s is compared. %s", revision.Name, diffSentence(*revision.Diff))})
		}
	}
	for _, revision := range s.before.Status.Revisions {
		if revision.State == v1alpha1.RevisionRetiring && revisionIn(&s.projection.Status, revision.Name) == nil {
			out = append(out, told{corev1.EventTypeNormal, v1alpha1.ReasonRetired,
				fmt.Sprintf("Revision %s is removed from the servers", revision.Name)})
		}
	}
	return out
}

// recordStory tells of a replay that has begun or ended with this status.
func (s *scope) recordStory(record v1alpha1.ReplayRecord) *told {
	var before *v1alpha1.ReplayRecord
	for i := range s.before.Status.Replays {
		if old := &s.before.Status.Replays[i]; old.Revision == record.Revision && old.StartedAt.Equal(record.StartedAt) {
			before = old
		}
	}
	switch {
	case record.Outcome == "" && before == nil && record.Cause != v1alpha1.CauseFirstBuild:
		return &told{corev1.EventTypeNormal, v1alpha1.ReasonReplayStarted, s.startedText(record)}
	case record.Outcome != "" && (before == nil || before.Outcome == ""):
		return s.endStory(record)
	}
	return nil
}

func (s *scope) startedText(record v1alpha1.ReplayRecord) string {
	why := map[v1alpha1.ReplayCause]string{
		v1alpha1.CauseSpecChanged: "the spec's fold has changed",
		v1alpha1.CauseTriggered:   "spec.replay.trigger has changed",
		v1alpha1.CauseMoved:       "the read model moves to another server or database",
		v1alpha1.CauseRollback:    "the spec names it again, and it is still kept",
	}[record.Cause]
	if record.Cause == v1alpha1.CauseRollback {
		return fmt.Sprintf("Revision %s is gone back to: %s", record.Revision, why)
	}
	return fmt.Sprintf("Revision %s is built from %s on: %s", record.Revision, record.FromID, why)
}

func (s *scope) endStory(record v1alpha1.ReplayRecord) *told {
	switch record.Outcome {
	case v1alpha1.OutcomePromoted:
		if record.Cause == v1alpha1.CauseRollback {
			return &told{corev1.EventTypeNormal, v1alpha1.ReasonRolledBack,
				fmt.Sprintf("Revision %s is what readers read again.%s", record.Revision, s.cutoverText(record.Revision))}
		}
		return &told{corev1.EventTypeNormal, v1alpha1.ReasonPromoted,
			fmt.Sprintf("Revision %s is what readers read, after %d events.%s", record.Revision, record.Events, s.cutoverText(record.Revision))}
	case v1alpha1.OutcomeCalledOff:
		return &told{corev1.EventTypeNormal, v1alpha1.ReasonCalledOff,
			fmt.Sprintf("The replay as revision %s is called off: the spec names another one that there is already", record.Revision)}
	case v1alpha1.OutcomeSuperseded:
		return &told{corev1.EventTypeNormal, v1alpha1.ReasonSuperseded,
			fmt.Sprintf("The replay as revision %s is called off: a newer spec has come", record.Revision)}
	}
	return &told{corev1.EventTypeWarning, v1alpha1.ReasonReplayFailed,
		fmt.Sprintf("The replay as revision %s has failed; readers read revision %s", record.Revision, s.projection.Status.ActiveRevision)}
}

// cutoverText is what the Job that published a revision has counted.
func (s *scope) cutoverText(revision string) string {
	job := s.jobAbout(revision)
	if job == nil || job.Result == nil || job.Result.Cutover == nil {
		return ""
	}
	done := job.Result.Cutover
	return fmt.Sprintf(" %d entities were switched over; writers stood still for %d ms.", done.Entities, done.PausedMillis)
}
