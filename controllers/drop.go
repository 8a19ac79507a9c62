package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// drop runs a Job that removes what Refold made on the servers, again and again
// until one succeeds, and then lets the Projection go.
func (r *Reconciler) drop(ctx context.Context, s *scope) (ctrl.Result, error) {
	if !s.mayHaveClaimed() {
		return r.letGo(ctx, s, "nothing was made that would have to be removed")
	}
	job := s.newestJob()
	switch finished, succeeded := jobFinished(job); {
	case succeeded:
		return r.letGo(ctx, s, "what Refold made is removed; deletionPolicy: "+string(s.projection.Spec.DeletionPolicy))
	case r.hopeless(s, job):
		return r.abandon(ctx, s, "no projector was ever seen to take over the read model, and removal did not succeed within a minute")
	case job == nil:
		return r.startDrop(ctx, s, 1)
	case !finished:
		s.sayDropping()
		return s.end(pollSoon)
	default:
		return r.retryDrop(ctx, s, job)
	}
}

// startDrop makes sure that the contract is there, and starts a Job.
func (r *Reconciler) startDrop(ctx context.Context, s *scope, attempt int) (ctrl.Result, error) {
	configMap := resources.ConfigMap(s.projection, s.running.Revision, s.document)
	err := r.apply(ctx, s, configMap, asObject(s.configMap(configMap.Name)))
	if err == nil {
		err = r.apply(ctx, s, resources.DropJob(s.projection, s.dropInput(r.Image, attempt)), nil)
	}
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return r.abandon(ctx, s, "the namespace is being deleted")
	}
	if result, err := s.settle(err); err != nil || s.ended {
		if s.ended {
			s.verdict.Message = sentence(s.verdict.Message) + " " + s.abandonHint()
		}
		return result, err
	}
	s.progress(v1alpha1.ReasonDeleting, "what Refold made is being removed")
	return s.end(pollSoon)
}

func (s *scope) newestJob() *batchv1.Job {
	var newest *batchv1.Job
	for i := range s.jobs {
		if newest == nil || attemptOf(newest) < attemptOf(&s.jobs[i]) {
			newest = &s.jobs[i]
		}
	}
	return newest
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

// sayDropping tells how the Job fares: what its pod lacks, what the last try has
// come to, or that it is under way.
func (s *scope) sayDropping() {
	for i := range s.pods {
		if pod := &s.pods[i]; !resources.IsProjector(pod.Labels) {
			if problem := podProblem(pod); problem != nil && pod.Status.Phase == corev1.PodPending {
				s.stall(v1alpha1.ReasonDropFailed, problem.Message+" "+s.abandonHint())
				return
			}
		}
	}
	if message := s.dropMessage(); message != "" {
		s.stall(v1alpha1.ReasonDropFailed, message+" "+s.abandonHint())
		return
	}
	s.progress(v1alpha1.ReasonDeleting, "what Refold made is being removed")
}

func (s *scope) abandonHint() string {
	return fmt.Sprintf("Removal is tried again by itself. To give it up and leave things behind: kubectl -n %s annotate projection %s %s=true",
		s.projection.Namespace, s.projection.Name, v1alpha1.AbandonAnnotation)
}

// dropMessage is what the last drop pod that failed has written, "" if none has.
func (s *scope) dropMessage() string {
	var newest *corev1.Pod
	for i := range s.pods {
		pod := &s.pods[i]
		terminated := containerOf(pod).State.Terminated
		if resources.IsProjector(pod.Labels) || terminated == nil || terminated.ExitCode == 0 {
			continue
		}
		if newest == nil || newest.CreationTimestamp.Before(&pod.CreationTimestamp) {
			newest = pod
		}
	}
	if newest == nil {
		return ""
	}
	return terminationMessage(containerOf(newest).State.Terminated)
}

func terminationMessage(terminated *corev1.ContainerStateTerminated) string {
	var result contract.Result
	if err := json.Unmarshal([]byte(terminated.Message), &result); err != nil {
		return fmt.Sprintf("the Job's container ended with exit code %d.", terminated.ExitCode)
	}
	if result.Problem != nil {
		return sentence(problemVerdict(*result.Problem).Message)
	}
	return sentence(result.Message)
}

const (
	firstBackoff = 10 * time.Second
	maxBackoff   = 5 * time.Minute
)

// retryDrop starts the next Job when the failed one's backoff is over. The failed
// one is removed only after that: it carries the count.
func (r *Reconciler) retryDrop(ctx context.Context, s *scope, failed *batchv1.Job) (ctrl.Result, error) {
	message := s.dropMessage()
	if message == "" {
		message = "the Job that removes what Refold made has failed."
	}
	s.stall(v1alpha1.ReasonDropFailed, message+" "+s.abandonHint())
	for i := range s.jobs {
		if s.jobs[i].Name != failed.Name {
			if err := r.remove(ctx, &s.jobs[i], "Job"); err != nil {
				return ctrl.Result{}, err
			}
		}
	}
	attempt := attemptOf(failed)
	if wait := backoff(attempt) - r.Clock.Since(finishedAt(failed)); wait > 0 {
		return s.end(min(wait, pollLive))
	}
	return r.startDrop(ctx, s, attempt+1)
}

func backoff(attempt int) time.Duration {
	wait := firstBackoff
	for range min(attempt-1, 10) {
		wait = min(wait*2, maxBackoff)
	}
	return wait
}

func finishedAt(job *batchv1.Job) time.Time {
	for _, condition := range job.Status.Conditions {
		if condition.Type == batchv1.JobFailed {
			return condition.LastTransitionTime.Time
		}
	}
	return job.CreationTimestamp.Time
}
