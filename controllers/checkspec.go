package controllers

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// checkSpec finds out, before any pod starts, whether the spec can be run: its
// values make sense, its reducer compiles, and no other Projection keeps its keys.
func (r *Reconciler) checkSpec(ctx context.Context, s *scope) (ctrl.Result, error) {
	s.invalid = r.invalidSpec(s)
	others, err := r.otherClaims(ctx, s.projection)
	if err != nil {
		return ctrl.Result{}, err
	}
	s.rival = plan.Rival(s.myClaim(r), others)
	return ctrl.Result{}, nil
}

func (r *Reconciler) invalidSpec(s *scope) *plan.Fault {
	source := plan.Defaulted(s.projection.Spec).Source
	if err := plan.CheckFrom(source.From); err != nil {
		return &plan.Fault{Reason: v1alpha1.ReasonInvalidSpec, Message: err.Error()}
	}
	if err := plan.CheckUntil(source.From, source.Until); err != nil {
		return &plan.Fault{Reason: v1alpha1.ReasonInvalidSpec, Message: err.Error()}
	}
	if err := resources.CheckMemory(s.projection.Spec.Projector); err != nil {
		return &plan.Fault{Reason: v1alpha1.ReasonInvalidSpec, Message: err.Error()}
	}
	if s.memory.checked != s.desired.Revision {
		s.memory.checkError = r.Check(s.desired)
		s.memory.checked = s.desired.Revision
	}
	if err := s.memory.checkError; err != nil {
		return &plan.Fault{Reason: v1alpha1.ReasonInvalidReducer, Message: err.Error()}
	}
	return nil
}

// myClaim is what the Projection may keep: it holds the spec's target already if
// one of its revisions, whichever, keeps those keys.
func (s *scope) myClaim(r *Reconciler) plan.Claim {
	claim := r.specClaim(s.projection)
	for _, name := range keptRevisions(s.projection) {
		if terms := s.termsOf(name); terms != nil && covers(targetOf(terms.contract), claim.Target) {
			claim.Held = true
		}
	}
	return claim
}

// covers tells whether every key of part belongs to whole.
func covers(whole, part plan.Target) bool {
	return whole.Database == part.Database && strings.HasPrefix(part.Prefix, whole.Prefix)
}

// keptRevisions are the revisions that have keys, or are about to.
func keptRevisions(p *v1alpha1.Projection) []string {
	var out []string
	if p.Status.ActiveRevision == "" {
		return nil
	}
	for _, revision := range p.Status.Revisions {
		out = append(out, revision.Name)
	}
	if !slices.Contains(out, p.Status.ActiveRevision) {
		out = append(out, p.Status.ActiveRevision)
	}
	return out
}

func (r *Reconciler) specClaim(p *v1alpha1.Projection) plan.Claim {
	return plan.Claim{
		Projection: p.Namespace + "/" + p.Name,
		Created:    p.CreationTimestamp.Time,
		Target:     plan.TargetOf(&p.Spec),
		Held:       p.Status.ActiveRevision != "" && p.Status.ActiveRevision == r.memory.revisionOf(p),
	}
}

// otherClaims are the targets of all other Projections: the one that each spec
// names, and those that its revisions keep, unless there is but the spec's own.
// The list is only looked at, so it need not be copied.
func (r *Reconciler) otherClaims(ctx context.Context, p *v1alpha1.Projection) ([]plan.Claim, error) {
	var list v1alpha1.ProjectionList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	var claims []plan.Claim
	for i := range list.Items {
		other := &list.Items[i]
		if other.UID == p.UID {
			continue
		}
		claim := r.specClaim(other)
		claims = append(claims, claim)
		kept := keptRevisions(other)
		if len(kept) == 0 || len(kept) == 1 && claim.Held {
			continue
		}
		held, err := r.keptClaims(ctx, other, kept)
		if err != nil {
			return nil, err
		}
		claims = append(claims, held...)
	}
	return claims, nil
}

// keptClaims are the targets in the contracts of p's revisions.
func (r *Reconciler) keptClaims(ctx context.Context, p *v1alpha1.Projection, kept []string) ([]plan.Claim, error) {
	var list corev1.ConfigMapList
	err := r.Client.List(ctx, &list, client.InNamespace(p.Namespace), client.MatchingLabels(resources.ProjectionLabels(p.Name)))
	if err != nil {
		return nil, err
	}
	var claims []plan.Claim
	for i := range list.Items {
		configMap := &list.Items[i]
		document, err := contract.Decode([]byte(configMap.Data[contract.FileName]))
		if err != nil || document.ReadModel.RedisHash == nil || !controlledBy(configMap, p.UID) ||
			!slices.Contains(kept, configMap.Labels[v1alpha1.RevisionLabel]) {
			continue
		}
		claims = append(claims, plan.Claim{
			Projection: p.Namespace + "/" + p.Name,
			Created:    p.CreationTimestamp.Time,
			Target:     targetOf(document),
			Held:       true,
		})
	}
	return claims, nil
}

// targetChanged passes what may free a target for another Projection.
var targetChanged = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.Projection)
		after, ok2 := e.ObjectNew.(*v1alpha1.Projection)
		return ok && ok2 && (before.Generation != after.Generation ||
			!slices.Equal(keptRevisions(before), keptRevisions(after)))
	},
}

// conflictedProjections maps a change of one Projection to all that wait for a target.
func (r *Reconciler) conflictedProjections(ctx context.Context, changed client.Object) []reconcile.Request {
	return r.requests(ctx, func(p *v1alpha1.Projection) bool {
		stalled := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionStalled)
		return p.UID != changed.GetUID() && stalled != nil && stalled.Reason == v1alpha1.ReasonTargetConflict
	})
}
