package plan

import (
	"fmt"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// aim takes the revisions towards what the spec wants.
func (p *planner) aim() {
	fault := objection(p.in)
	switch {
	case p.finish(fault != nil):
	case p.emptying(fault != nil):
	case fault != nil:
		p.freeze()
	case p.active == nil:
		p.first()
	case p.active == p.desired:
		p.steady()
	case p.active.has(JobCutover): // status has to know first
		p.out.Phase = PhaseReplaying
		if p.desired.to == v1alpha1.RevisionRetained {
			p.out.Phase = PhaseRollingBack
		}
		p.runActive()
		p.retireCandidates(false)
	default:
		p.replace()
	}
	if fault != nil {
		p.out.Fault, p.out.Phase = fault, PhaseBlocked
	}
}

// policies are asked in order; the first that objects is heard.
var policies = []func(Input) *Fault{invalidSpec, targetConflict}

func objection(in Input) *Fault {
	for _, policy := range policies {
		if fault := policy(in); fault != nil {
			return fault
		}
	}
	return nil
}

func invalidSpec(in Input) *Fault { return in.Invalid }

func targetConflict(in Input) *Fault {
	if in.Rival == "" {
		return nil
	}
	return &Fault{v1alpha1.ReasonTargetConflict, fmt.Sprintf(
		"Projection %s keeps keys of %s already, and two must not write the same keys. Choose another readModel.redisHash.keyPrefix or database, or delete the other one; this one then starts by itself.",
		in.Rival, in.Target)}
}

// finish goes on with a cutover that has begun, or may have: half of one is
// nothing that readers could be left with. One that has touched nothing is
// called off when another revision is wanted.
func (p *planner) finish(blocked bool) bool {
	for _, r := range p.revisions {
		if r.to != v1alpha1.RevisionPromoting || r == p.active {
			continue
		}
		if r != p.desired && !blocked && r.has(JobCutover) && r.Job.untouched() {
			p.callOff(r)
			continue
		}
		p.runActive()
		p.retireCandidates(blocked)
		p.promote(r)
		return true
	}
	return false
}

func (p *planner) callOff(r *revision) {
	r.to = v1alpha1.RevisionRetiring
	if !r.PromotedAt.IsZero() {
		r.to = v1alpha1.RevisionRetained
	}
}

// promote publishes a revision. Its Job begins once status says Promoting.
func (p *planner) promote(r *revision) {
	r.to, r.run = v1alpha1.RevisionPromoting, true
	p.out.Phase = PhasePromoting
	if r == p.desired {
		p.out.Cause = p.cause()
	}
	if !r.PromotedAt.IsZero() {
		p.out.Phase, p.out.Cause = PhaseRollingBack, v1alpha1.CauseRollback
	}
	if r.State == v1alpha1.RevisionPromoting || r.has(JobCutover) {
		p.do(Work{Kind: JobCutover, Revision: r.Name, Against: p.activeName()})
		p.blocking = len(p.works)
	}
	if r.has(JobCutover) && r.Job.failedForGood() {
		p.out.Fault = jobFault(v1alpha1.ReasonCutoverFailed, fmt.Sprintf("revision %s could not be published", r.Name), r.Job,
			"remove the cause, or put back a spec that you want instead; it is tried again by itself")
	}
}

func (p *planner) activeName() string {
	if p.active == nil {
		return ""
	}
	return p.active.Name
}

func (p *planner) do(w Work) { p.works = append(p.works, w) }

// runActive lets readers have what they read, and it kept up.
func (p *planner) runActive() {
	r := p.active
	if r == nil {
		return
	}
	r.run, r.to = r.Runnable || r.Running, v1alpha1.RevisionBuilding
	if r.caughtUpOnce() || r.has(JobCutover) && r.Job.Succeeded() {
		r.to = v1alpha1.RevisionActive
	}
}

// retireCandidates ends what was being built for older specs. While the newest
// spec can't be run they stand as they are.
func (p *planner) retireCandidates(blocked bool) {
	for _, r := range p.revisions {
		switch {
		case !isCandidate(r.to) || r == p.active:
		case blocked:
			r.run = true
		case r != p.desired || p.desired == p.active:
			r.to = v1alpha1.RevisionRetiring
		default:
			r.run = true
		}
	}
}

// emptying goes on with InPlace: nothing but InPlace retires what readers read.
func (p *planner) emptying(blocked bool) bool {
	r := p.active
	if r == nil || r.State != v1alpha1.RevisionRetiring || r.Name != p.in.Active || !r.Runnable {
		return false
	}
	wanted := !blocked && r != p.desired && p.in.Spec.Strategy == v1alpha1.ReplayInPlace
	if r.revivable() && !wanted {
		return false
	}
	p.empty()
	return true
}

// empty stops everything and removes what readers read. It begins when nothing
// runs that could claim the emptied read model.
func (p *planner) empty() {
	p.out.Phase, p.out.Cause = PhaseEmptying, v1alpha1.CauseSpecChanged
	begin := p.active.State == v1alpha1.RevisionRetiring
	for _, r := range p.revisions {
		if r.to != "" {
			r.to, r.run = v1alpha1.RevisionRetiring, false
		}
		begin = begin && !r.Running
	}
	if begin && p.desired != p.active && p.desired.to != "" {
		begin = false // a shadow of the desired revision goes first
	}
	if begin || p.active.has(JobRetire) {
		p.do(Work{Kind: JobRetire, Revision: p.active.Name, Published: true})
		p.blocking = len(p.works)
	}
}

// freeze lets what is active go on, and keeps the rest as it is.
func (p *planner) freeze() {
	p.runActive()
	if p.active != nil {
		p.retireCandidates(true)
	}
}

// first runs the desired revision where readers read nothing yet.
func (p *planner) first() {
	p.out.Phase, p.out.Cause = PhaseBuilding, v1alpha1.CauseFirstBuild
	for _, r := range p.revisions {
		if r != p.desired && r.to != "" {
			r.to = v1alpha1.RevisionRetiring
		}
	}
	p.forgetUnclaimed()
	d := p.desired
	if !p.free(d) || p.othersRun(d) || !p.room() {
		return
	}
	d.to, d.run = v1alpha1.RevisionBuilding, true
	if d.deniesPublished() && d.ready() { // somebody's of whom nothing is known
		p.promote(d)
	}
}

// forgetUnclaimed makes room where one bad spec has followed another.
func (p *planner) forgetUnclaimed() {
	for _, r := range p.revisions {
		if elsewhere(r, p.desired) && !r.Claimed && !r.Running && p.listed() > maxRevisions && r.Job == nil {
			r.to = ""
		}
	}
}

// free tells whether a revision may be begun: what is left of an earlier time
// is removed first.
func (p *planner) free(r *revision) bool {
	if r.to == v1alpha1.RevisionRetiring && r.revivable() {
		return true
	}
	return r.to != v1alpha1.RevisionRetiring && !r.has(JobRetire)
}

// othersRun tells whether a projector still runs that r takes the place of.
func (p *planner) othersRun(r *revision) bool {
	for _, other := range p.revisions {
		if other != r && other.Running && !elsewhere(other, r) {
			return true
		}
	}
	return false
}

// listed counts the revisions besides the desired one.
func (p *planner) listed() int {
	n := 1
	for _, r := range p.revisions {
		if r != p.desired && r.to != "" {
			n++
		}
	}
	return n
}

// room tells whether the desired revision may join the list. If it may not yet,
// the oldest that is kept for a rollback goes early.
func (p *planner) room() bool {
	if p.desired.to != "" || p.listed() <= maxRevisions {
		return true
	}
	var oldest *revision
	for _, r := range p.revisions {
		switch {
		case r == p.active || r == p.desired:
		case r.to == v1alpha1.RevisionRetiring:
			if r.has(JobRetire) && r.Job.failedForGood() {
				p.out.Fault = jobFault(v1alpha1.ReasonDropFailed, fmt.Sprintf(
					"there are %d revisions, and revision %s must be removed before another is built", maxRevisions, r.Name), r.Job, "remove the cause; it is tried again by itself")
			}
			return false
		case r.to == v1alpha1.RevisionRetained && (oldest == nil || r.RetainedUntil.Before(oldest.RetainedUntil)):
			oldest = r
		}
	}
	if oldest != nil {
		oldest.to = v1alpha1.RevisionRetiring
	}
	return false
}

// steady keeps up what is read and wanted.
func (p *planner) steady() {
	p.runActive()
	p.retireCandidates(false)
	if a := p.active; a.deniesPublished() && a.ready() && p.listed() == 1 && (a.Job == nil || a.has(JobCutover) && !a.Job.Succeeded()) {
		p.promote(a) // readers read what nobody knows of any more
		return
	}
	switch {
	case p.active.completed():
		p.out.Phase = PhaseCompleted
	case p.active.to == v1alpha1.RevisionBuilding:
		p.out.Phase, p.out.Cause = PhaseBuilding, v1alpha1.CauseFirstBuild
	default:
		p.out.Phase = PhaseSteady
	}
}
