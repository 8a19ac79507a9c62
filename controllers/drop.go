package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// drop runs a Job that removes what Refold made on the servers, again and again
// until one succeeds, and then lets the Projection go. Revisions on other servers
// go first, by Jobs of their own: what the last one cannot reach would be forgotten.
func (r *Reconciler) drop(ctx context.Context, s *scope) (ctrl.Result, error) {
	if !s.mayHaveClaimed() {
		return r.letGo(ctx, s, "nothing was made that would have to be removed")
	}
	for _, job := range s.removals(r.Image) {
		if result, err := r.removeBy(ctx, s, job); err != nil || s.ended {
			return result, err
		}
	}
	return r.letGo(ctx, s, "what Refold made is removed; deletionPolicy: "+string(s.projection.Spec.DeletionPolicy))
}

// removal is one Job of a deletion; it is built anew for each try.
type removal struct {
	terms *terms
	build func(attempt int) *batchv1.Job
	mine  func(*batchv1.Job) bool
	spare bool // no projector was ever seen to claim what it removes
}

// removals are the Jobs of a deletion, in their order.
func (s *scope) removals(image string) []removal {
	var out []removal
	for _, name := range s.revisionNames() {
		terms := s.termsOf(name)
		if terms == nil || s.dropping == nil || databaseOf(terms.contract) == databaseOf(s.dropping.contract) {
			continue
		}
		out = append(out, removal{terms,
			func(attempt int) *batchv1.Job {
				return resources.RetireJob(s.projection, resources.Input{Document: terms.document, Contract: terms.contract,
					Image: image, Attempt: attempt, Published: true})
			},
			func(job *batchv1.Job) bool {
				return resources.ComponentOf(job.Labels) == resources.Retire && job.Labels[v1alpha1.RevisionLabel] == name &&
					slices.Contains(argsOf(job), "--published")
			},
			!s.everClaimed(name),
		})
	}
	return append(out, removal{s.dropping,
		func(attempt int) *batchv1.Job { return resources.DropJob(s.projection, s.dropInput(image, attempt)) },
		func(job *batchv1.Job) bool { return resources.ComponentOf(job.Labels) == resources.Drop },
		false,
	})
}

func (s *scope) everClaimed(revision string) bool {
	status := revisionIn(&s.projection.Status, revision)
	return status != nil && status.LastAckedID != ""
}

// removeBy takes one removal a step further; it ends the pass unless it is done.
func (r *Reconciler) removeBy(ctx context.Context, s *scope, next removal) (ctrl.Result, error) {
	job := s.newestJob(next.mine)
	switch finished, succeeded := jobFinished(job); {
	case succeeded:
		return ctrl.Result{}, nil
	case finished && next.spare && attemptOf(job) >= crashes: // its server may not even exist
		return ctrl.Result{}, nil
	case r.hopeless(s, job):
		return r.abandon(ctx, s, "no projector was ever seen to take over the read model, and removal did not succeed within a minute")
	case job == nil:
		return r.startDrop(ctx, s, next, 1)
	case !finished:
		s.sayDropping()
		return s.end(pollSoon)
	default:
		return r.retryDrop(ctx, s, next, job)
	}
}

// startDrop makes sure that the contract is there, and starts a Job.
func (r *Reconciler) startDrop(ctx context.Context, s *scope, next removal, attempt int) (ctrl.Result, error) {
	configMap := resources.ConfigMap(s.projection, next.terms.contract.Revision, next.terms.trigger, next.terms.document)
	err := r.apply(ctx, s, configMap, asObject(s.configMap(configMap.Name)))
	if err == nil {
		err = r.apply(ctx, s, next.build(attempt), nil)
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
	return resultMessage(result)
}

// retryDrop starts the next Job when the failed one's backoff is over. The failed
// one is removed only after that: it carries the count.
func (r *Reconciler) retryDrop(ctx context.Context, s *scope, next removal, failed *batchv1.Job) (ctrl.Result, error) {
	message := s.dropMessage()
	if message == "" {
		message = "the Job that removes what Refold made has failed."
	}
	s.stall(v1alpha1.ReasonDropFailed, message+" "+s.abandonHint())
	for i := range s.jobs {
		if s.jobs[i].Name != failed.Name && next.mine(&s.jobs[i]) {
			if err := r.remove(ctx, &s.jobs[i], "Job"); err != nil {
				return ctrl.Result{}, err
			}
		}
	}
	attempt := attemptOf(failed)
	if wait := backoff(attempt) - r.Clock.Since(finishedAt(failed)); wait > 0 {
		return s.end(min(wait, pollLive))
	}
	return r.startDrop(ctx, s, next, attempt+1)
}
