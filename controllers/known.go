package controllers

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// known lists every revision that status, an object or a projector tells of: those
// of status in its order, then the others by name.
func (s *scope) known() []plan.Known {
	var out []plan.Known
	for _, name := range s.revisionNames() {
		out = append(out, s.knownRevision(name))
	}
	return out
}

func (s *scope) revisionNames() []string {
	var names, seen []string
	for _, revision := range s.projection.Status.Revisions {
		names = append(names, revision.Name)
	}
	seen = append(seen, s.projection.Status.ActiveRevision)
	for name := range s.readings {
		seen = append(seen, name)
	}
	for _, labels := range s.labels() {
		seen = append(seen, labels[v1alpha1.RevisionLabel])
	}
	slices.Sort(seen)
	for _, name := range slices.Compact(seen) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (s *scope) knownRevision(name string) plan.Known {
	out := plan.Known{Name: name, Running: s.runs(name), Job: s.jobAbout(name)}
	if terms := s.termsOf(name); terms != nil {
		out.Runnable, out.Store = true, databaseOf(terms.contract)
	}
	if status := revisionIn(&s.projection.Status, name); status != nil {
		out.State, out.Diff = status.State, status.Diff
		out.PromotedAt, out.RetainedUntil = timeOf(status.PromotedAt), timeOf(status.RetainedUntil)
		out.Completed, out.Events = status.Completed, eventsOf(&s.projection.Status, status)
		out.Claimed = status.LastAckedID != ""
	}
	if found, ok := s.readings[name]; ok {
		out.Projector = found.projector()
		out.Claimed = out.Claimed || found.claimed()
	}
	return out
}

// eventsOf is what a revision has folded, as status last said.
func eventsOf(status *v1alpha1.ProjectionStatus, revision *v1alpha1.RevisionStatus) int64 {
	switch {
	case revision.Name == status.ActiveRevision:
		return status.Events
	case revision.Progress != nil:
		return revision.Progress.Events
	}
	return 0
}

func (s *scope) runs(revision string) bool {
	return s.deployment(resources.DeploymentName(s.projection.Name, revision)) != nil ||
		len(s.projectorPods(revision)) > 0
}

func (r reading) projector() *plan.Projector {
	p := r.partition()
	out := &plan.Projector{
		Claimed:     p.Claimed,
		Published:   p.Published,
		Publication: p.Publication,
		CaughtUp:    p.CaughtUp,
		Completed:   p.State == contract.StateCompleted,
		Events:      p.Events,
		LagSeconds:  -1,
		Permanent:   p.Problem != nil && p.Problem.Permanent,
	}
	if p.LagEvents >= 0 {
		out.LagSeconds = p.LagSeconds
	}
	return out
}

func revisionIn(status *v1alpha1.ProjectionStatus, name string) *v1alpha1.RevisionStatus {
	for i := range status.Revisions {
		if status.Revisions[i].Name == name {
			return &status.Revisions[i]
		}
	}
	return nil
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func timeIn(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	out := metav1.NewTime(t).Rfc3339Copy()
	return &out
}
