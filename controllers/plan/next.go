package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// maxRevisions is how many revisions status lists at most.
const maxRevisions = 4

// Next says what must be, from the newest spec and what is known. It is called
// again and again, and may be given knowledge that is older than its own
// decisions: whatever cannot be taken back (a cutover, a removal) is begun only
// when status already says so, and a Job's outcome counts until status has it.
func Next(in Input) Decision {
	p := newPlanner(in)
	p.active = p.published()
	p.leave()
	p.demote()
	p.aim()
	p.expire()
	p.collect()
	return p.decision()
}

// planner is one decision in the making.
type planner struct {
	in        Input
	revisions []*revision
	active    *revision // what readers read; nil for nothing
	desired   *revision
	out       Decision
	works     []Work // in the order of their priority
	blocking  int    // so many of works let none after them begin
}

// revision is one revision, and what becomes of it.
type revision struct {
	Known
	to  v1alpha1.RevisionState // "" leaves the list, or never was on it
	run bool
	old bool // its Job is of an earlier publication
}

func newPlanner(in Input) *planner {
	p := &planner{in: in, out: Decision{Phase: PhaseSteady}}
	for _, k := range in.Known {
		if p.find(k.Name) == nil {
			p.revisions = append(p.revisions, &revision{Known: k})
		}
	}
	if in.Active != "" && p.find(in.Active) == nil {
		p.revisions = append(p.revisions, &revision{Known: Known{Name: in.Active, State: v1alpha1.RevisionActive}})
	}
	if p.desired = p.find(in.Desired); p.desired == nil {
		p.desired = &revision{Known: Known{Name: in.Desired}}
		p.revisions = append(p.revisions, p.desired)
	}
	p.desired.Store, p.desired.Runnable = in.Store, true
	p.patient()
	p.disbelieve()
	for _, r := range p.revisions {
		r.to = p.remembered(r)
	}
	return p
}

func (p *planner) find(name string) *revision {
	for _, r := range p.revisions {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// remembered is a revision's state, by status or, where status is behind, by
// what has been begun.
func (p *planner) remembered(r *revision) v1alpha1.RevisionState {
	switch {
	case r.has(JobCutover) && !r.Job.Succeeded() && (!r.Job.untouched() || !r.isGoing()):
		return v1alpha1.RevisionPromoting
	case r.has(JobRetire) && !r.Job.Succeeded() && r.Name != p.in.Active:
		return v1alpha1.RevisionRetiring
	case r.State == v1alpha1.RevisionFailed: // an older release's
		return v1alpha1.RevisionBuilding
	case r.State == "" && r != p.desired:
		return v1alpha1.RevisionRetiring
	case r.State == "" && (r.Running || r.Projector != nil):
		return v1alpha1.RevisionBuilding
	}
	return r.State
}

func (r *revision) isGoing() bool {
	return r.State == v1alpha1.RevisionRetained || r.State == v1alpha1.RevisionRetiring
}

func (r *revision) has(kind JobKind) bool { return r.Job != nil && r.Job.Kind == kind }

// isCandidate tells a revision that is being built, and was never published.
func isCandidate(state v1alpha1.RevisionState) bool {
	return state == v1alpha1.RevisionBuilding || state == v1alpha1.RevisionVerifying || state == v1alpha1.RevisionHeld
}

func (r *revision) completed() bool {
	return r.Completed || r.Projector != nil && r.Projector.Completed
}

// caughtUpOnce tells a revision that was whole once from one that never was.
func (r *revision) caughtUpOnce() bool {
	return r.State == v1alpha1.RevisionActive || r.State == v1alpha1.RevisionRetained || !r.PromotedAt.IsZero() ||
		r.completed() || r.Projector != nil && r.Projector.CaughtUp
}

func (r *revision) saysPublished() bool { return r.Projector != nil && r.Projector.Published }

func (r *revision) deniesPublished() bool {
	return r.Projector != nil && r.Projector.Claimed && !r.Projector.Published
}

// elsewhere tells two revisions on different servers or databases. One whose
// place is not known is taken to be at the same.
func elsewhere(a, b *revision) bool {
	return a != nil && b != nil && a.Store != "" && b.Store != "" && a.Store != b.Store
}

// revivable tells a revision whose removal was declared and not begun: a Job
// for it begins only when its projector is gone.
func (r *revision) revivable() bool { return r.Running && r.Job == nil }

// leave takes revisions off the list that are removed.
func (p *planner) leave() {
	for _, r := range p.revisions {
		if r.to == v1alpha1.RevisionRetiring && r != p.active && p.isGone(r) {
			r.to = ""
		}
	}
}

// giveUpAfter is how often the removal is tried of a revision that, as far as
// anybody saw, never claimed a read model on a server that the spec no longer
// names: that server may not even exist.
const giveUpAfter = 3

func (p *planner) isGone(r *revision) bool {
	switch {
	case r.Running:
		return false
	case !r.Runnable: // nobody knows any more what to remove
		return true
	case r.has(JobRetire):
		return r.Job.Succeeded() || r.Job.failed() && p.givenUp(r)
	}
	return false
}

func (p *planner) givenUp(r *revision) bool {
	return !r.Claimed && elsewhere(r, p.desired) && r.Job.Attempt >= giveUpAfter && !r.Job.refused()
}

// demote takes what was read before off the readers.
func (p *planner) demote() {
	for _, r := range p.revisions {
		switch {
		case r == p.active || p.active == nil:
		case r.to == v1alpha1.RevisionActive,
			r.Name == p.in.Active && isCandidate(r.to) && r != p.desired:
			p.retain(r)
		}
	}
}

// retain keeps a revision for the rollback window, if it is worth keeping.
func (p *planner) retain(r *revision) {
	r.to, r.RetainedUntil = v1alpha1.RevisionRetained, p.in.Now.Add(p.in.Spec.RollbackWindow)
	folded := r.Events > 0 || r.Running
	if p.in.Spec.RollbackWindow <= 0 || !r.caughtUpOnce() || !folded {
		r.to = v1alpha1.RevisionRetiring
	}
	if r.caughtUpOnce() && r.PromotedAt.IsZero() { // it was read, if only for a moment
		r.PromotedAt = p.in.Now
	}
}

// expire ends rollback windows. A window that the spec has made shorter counts
// for those that are retained already.
func (p *planner) expire() {
	for _, r := range p.revisions {
		if r.to != v1alpha1.RevisionRetained {
			continue
		}
		if latest := p.in.Now.Add(p.in.Spec.RollbackWindow); r.RetainedUntil.IsZero() || r.RetainedUntil.After(latest) {
			r.RetainedUntil = latest
		}
		if !r.RetainedUntil.After(p.in.Now) {
			r.to = v1alpha1.RevisionRetiring
			continue
		}
		r.run = true
		p.wake(r.RetainedUntil)
	}
}

func (p *planner) wake(at time.Time) {
	if wake := p.out.WakeAt; wake.IsZero() || at.Before(wake) {
		p.out.WakeAt = at
	}
}

// collect notes the removals, the last and least of the works. None removes what
// readers read: the Job refuses it.
func (p *planner) collect() {
	for _, r := range p.revisions {
		if r == p.active || r.to != v1alpha1.RevisionRetiring || r.State != v1alpha1.RevisionRetiring || r.Running || r.run {
			continue
		}
		p.works = append(p.works, Work{Kind: JobRetire, Revision: r.Name, Published: elsewhere(r, p.active)})
	}
}

// decision sums up.
func (p *planner) decision() Decision {
	d := &p.out
	if p.active != nil {
		d.Active, d.Publication = p.active.Name, p.publication(p.active.Store)
	}
	p.order()
	for _, r := range p.revisions {
		p.conclude(r)
		if r.to != "" && len(d.Revisions) < maxRevisions {
			d.Revisions = append(d.Revisions, p.step(r))
		}
	}
	p.work()
	return *d
}

// order puts the active revision first, the desired one next, and leaves the rest.
func (p *planner) order() {
	rank := func(r *revision) int {
		switch r {
		case p.active:
			return 0
		case p.desired:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(p.revisions, func(a, b *revision) int { return cmp.Compare(rank(a), rank(b)) })
}

// conclude records a replay that has ended.
func (p *planner) conclude(r *revision) {
	ended := Ended{Revision: r.Name}
	switch {
	case r == p.active && r.to == v1alpha1.RevisionActive && !r.isGoing() && r.State != v1alpha1.RevisionActive:
		ended.Outcome = v1alpha1.OutcomePromoted
		if r.PromotedAt.IsZero() || r.State == v1alpha1.RevisionPromoting {
			r.PromotedAt = p.in.Now
		}
	case r.to != v1alpha1.RevisionRetiring && r.to != v1alpha1.RevisionRetained, r.State == r.to,
		r.State != v1alpha1.RevisionPromoting && r.State != v1alpha1.RevisionFailed && !isCandidate(r.State):
		return
	case p.desired == p.active && r.Name != p.in.Active:
		ended.Outcome = v1alpha1.OutcomeCalledOff
	default:
		ended.Outcome = v1alpha1.OutcomeSuperseded
	}
	if r.Diff != nil {
		ended.Digest = r.Diff.Digest
	}
	p.out.Finished = append(p.out.Finished, ended)
}

func (p *planner) step(r *revision) Step {
	s := Step{Name: r.Name, State: r.to, Run: r.run, PromotedAt: r.PromotedAt, Completed: r.completed(), Diff: r.Diff}
	switch r.to {
	case v1alpha1.RevisionRetained, v1alpha1.RevisionPromoting:
		s.RetainedUntil = r.RetainedUntil // a rollback may yet be called off
	case v1alpha1.RevisionActive, v1alpha1.RevisionRetiring:
		s.Diff = nil
	}
	done := s.Completed && (r == p.active || r.to == v1alpha1.RevisionRetained)
	if r.run && !done && !p.in.Spec.Suspend {
		s.Replicas = 1
	}
	return s
}
