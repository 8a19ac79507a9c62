package controllers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/projector/contract"
)

// judgePhase says how what the Projection is about fares.
func (r *Reconciler) judgePhase(s *scope) {
	desired, active := s.desired.Revision, s.decision.Active
	switch s.decision.Phase {
	case plan.PhaseCompleted:
		s.sayCompleted()
	case plan.PhaseHeld:
		s.sayHeld()
	case plan.PhaseVerifying:
		s.sayJob(plan.JobVerify, desired, v1alpha1.ReasonVerifying, v1alpha1.ReasonVerifyFailed,
			fmt.Sprintf("revision %s has caught up and is compared with revision %s, which readers read", desired, active))
	case plan.PhasePromoting:
		s.sayJob(plan.JobCutover, s.promoting(), v1alpha1.ReasonPromoting, v1alpha1.ReasonCutoverFailed,
			fmt.Sprintf("revision %s is being published in the place of revision %s", s.promoting(), active))
	case plan.PhaseRollingBack:
		s.sayJob(plan.JobCutover, s.promoting(), v1alpha1.ReasonRollingBack, v1alpha1.ReasonCutoverFailed,
			fmt.Sprintf("revision %s, which was read before, is being published again in the place of revision %s; nothing is folded anew", s.promoting(), active))
	case plan.PhaseEmptying:
		s.sayJob(plan.JobRetire, active, v1alpha1.ReasonEmptying, v1alpha1.ReasonDropFailed,
			fmt.Sprintf("strategy InPlace: the read model is being emptied, and is then folded anew as revision %s while readers look on", desired))
	case plan.PhaseBuilding, plan.PhaseReplacing, plan.PhaseReplaying:
		r.judgeCandidate(s, desired)
	default:
		r.judgeRevision(s, s.subject())
	}
}

// promoting is the revision that is being published: one that the spec named a
// moment ago, if it was begun.
func (s *scope) promoting() string {
	for _, step := range s.decision.Revisions {
		if step.State == v1alpha1.RevisionPromoting {
			return step.Name
		}
	}
	return s.desired.Revision
}

// subject is the revision that conditions are about when nothing is on the way.
func (s *scope) subject() string {
	if s.decision.Active != "" {
		return s.decision.Active
	}
	return s.desired.Revision
}

// judgeCandidate judges a revision that is being built. While it is broken readers
// read the active one, if there is one.
func (r *Reconciler) judgeCandidate(s *scope, revision string) {
	if s.step(revision) == nil {
		s.sayWaiting(revision)
		return
	}
	r.judgeRevision(s, revision)
	active := s.decision.Active
	if active == "" || active == revision || s.verdict == nil || !s.verdict.Fault {
		return
	}
	s.verdict.Message = fmt.Sprintf("%s This is of revision %s, which is being built; readers still read revision %s.",
		sentence(s.verdict.Message), revision, active)
}

// sayWaiting speaks of a revision that cannot be begun before others are removed.
func (s *scope) sayWaiting(revision string) {
	if job := s.jobAbout(s.decision.Active); job != nil && job.Kind == plan.JobCutover {
		s.progress(v1alpha1.ReasonReplaying, fmt.Sprintf("revision %s is begun in a moment: revision %s has just been published", revision, s.decision.Active))
		return
	}
	message := fmt.Sprintf("revision %s is begun when what is left of earlier ones is removed.", revision)
	s.progress(v1alpha1.ReasonReplaying, message+s.removalTrouble())
}

// removalTrouble says which revision cannot be removed and why, "" for none. It is
// no fault of what readers read.
func (s *scope) removalTrouble() string {
	for _, step := range s.decision.Revisions {
		if step.State != v1alpha1.RevisionRetiring {
			continue
		}
		if trouble := s.failureOf(plan.JobRetire, step.Name, v1alpha1.ReasonDropFailed); trouble != nil {
			return fmt.Sprintf(" Revision %s cannot be removed: %s", step.Name, trouble.Message)
		}
	}
	return ""
}

// sayJob says how the Job of a phase fares.
func (s *scope) sayJob(kind plan.JobKind, revision, reason, failed, message string) {
	failure := s.failureOf(kind, revision, failed)
	if failure == nil {
		s.progress(reason, message)
		return
	}
	if active := s.decision.Active; active != "" && kind != plan.JobRetire {
		failure.Message = fmt.Sprintf("%s Readers still read revision %s.", sentence(failure.Message), active)
	}
	s.say(*failure)
}

func (s *scope) judgeFolding(revision string, p contract.Partition) {
	step := s.step(revision)
	switch {
	case step != nil && step.State == v1alpha1.RevisionActive:
		s.say(verdict{Type: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonFolding,
			Message: s.foldingText(revision, p.Stream)})
	case s.decision.Phase == plan.PhaseReplaying:
		s.sayPercent(v1alpha1.ReasonReplaying, fmt.Sprintf("revision %s is built beside revision %s, which readers read", revision, s.decision.Active), p)
	default:
		s.sayPercent(v1alpha1.ReasonBuilding, fmt.Sprintf("history is folded from %s on as revision %s", s.desired.Source.From, revision), p)
	}
}

func (s *scope) foldingText(revision, stream string) string {
	text := fmt.Sprintf("revision %s folds stream %s", revision, stream)
	if trouble := s.removalTrouble(); trouble != "" {
		return text + "." + trouble
	}
	return text
}

// percentStep keeps messages from changing, and status from being written, without
// end: status.revisions has the exact number.
const percentStep = 5

// sayPercent adds how far a replay is and how long it may take. While the percent
// stay the time that was said first stays, too.
func (s *scope) sayPercent(reason, message string, p contract.Partition) {
	percent := percentOf(p)
	if percent == nil {
		s.progress(reason, message)
		return
	}
	message = fmt.Sprintf("%s: %d %% is done", message, *percent/percentStep*percentStep)
	last := lastVerdict(s.before)
	if last.Reason == reason && strings.HasPrefix(last.Message, message) {
		s.progress(reason, last.Message)
		return
	}
	if p.EtaSeconds >= 0 {
		message += ", about " + coarse(time.Duration(p.EtaSeconds)*time.Second) + " to go"
	}
	s.progress(reason, message)
}

// coarse rounds a time up so that it says no more than is known.
func coarse(d time.Duration) string {
	for _, minutes := range []int{1, 2, 5, 10, 20, 30, 45} {
		if d <= time.Duration(minutes)*time.Minute {
			return plural(minutes, "minute")
		}
	}
	return plural(int((d+time.Hour-1)/time.Hour), "hour")
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

func (s *scope) sayCompleted() {
	s.say(verdict{Type: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonCompleted, Message: fmt.Sprintf(
		"revision %s is folded up to source.until, %s, and complete", s.decision.Active, s.projection.Spec.Source.Until)})
}

// sayHeld says how to take or decline a finished replay, and what it would change:
// that may be long, and is clipped.
func (s *scope) sayHeld() {
	name := s.desired.Revision
	message := fmt.Sprintf(`revision %s is built and awaits approval; readers still read revision %s. To publish it: kubectl -n %s patch projection %s --type merge -p '{"spec":{"replay":{"promotion":{"approve":"%s"}}}}'. To decline it: put the old spec back.`,
		name, s.decision.Active, s.projection.Namespace, s.projection.Name, name)
	if approve := s.projection.Spec.Replay.Promotion.Approve; approve != "" && approve != name {
		message += fmt.Sprintf(" spec.replay.promotion.approve names %s, which is another one.", approve)
	}
	message += s.diffText(name)
	s.say(verdict{Reason: v1alpha1.ReasonAwaitingApproval, Message: message})
}

// diffText says what publishing a revision would change, in entities.
func (s *scope) diffText(revision string) string {
	status := revisionIn(&s.projection.Status, revision)
	if status == nil || status.Diff == nil {
		return ""
	}
	return " " + diffSentence(*status.Diff)
}

func diffSentence(diff v1alpha1.RevisionDiff) string {
	text := fmt.Sprintf("Of the entities %d are the same, %d added, %d removed and %d changed", diff.Same, diff.Added, diff.Removed, diff.Changed)
	if len(diff.ChangedFields) > 0 {
		text += " (" + fieldsText(diff.ChangedFields) + ")"
	}
	if diff.AtID != "" {
		text += ", both folded up to " + diff.AtID
	}
	return text + "."
}

// maxFieldsSaid keeps a message readable; status has all fields.
const maxFieldsSaid = 8

// fieldsText lists fields, those that differ most often first.
func fieldsText(counts map[string]int64) string {
	names := slices.Sorted(maps.Keys(counts))
	slices.SortStableFunc(names, func(a, b string) int { return int(min(max(counts[b]-counts[a], -1), 1)) })
	var out []string
	for _, name := range names[:min(len(names), maxFieldsSaid)] {
		out = append(out, fmt.Sprintf("%s %d", name, counts[name]))
	}
	if len(names) > maxFieldsSaid {
		out = append(out, "…")
	}
	return strings.Join(out, ", ")
}
