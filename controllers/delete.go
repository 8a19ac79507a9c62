package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
)

// held ends the pass if the Projection goes without us.
func (r *Reconciler) held(_ context.Context, s *scope) (ctrl.Result, error) {
	if controllerutil.ContainsFinalizer(s.projection, v1alpha1.Finalizer) {
		return ctrl.Result{}, nil
	}
	s.gone = true
	return s.end(0)
}

// giveUp lets the Projection go at once where a person says so, or where nothing
// more can be made because the namespace goes too.
func (r *Reconciler) giveUp(ctx context.Context, s *scope) (ctrl.Result, error) {
	terminating, err := r.namespaceTerminates(ctx, s.projection.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	switch {
	case s.projection.Annotations[v1alpha1.AbandonAnnotation] == "true":
		return r.abandon(ctx, s, "the annotation "+v1alpha1.AbandonAnnotation+" says so")
	case terminating:
		return r.abandon(ctx, s, "the namespace is being deleted")
	}
	return ctrl.Result{}, nil
}

func (r *Reconciler) namespaceTerminates(ctx context.Context, name string) (bool, error) {
	var namespace corev1.Namespace
	if err := r.Live.Get(ctx, client.ObjectKey{Name: name}, &namespace); err != nil {
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	}
	return !namespace.DeletionTimestamp.IsZero(), nil
}

// abandon lets the Projection go and lists what it may leave behind.
func (r *Reconciler) abandon(ctx context.Context, s *scope, why string) (ctrl.Result, error) {
	if !s.mayHaveClaimed() {
		return r.letGo(ctx, s, "nothing was made that would have to be removed")
	}
	s.findDropContract()
	message := fmt.Sprintf("Removal was given up, because %s. These are left behind: %s", why, s.leftovers())
	ctrl.LoggerFrom(ctx).Info("Abandoning", "leftovers", s.leftovers())
	r.Recorder.Eventf(s.projection, nil, corev1.EventTypeWarning, v1alpha1.ReasonAbandoned, "Delete", "%s", clip(message))
	return r.removeFinalizer(ctx, s)
}

// leftovers names everything outside the cluster that is the Projection's.
func (s *scope) leftovers() string {
	var out []string
	for _, name := range s.leftRevisions() {
		terms := s.termsOf(name)
		if terms == nil || terms.contract.ReadModel.RedisHash == nil {
			continue
		}
		model, source := terms.contract.ReadModel.RedisHash, terms.contract.Source
		out = append(out, fmt.Sprintf("at %s the keys %s* and ~%s:%s* and the ledger refold:{%s}*; at %s the consumer group refold:%s:%s of the stream %s",
			model.Redis.URL, model.KeyPrefix, name, model.KeyPrefix, s.name(), source.Redis.URL, s.name(), name, source.Stream))
	}
	return strings.Join(out, "; ")
}

// leftRevisions are all that are known, else the spec's.
func (s *scope) leftRevisions() []string {
	if names := s.revisionNames(); len(names) > 0 {
		return names
	}
	return []string{s.desired.Revision}
}

// mayHaveClaimed tells whether a projector was ever started; what was started may
// have made something.
func (s *scope) mayHaveClaimed() bool {
	return s.projection.Status.ActiveRevision != "" || len(s.deployments)+len(s.configMaps)+len(s.jobs) > 0
}

func (r *Reconciler) letGo(ctx context.Context, s *scope, message string) (ctrl.Result, error) {
	r.Recorder.Eventf(s.projection, nil, corev1.EventTypeNormal, v1alpha1.ReasonDeleted, "Delete", "%s", clip(message))
	return r.removeFinalizer(ctx, s)
}

func (r *Reconciler) removeFinalizer(ctx context.Context, s *scope) (ctrl.Result, error) {
	ctrl.LoggerFrom(ctx).Info("Removing finalizer")
	err := r.patchFinalizers(ctx, s, func(p *v1alpha1.Projection) {
		controllerutil.RemoveFinalizer(p, v1alpha1.Finalizer)
	})
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	s.gone = true
	return s.end(0)
}

// stop ends the projectors and the Jobs of replays, and waits for the former's
// pods: what still folds would make anew what is being dropped.
func (r *Reconciler) stop(ctx context.Context, s *scope) (ctrl.Result, error) {
	if s.projection.Status.ActiveRevision == "" {
		if _, err := r.readProjectors(ctx, s); err != nil {
			return ctrl.Result{}, err
		}
		s.recordClaim()
	}
	s.findDropContract()
	s.rememberContracts()
	for i := range s.deployments {
		if err := r.remove(ctx, &s.deployments[i], "Deployment"); err != nil {
			return ctrl.Result{}, err
		}
	}
	for i := range s.jobs {
		if job := &s.jobs[i]; s.endsWithReplay(job) {
			if err := r.remove(ctx, job, "Job"); err != nil {
				return ctrl.Result{}, err
			}
		}
	}
	for _, pod := range s.projectorPods("") {
		if !r.overdue(pod) {
			s.progress(v1alpha1.ReasonDeleting, "the projector is being stopped")
			return s.end(pollSoon)
		}
	}
	return ctrl.Result{}, nil
}

// endsWithReplay tells a Job of a replay from one of the deletion.
func (s *scope) endsWithReplay(job *batchv1.Job) bool {
	return isReplayJob(job) && !slices.ContainsFunc(s.removals(""), func(r removal) bool { return r.mine(job) })
}

// recordClaim makes a revision the active one whose projector has claimed the read
// model, where status does not know any.
func (s *scope) recordClaim() {
	for _, name := range slices.Sorted(maps.Keys(s.readings)) {
		if found := s.readings[name]; found.claimed() && (s.projection.Status.ActiveRevision == "" || found.partition().Published) {
			s.projection.Status.ActiveRevision = name
			recordProgress(&s.projection.Status, found.partition())
		}
	}
}

// rememberContracts helps where objects go before the Projection does.
func (s *scope) rememberContracts() {
	for _, name := range s.revisionNames() {
		if terms := s.termsOf(name); terms != nil {
			s.memory.documents[name] = terms.document
		}
	}
}

// findDropContract finds the contract by which all is dropped: the active
// revision's, else the spec's.
func (s *scope) findDropContract() {
	if active := s.projection.Status.ActiveRevision; active != "" {
		s.dropping = s.termsOf(active)
	}
	if s.dropping == nil {
		s.dropping = s.termsOf(s.desired.Revision)
	}
}

// unclaimedPatience is how long the removal of what was never seen to be made is
// tried: a Projection with a mistyped host must not need a second command to go.
const unclaimedPatience = time.Minute

// hopeless waits for one try at least: the operator may have been away, or the
// projector's pod may have taken its time to end.
func (r *Reconciler) hopeless(s *scope, job *batchv1.Job) bool {
	since, tried := s.projection.DeletionTimestamp.Time, s.isStalledNow()
	if job != nil {
		tried = true
		if attemptOf(job) <= 1 {
			since = job.CreationTimestamp.Time
		}
	}
	return s.projection.Status.ActiveRevision == "" && tried && r.Clock.Since(since) > unclaimedPatience
}

// isStalledNow tells whether the last pass was about this generation, and found
// that a person must act.
func (s *scope) isStalledNow() bool {
	stalled := s.condition(v1alpha1.ConditionStalled)
	return stalled != nil && stalled.ObservedGeneration == s.projection.Generation
}

func (s *scope) dropInput(image string, attempt int) resources.Input {
	return resources.Input{
		Document: s.dropping.document,
		Contract: s.dropping.contract,
		Image:    image,
		Keep:     s.projection.Spec.DeletionPolicy != v1alpha1.DeletionDelete,
		Attempt:  attempt,
	}
}
