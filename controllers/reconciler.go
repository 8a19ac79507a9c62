package controllers

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// FieldOwner is the one name under which the operator applies objects.
const FieldOwner = client.FieldOwner("refold")

// Reconciler keeps Projections. All fields must be set; it is safe for
// concurrent use. Its zero memory is valid: what it remembers saves work and
// smooths readings, and nothing that matters rests on it.
type Reconciler struct {
	Client   client.Client // reads may lag behind writes
	Live     client.Reader // reads do not
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	Status   StatusReader
	Check    func(contract.Document) error // why the reducer does not compile
	Image    string                        // the projector's image

	memory memory
}

// +kubebuilder:rbac:groups=refold.dev,resources=projections,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=refold.dev,resources=projections/status,verbs=patch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

type phase func(context.Context, *scope) (ctrl.Result, error)

// Reconcile takes one Projection a step further.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (result ctrl.Result, err error) {
	s, err := r.newScope(ctx, req)
	if s == nil || err != nil {
		return ctrl.Result{}, err
	}
	defer func() { result, err = r.summarize(ctx, s, result, err) }()

	if !s.projection.DeletionTimestamp.IsZero() {
		return r.run(ctx, s, r.held, r.observe, r.giveUp, r.stop, r.drop)
	}
	return r.run(ctx, s,
		r.holdFinalizer,
		r.observe,
		r.checkSpec,
		r.readProjectors,
		r.decide,
		r.stopOthers,
		r.collectGarbage,
		r.collectJobs,
		r.applyRevisions,
		r.runJob,
		r.judge,
	)
}

// run goes through phases until one ends the pass.
func (r *Reconciler) run(ctx context.Context, s *scope, phases ...phase) (ctrl.Result, error) {
	for _, next := range phases {
		result, err := next(ctx, s)
		if err != nil || s.ended || result.RequeueAfter > 0 {
			return result, err
		}
	}
	return ctrl.Result{}, nil
}

// concurrency lets projectors that do not answer hold up no others.
const concurrency = 8

// SetupWithManager registers the watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.Projection{}, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		Owns(&appsv1.Deployment{}).
		Owns(&corev1.ConfigMap{}).
		Owns(&batchv1.Job{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(r.projectionsOfPod)).
		Watches(&v1alpha1.Projection{}, handler.EnqueueRequestsFromMapFunc(r.conflictedProjections),
			builder.WithPredicates(targetChanged)).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(r)
}

// CacheOptions keep objects out of memory that are not the operator's.
func CacheOptions() cache.Options {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{resources.ManagedByLabel: resources.ManagedBy})}
	return cache.Options{ByObject: map[client.Object]cache.ByObject{
		&appsv1.Deployment{}: ours,
		&batchv1.Job{}:       ours,
		&corev1.ConfigMap{}:  ours,
		&corev1.Pod{}:        ours,
	}}
}
