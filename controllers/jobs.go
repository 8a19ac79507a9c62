package controllers

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// components are what the Jobs of a replay are, in the order in which they come.
var components = []resources.Component{resources.Verify, resources.Cutover, resources.Retire}

var componentOf = map[plan.JobKind]resources.Component{
	plan.JobVerify: resources.Verify, plan.JobCutover: resources.Cutover, plan.JobRetire: resources.Retire,
}

// jobAbout is the newest Job about a revision, as plan sees it.
func (s *scope) jobAbout(revision string) *plan.Job {
	job := s.newestJob(func(job *batchv1.Job) bool {
		return isReplayJob(job) && job.Labels[v1alpha1.RevisionLabel] == revision
	})
	if job == nil {
		return nil
	}
	out := &plan.Job{Attempt: attemptOf(job)}
	for kind, component := range componentOf {
		if component == resources.ComponentOf(job.Labels) {
			out.Kind = kind
		}
	}
	finished, succeeded := jobFinished(job)
	if !finished {
		return out
	}
	result, known := s.resultOf(job)
	if succeeded && !known && s.podOf(job) != nil {
		return out // its pod ends in a moment, to the cache
	}
	out.Ended, out.Result = true, result
	if succeeded && result == nil && out.Kind != plan.JobVerify {
		out.Result = &contract.Result{Version: contract.Version, Done: true}
	}
	if !out.Succeeded() {
		out.RetryAt = finishedAt(job).Add(backoffOf(out.Kind, out.Attempt))
	}
	return out
}

func isReplayJob(job *batchv1.Job) bool {
	return slices.Contains(components, resources.ComponentOf(job.Labels))
}

// newestJob of those that are wanted, nil if there is none.
func (s *scope) newestJob(wanted func(*batchv1.Job) bool) *batchv1.Job {
	var newest *batchv1.Job
	for i := range s.jobs {
		job := &s.jobs[i]
		if job.DeletionTimestamp == nil && wanted(job) && (newest == nil || olderJob(newest, job)) {
			newest = job
		}
	}
	return newest
}

// olderJob goes by what Jobs are for where they came within a second.
func olderJob(a, b *batchv1.Job) bool {
	index := func(job *batchv1.Job) int { return slices.Index(components, resources.ComponentOf(job.Labels)) }
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(index(a), index(b)),
		cmp.Compare(attemptOf(a), attemptOf(b))) < 0
}

// podOf is the newest pod of a Job, nil if it is gone.
func (s *scope) podOf(job *batchv1.Job) *corev1.Pod {
	var newest *corev1.Pod
	for i := range s.pods {
		pod := &s.pods[i]
		if controlledBy(pod, job.UID) && (newest == nil || newest.CreationTimestamp.Before(&pod.CreationTimestamp)) {
			newest = pod
		}
	}
	return newest
}

// resultOf is what the Job's pod has written when it ended; known is false if no
// pod of it has ended.
func (s *scope) resultOf(job *batchv1.Job) (result *contract.Result, known bool) {
	pod := s.podOf(job)
	if pod == nil {
		return nil, false
	}
	terminated := containerOf(pod).State.Terminated
	if terminated == nil {
		return nil, false
	}
	var out contract.Result
	if err := json.Unmarshal([]byte(terminated.Message), &out); err != nil || out.Version != contract.Version {
		return nil, true
	}
	if terminated.ExitCode != 0 {
		out.Done = false
	}
	return &out, true
}

// backoffOf is how long a failed Job is not tried again. Readers wait for a
// cutover that has passed its point of no return: that one is taken up at once.
func backoffOf(kind plan.JobKind, attempt int) time.Duration {
	if kind == plan.JobCutover {
		return min(pollSoon<<min(attempt-1, 10), maxBackoff)
	}
	return backoff(attempt)
}

// runJob starts the Job that plan asks for. It waits until status holds what the
// Job rests on, so that an operator that is killed in between sees where it was.
func (r *Reconciler) runJob(ctx context.Context, s *scope) (ctrl.Result, error) {
	work := s.decision.Job
	if work == nil || s.unwritten() {
		return ctrl.Result{}, nil
	}
	terms := s.termsOf(work.Revision)
	if terms == nil || work.Kind == plan.JobRetire && r.stillRuns(s, work.Revision) {
		return ctrl.Result{}, nil
	}
	desired := buildJob(s, *work, resources.Input{
		Document: terms.document, Contract: terms.contract, Image: r.Image,
		Attempt: work.Attempt, Against: work.Against, Published: work.Published,
	})
	for i := range s.jobs {
		if live := &s.jobs[i]; live.Name == desired.Name {
			return r.keepJob(ctx, live, desired)
		}
	}
	return s.settle(r.apply(ctx, s, desired, nil))
}

func buildJob(s *scope, work plan.Work, in resources.Input) *batchv1.Job {
	switch work.Kind {
	case plan.JobVerify:
		return resources.VerifyJob(s.projection, in)
	case plan.JobCutover:
		return resources.CutoverJob(s.projection, in)
	}
	return resources.RetireJob(s.projection, in)
}

// keepJob leaves a Job alone that is there already: what its pods run cannot be
// changed. One that does other work makes room.
func (r *Reconciler) keepJob(ctx context.Context, live, desired *batchv1.Job) (ctrl.Result, error) {
	if slices.Equal(argsOf(live), argsOf(desired)) {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, r.remove(ctx, live, "Job")
}

func argsOf(job *batchv1.Job) []string {
	for _, container := range job.Spec.Template.Spec.Containers {
		if container.Name == "projector" {
			return container.Args
		}
	}
	return nil
}

// stillRuns tells whether a projector may still write what a Job is to remove.
func (r *Reconciler) stillRuns(s *scope, revision string) bool {
	return slices.ContainsFunc(s.projectorPods(revision), func(pod *corev1.Pod) bool { return !r.overdue(pod) })
}

// collectJobs removes the Jobs of replays that plan forgets, but not before status
// holds what it has decided.
func (r *Reconciler) collectJobs(ctx context.Context, s *scope) (ctrl.Result, error) {
	if s.unwritten() {
		return ctrl.Result{}, nil
	}
	for i := range s.jobs {
		job := &s.jobs[i]
		forgotten := slices.Contains(s.decision.Forget, job.Labels[v1alpha1.RevisionLabel])
		if !isReplayJob(job) || !forgotten && !s.stale(job) {
			continue
		}
		if err := r.remove(ctx, job, "Job"); err != nil {
			return ctrl.Result{}, err
		}
	}
	return ctrl.Result{}, nil
}

// stale tells a failed try that a later one has come after: the last one says why.
func (s *scope) stale(job *batchv1.Job) bool {
	finished, _ := jobFinished(job)
	return finished && s.newestJob(func(other *batchv1.Job) bool {
		return sameWork(job, other) && attemptOf(other) > attemptOf(job)+1
	}) != nil
}

func sameWork(a, b *batchv1.Job) bool {
	return a.Labels[v1alpha1.RevisionLabel] == b.Labels[v1alpha1.RevisionLabel] &&
		resources.ComponentOf(a.Labels) == resources.ComponentOf(b.Labels)
}

// failureOf is what the last try of a work has come to, nil if none has failed.
// Where a person must act plan says so by a fault.
func (s *scope) failureOf(kind plan.JobKind, revision, reason string) *verdict {
	failed := s.newestJob(func(job *batchv1.Job) bool {
		finished, succeeded := jobFinished(job)
		return isWork(job.Labels, kind, revision) && finished && !succeeded
	})
	if failed == nil {
		return s.jobPodProblem(kind, revision, reason)
	}
	out := &verdict{Type: v1alpha1.ConditionReconciling, Reason: reason, Fault: true,
		Message: fmt.Sprintf("the Job %s of revision %s has failed.", kind, revision)}
	if result, _ := s.resultOf(failed); result != nil {
		out.Message = resultMessage(*result)
	}
	if attemptOf(failed) >= crashes {
		out.Type = v1alpha1.ConditionStalled
	}
	out.Message += " It is tried again by itself."
	return out
}

func isWork(labels map[string]string, kind plan.JobKind, revision string) bool {
	return labels[v1alpha1.RevisionLabel] == revision && resources.ComponentOf(labels) == componentOf[kind]
}

// jobPodProblem says why the pod of a Job does not start.
func (s *scope) jobPodProblem(kind plan.JobKind, revision, reason string) *verdict {
	for i := range s.pods {
		pod := &s.pods[i]
		if pod.Status.Phase != corev1.PodPending || !isWork(pod.Labels, kind, revision) {
			continue
		}
		if problem := podProblem(pod); problem != nil {
			problem.Reason = reason
			return problem
		}
	}
	return nil
}

func resultMessage(result contract.Result) string {
	if result.Problem != nil {
		return sentence(problemVerdict(*result.Problem).Message)
	}
	return sentence(result.Message)
}

func attemptOf(job *batchv1.Job) int {
	n, err := strconv.Atoi(job.Annotations[resources.AttemptAnnotation])
	if err != nil {
		return 0
	}
	return n
}

func jobFinished(job *batchv1.Job) (finished, succeeded bool) {
	if job == nil {
		return false, false
	}
	for _, condition := range job.Status.Conditions {
		if condition.Status != corev1.ConditionTrue {
			continue
		}
		switch condition.Type {
		case batchv1.JobComplete:
			return true, true
		case batchv1.JobFailed:
			return true, false
		}
	}
	return false, false
}

const (
	firstBackoff = 10 * time.Second
	maxBackoff   = 5 * time.Minute
)

func backoff(attempt int) time.Duration {
	wait := firstBackoff
	for range min(attempt-1, 10) {
		wait = min(wait*2, maxBackoff)
	}
	return wait
}

func finishedAt(job *batchv1.Job) time.Time {
	for _, condition := range job.Status.Conditions {
		if condition.Type == batchv1.JobFailed || condition.Type == batchv1.JobComplete {
			return condition.LastTransitionTime.Time
		}
	}
	return job.CreationTimestamp.Time
}
