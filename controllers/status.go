package controllers

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/projector/contract"
)

// How soon a Projection is looked at again, and how often its progress is
// written at most.
const (
	pollNow      = 100 * time.Millisecond // a step is written down, and can be taken
	pollSoon     = 2 * time.Second        // on the way, or behind
	pollLive     = 10 * time.Second       // at the tail, or until a person acts
	pollConflict = time.Minute            // a watch tells sooner
)

// summarize ends every pass: it turns what the phases have said into conditions,
// writes status if that changed, and says when to come back.
func (r *Reconciler) summarize(ctx context.Context, s *scope, result ctrl.Result, err error) (ctrl.Result, error) {
	if s.gone {
		r.memory.forget(s.projection.UID)
		return result, err
	}
	if passesByItself(err) {
		ctrl.LoggerFrom(ctx).V(1).Info("Trying again with newer objects", "error", err.Error())
		result, err = ctrl.Result{RequeueAfter: time.Second}, nil
		s.retry()
	}
	if err != nil {
		s.retry()
	}
	s.conclude(r.Clock.Now())
	if patchErr := r.patchStatus(ctx, s); patchErr != nil && err == nil {
		return ctrl.Result{}, patchErr
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	return s.comeBack(r.Clock.Now(), result)
}

// passesByItself tells errors of a world that has moved on: newer objects, or a
// namespace that goes and will take the Projection with it.
func passesByItself(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) ||
		apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// retry leaves the conditions as they are when a request fails for now, unless
// they are about an older spec.
func (s *scope) retry() {
	ready := s.condition(v1alpha1.ConditionReady)
	if ready != nil && s.before.Status.ObservedGeneration == s.projection.Generation {
		s.say(lastVerdict(s.before))
		return
	}
	s.progress(v1alpha1.ReasonRetrying, "a request to the API server failed; it is tried again by itself")
}

func (s *scope) condition(kind string) *metav1.Condition {
	return meta.FindStatusCondition(s.before.Status.Conditions, kind)
}

// lastVerdict reads a verdict back from conditions.
func lastVerdict(p *v1alpha1.Projection) verdict {
	out := verdict{}
	if ready := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		out.Reason, out.Message = ready.Reason, ready.Message
	}
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		if meta.IsStatusConditionTrue(p.Status.Conditions, kind) {
			out.Type = kind
		}
	}
	return out
}

// conclude sets every condition that a Projection has, in the order of this list.
func (s *scope) conclude(now time.Time) {
	s.progress(v1alpha1.ReasonStarting, "the projector is being started") // if nobody has said anything
	v := *s.verdict
	w := conditionWriter{&s.projection.Status.Conditions, s.projection.Generation, now}
	w.set(v1alpha1.ConditionReady, truth(v.Type == v1alpha1.ConditionReady), v.Reason, v.Message)
	w.setAbnormal(v1alpha1.ConditionReconciling, v)
	w.setAbnormal(v1alpha1.ConditionStalled, v)
	w.setHeld(v)
	w.setFinding(v1alpha1.ConditionCaughtUp, s.caughtUp())
	w.setFinding(v1alpha1.ConditionHistoryComplete, s.historyComplete())
	s.projection.Status.ObservedGeneration = s.projection.Generation
	atRest := v.Reason == v1alpha1.ReasonSuspended || v.Reason == v1alpha1.ReasonCompleted
	if atRest && len(s.readings) == 0 {
		s.projection.Status.LagEvents, s.projection.Status.LagSeconds = nil, nil
	}
}

type conditionWriter struct {
	conditions *[]metav1.Condition
	generation int64
	now        time.Time
}

func (w conditionWriter) set(kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(w.conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: clip(message),
		ObservedGeneration: w.generation, LastTransitionTime: metav1.NewTime(w.now),
	})
}

// setAbnormal keeps a condition only while it is true.
func (w conditionWriter) setAbnormal(kind string, v verdict) {
	if v.Type == kind {
		w.set(kind, metav1.ConditionTrue, v.Reason, v.Message)
		return
	}
	meta.RemoveStatusCondition(w.conditions, kind)
}

// setHeld keeps Held while a finished replay awaits approval.
func (w conditionWriter) setHeld(v verdict) {
	if v.Reason == v1alpha1.ReasonAwaitingApproval {
		w.set(v1alpha1.ConditionHeld, metav1.ConditionTrue, v.Reason, v.Message)
		return
	}
	meta.RemoveStatusCondition(w.conditions, v1alpha1.ConditionHeld)
}

// finding is what is known of one aspect.
type finding struct {
	status          metav1.ConditionStatus
	reason, message string
}

func (w conditionWriter) setFinding(kind string, f finding) {
	w.set(kind, f.status, f.reason, f.message)
}

func truth(b bool) metav1.ConditionStatus {
	if b {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

// maxMessage is what a condition and an event hold both.
const maxMessage = 1000

func clip(message string) string {
	if runes := []rune(message); len(runes) > maxMessage {
		return string(runes[:maxMessage-1]) + "…"
	}
	return message
}

func (s *scope) caughtUp() finding {
	active, ok := s.readings[s.projection.Status.ActiveRevision]
	last := s.condition(v1alpha1.ConditionCaughtUp)
	switch {
	case s.completed():
		return finding{metav1.ConditionTrue, v1alpha1.ReasonAtTail, "the read model holds everything up to source.until"}
	case ok && active.partition().CaughtUp:
		return finding{metav1.ConditionTrue, v1alpha1.ReasonAtTail, "the read model is within a batch of the stream's tail"}
	case ok:
		return finding{metav1.ConditionFalse, v1alpha1.ReasonBehind, "the read model is behind the stream's tail; status.lagEvents says how far"}
	case s.verdict.Type == v1alpha1.ConditionReady && last != nil:
		return finding{last.Status, last.Reason, last.Message}
	}
	return finding{metav1.ConditionUnknown, v1alpha1.ReasonUnknown, "no projector says how far it is"}
}

// completed tells whether what readers read has an end, and has come to it.
func (s *scope) completed() bool {
	active := revisionIn(&s.projection.Status, s.projection.Status.ActiveRevision)
	return active != nil && active.Completed
}

func (s *scope) historyComplete() finding {
	active, ok := s.readings[s.projection.Status.ActiveRevision]
	if last := s.condition(v1alpha1.ConditionHistoryComplete); !ok && last != nil {
		return finding{last.Status, last.Reason, last.Message}
	}
	switch active.partition().History {
	case contract.HistoryComplete:
		return finding{metav1.ConditionTrue, v1alpha1.ReasonHistoryComplete, "the stream still holds everything from source.from on"}
	case contract.HistoryIncomplete:
		return finding{metav1.ConditionFalse, v1alpha1.ReasonHistoryIncomplete,
			"the stream no longer holds everything from source.from on: a replay would miss what is gone, and is refused unless spec.replay.history is Available"}
	}
	return finding{metav1.ConditionUnknown, v1alpha1.ReasonUnknown, "nothing is known of the stream's history"}
}

// patchStatus writes what changed: transitions at once, mere progress only every
// so often.
func (r *Reconciler) patchStatus(ctx context.Context, s *scope) error {
	if !r.progressDue(s) {
		keepProgress(&s.projection.Status, s.before.Status)
	}
	if equality.Semantic.DeepEqual(s.before.Status, s.projection.Status) {
		return nil
	}
	next := s.before.DeepCopy()
	next.Status = *s.projection.Status.DeepCopy()
	base := client.MergeFromWithOptions(s.before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, next, base, FieldOwner); err != nil {
		return client.IgnoreNotFound(err)
	}
	s.memory.lastWrite = r.Clock.Now()
	r.announce(s)
	return nil
}

func (r *Reconciler) progressDue(s *scope) bool {
	before, after := s.before.Status.DeepCopy(), s.projection.Status.DeepCopy()
	keepProgress(before, v1alpha1.ProjectionStatus{})
	keepProgress(after, v1alpha1.ProjectionStatus{})
	return !equality.Semantic.DeepEqual(before, after) ||
		r.Clock.Since(s.memory.lastWrite) >= s.pollInterval()
}

// keepProgress takes from old what changes with every event.
func keepProgress(status *v1alpha1.ProjectionStatus, old v1alpha1.ProjectionStatus) {
	status.LastAckedID, status.Events = old.LastAckedID, old.Events
	status.LagEvents, status.LagSeconds = old.LagEvents, old.LagSeconds
	status.Partitions = old.Partitions
	for i := range status.Revisions {
		revision := &status.Revisions[i]
		revision.LastAckedID, revision.Progress = "", nil
		if known := revisionIn(&old, revision.Name); known != nil {
			revision.LastAckedID, revision.Progress = known.LastAckedID, known.Progress
		}
	}
}

func (s *scope) pollInterval() time.Duration {
	caughtUp := meta.IsStatusConditionTrue(s.projection.Status.Conditions, v1alpha1.ConditionCaughtUp)
	switch v := s.verdict; {
	case v.Type == v1alpha1.ConditionReady && !caughtUp, v.Type == v1alpha1.ConditionReconciling:
		return pollSoon
	case v.Reason == v1alpha1.ReasonTargetConflict && !s.runsAny():
		return pollConflict
	}
	return pollLive
}

func (s *scope) runsAny() bool {
	return slices.ContainsFunc(s.decision.Revisions, func(step plan.Step) bool { return step.Run })
}

// comeBack says when the next pass is due. A spec that cannot be run is not
// tried again until it changes; a Projection at rest waits for a watch, or for what
// falls due by itself.
func (s *scope) comeBack(now time.Time, result ctrl.Result) (ctrl.Result, error) {
	v := s.verdict
	switch {
	case result.RequeueAfter > 0:
		return result, nil
	case s.unwritten():
		return ctrl.Result{RequeueAfter: pollNow}, nil
	case s.decision.Fault != nil && s.decision.Fault == s.invalid && len(s.decision.Revisions) == 0:
		return ctrl.Result{}, reconcile.TerminalError(fmt.Errorf("%s: %s", v.Reason, v.Message))
	}
	wait := s.pollInterval()
	atRest := v.Reason == v1alpha1.ReasonSuspended || v.Reason == v1alpha1.ReasonCompleted
	if atRest && len(s.projectorPods("")) == 0 && s.decision.Job == nil {
		wait = 0
	}
	if due := s.decision.WakeAt; !due.IsZero() {
		if left := max(due.Sub(now), pollNow); wait == 0 || left < wait {
			wait = left
		}
	}
	return ctrl.Result{RequeueAfter: wait}, nil
}
