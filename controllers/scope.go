package controllers

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// scope is what one pass knows. A field is valid from the phase named on.
type scope struct {
	projection *v1alpha1.Projection // always; as the API server has it, but for status
	before     *v1alpha1.Projection // always; the base of the status patch
	desired    contract.Document    // always; the spec's contract
	memory     *remembered          // always
	children                        // observe
	invalid    *plan.Fault          // checkSpec
	rival      string               // checkSpec
	readings   map[string]reading   // readProjectors, stop; by revision
	terms      map[string]*terms    // observe; ask termsOf
	decision   plan.Decision        // decide
	dropping   *terms               // stop, giveUp: by which all is dropped
	verdict    *verdict             // say
	ended      bool                 // end: no later phase runs
	gone       bool                 // the Projection needs no status any more
}

// children are the objects of one Projection, as the cache has them.
type children struct {
	deployments []appsv1.Deployment
	configMaps  []corev1.ConfigMap
	jobs        []batchv1.Job
	pods        []corev1.Pod // of projectors and of Jobs
}

// verdict is what a pass comes to. Type is ConditionReady (it is),
// ConditionReconciling, ConditionStalled, or "" for not ready and neither.
type verdict struct {
	Type    string
	Reason  string
	Message string
	Fault   bool // something is wrong, also if it heals by itself
}

func (r *Reconciler) newScope(ctx context.Context, req ctrl.Request) (*scope, error) {
	projection := &v1alpha1.Projection{}
	if err := r.Client.Get(ctx, req.NamespacedName, projection); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return &scope{
		projection: projection,
		before:     projection.DeepCopy(),
		desired:    resources.Document(projection),
		memory:     r.memory.of(projection.UID),
	}, nil
}

// say records what the pass comes to; the first word stands.
func (s *scope) say(v verdict) {
	if s.verdict == nil {
		s.verdict = &v
	}
}

func (s *scope) stall(reason, message string) {
	s.say(verdict{Type: v1alpha1.ConditionStalled, Reason: reason, Message: message, Fault: true})
}

func (s *scope) progress(reason, message string) {
	s.say(verdict{Type: v1alpha1.ConditionReconciling, Reason: reason, Message: message})
}

// end lets no later phase run and comes back after d.
func (s *scope) end(d time.Duration) (ctrl.Result, error) {
	s.ended = true
	return ctrl.Result{RequeueAfter: d}, nil
}

// name is "namespace/name", as contracts and ledgers have it.
func (s *scope) name() string { return s.desired.Projection }

// holdFinalizer makes sure that nothing is made which deletion would not remove.
func (r *Reconciler) holdFinalizer(ctx context.Context, s *scope) (ctrl.Result, error) {
	if controllerutil.ContainsFinalizer(s.projection, v1alpha1.Finalizer) {
		return ctrl.Result{}, nil
	}
	ctrl.LoggerFrom(ctx).Info("Adding finalizer")
	return ctrl.Result{}, r.patchFinalizers(ctx, s, func(p *v1alpha1.Projection) {
		controllerutil.AddFinalizer(p, v1alpha1.Finalizer)
	})
}

func (r *Reconciler) patchFinalizers(ctx context.Context, s *scope, change func(*v1alpha1.Projection)) error {
	status := s.projection.Status.DeepCopy()
	base := client.MergeFromWithOptions(s.projection.DeepCopy(), client.MergeFromWithOptimisticLock{})
	change(s.projection)
	if err := r.Client.Patch(ctx, s.projection, base, FieldOwner); err != nil {
		return err
	}
	s.before = s.projection.DeepCopy()
	s.projection.Status = *status
	return nil
}
