package plan

import (
	"fmt"
	"math/big"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

// replace brings another revision to readers.
func (p *planner) replace() {
	d := p.desired
	p.out.Phase, p.out.Cause = PhaseReplaying, p.cause()
	if p.givesWay() {
		p.giveWay()
		return
	}
	p.runActive()
	p.retireCandidates(false)
	p.revive()
	moved := elsewhere(d, p.active)
	inPlace := p.in.Spec.Strategy == v1alpha1.ReplayInPlace && !moved && p.active.Runnable
	switch {
	case d.to == v1alpha1.RevisionRetained:
		p.promote(d)
	case d.to == v1alpha1.RevisionRetiring:
	case d.to == "" && p.historyLacks():
	case inPlace && d.to != "": // begun as a shadow
		d.to, d.run = v1alpha1.RevisionRetiring, false
	case !p.free(d):
	case inPlace:
		p.empty()
	case moved && p.clear():
		p.begin(p.move)
	case !moved:
		p.begin(p.shadow)
	}
}

func (p *planner) cause() v1alpha1.ReplayCause {
	switch {
	case p.active == nil:
		return v1alpha1.CauseFirstBuild
	case elsewhere(p.desired, p.active):
		return v1alpha1.CauseMoved
	}
	return v1alpha1.CauseSpecChanged
}

// givesWay tells whether the active revision has folded nothing, so that
// another one's claim takes its place. One that was found to have folded
// something after all is known by the other's claim, which publishes nothing.
func (p *planner) givesWay() bool {
	a, d := p.active, p.desired
	switch {
	case d.deniesPublished() || elsewhere(a, d) || d.to != "" && !isCandidate(d.to):
		return false
	case a.Projector != nil && a.Projector.Claimed:
		return a.Projector.Events == 0
	}
	return a.Events == 0 && (d.to == "" || !a.Running)
}

// giveWay stops the active revision, then runs the desired one in its place.
func (p *planner) giveWay() {
	p.runActive()
	p.retireCandidates(false)
	d := p.desired
	p.out.Phase, d.run = PhaseReplacing, false
	if p.free(d) && p.room() {
		p.active.run = false
		d.to, d.run = v1alpha1.RevisionBuilding, !p.othersRun(d)
	}
}

// revive takes back a removal that was declared and not begun.
func (p *planner) revive() {
	d := p.desired
	if d.to != v1alpha1.RevisionRetiring || !d.revivable() || d.State != v1alpha1.RevisionRetiring {
		return
	}
	d.to = v1alpha1.RevisionBuilding
	if !d.PromotedAt.IsZero() {
		d.to, d.RetainedUntil = v1alpha1.RevisionRetained, p.in.Now.Add(p.in.Spec.RollbackWindow)
	}
}

// historyLacks refuses a replay that would miss what the log has lost.
func (p *planner) historyLacks() bool {
	if p.in.History != HistoryIncomplete || p.in.Spec.History == v1alpha1.HistoryAvailable {
		return false
	}
	p.out.Phase = PhaseBlocked
	p.out.Fault = &Fault{v1alpha1.ReasonHistoryRequired, fmt.Sprintf(
		"the stream no longer holds everything from source.from on, so a replay would miss what is gone. Revision %s goes on unchanged. Put the old spec back; or set spec.replay.history to Available to fold what there is; or let source.from begin where the stream does.",
		p.active.Name)}
	return true
}

// clear retires all that is left where the desired revision moves to: there it
// must be the first one, to be published by its claim.
func (p *planner) clear() bool {
	ok := true
	for _, r := range p.revisions {
		if r == p.desired || r == p.active || r.to == "" || elsewhere(r, p.desired) {
			continue
		}
		r.to, r.run, ok = v1alpha1.RevisionRetiring, false, false
	}
	return ok
}

// begin takes the desired revision on, if there is room for it.
func (p *planner) begin(next func()) {
	if p.room() {
		p.desired.run = true
		next()
	}
}

// ready tells a candidate that is at the tail, or complete.
func (r *revision) ready() bool {
	return r.Projector != nil && (r.Projector.Completed || r.Projector.CaughtUp && r.Projector.LagSeconds <= 1)
}

// move publishes a revision on another server once it has caught up: readers
// there had nothing to compare it with.
func (p *planner) move() {
	d, old := p.desired, p.active
	d.Diff = nil
	if d.to != v1alpha1.RevisionHeld && !d.ready() {
		d.to = v1alpha1.RevisionBuilding
		return
	}
	if p.in.Spec.Mode == v1alpha1.PromotionManual && !p.approved() {
		d.to, p.out.Phase = v1alpha1.RevisionHeld, PhaseHeld
		return
	}
	if d.deniesPublished() { // what nobody knows of was there first
		p.promote(d)
		return
	}
	p.active = d
	d.to = v1alpha1.RevisionActive
	p.retain(old)
	old.run = old.to == v1alpha1.RevisionRetained
	p.out.Phase, p.out.Cause = PhaseSteady, ""
	if d.completed() {
		p.out.Phase = PhaseCompleted
	}
}

// shadow takes a candidate through its states, one a pass.
func (p *planner) shadow() {
	d := p.desired
	switch d.to {
	case v1alpha1.RevisionVerifying:
		p.verify()
	case v1alpha1.RevisionHeld:
		p.judge()
	default:
		d.to = v1alpha1.RevisionBuilding
		if !d.ready() {
			return
		}
		if !p.active.caughtUpOnce() { // readers have never had a whole one
			p.promote(d)
			return
		}
		d.to, p.out.Phase = v1alpha1.RevisionVerifying, PhaseVerifying
	}
}

// verify compares a candidate with what readers read. The state comes first,
// the Job when status has it.
func (p *planner) verify() {
	d := p.desired
	p.out.Phase = PhaseVerifying
	if d.State != v1alpha1.RevisionVerifying {
		return
	}
	if d.has(JobVerify) && d.Job.Succeeded() && d.Job.Result.Diff != nil {
		d.Diff = diffOf(d.Job.Result.Diff)
		p.judge()
		return
	}
	if d.has(JobVerify) && d.Job.failed() && d.Job.reason() == contract.ReasonNotComparable && p.approved() {
		p.promote(d)
		return
	}
	p.do(Work{Kind: JobVerify, Revision: d.Name, Against: p.active.Name})
	if d.has(JobVerify) && d.Job.failedForGood() {
		remedy := "remove the cause, or put the old spec back; it is tried again by itself"
		if d.Job.reason() == contract.ReasonNotComparable {
			remedy = fmt.Sprintf("set spec.replay.promotion.approve to %s to publish it without a comparison, or put the old spec back; the comparison is tried again by itself", d.Name)
		}
		p.out.Fault = jobFault(v1alpha1.ReasonVerifyFailed, fmt.Sprintf(
			"revision %s is built and could not be compared with revision %s, which goes on", d.Name, p.active.Name), d.Job, remedy)
	}
}

// judge publishes a compared candidate, or holds it.
func (p *planner) judge() {
	d := p.desired
	switch {
	case d.Diff == nil:
		d.to, p.out.Phase = v1alpha1.RevisionVerifying, PhaseVerifying
	case p.approved() || p.in.Spec.Mode == v1alpha1.PromotionAutomatic && within(d.Diff, p.in.Spec.MaxChangedPercent):
		p.promote(d)
	default:
		d.to, p.out.Phase = v1alpha1.RevisionHeld, PhaseHeld
	}
}

func (p *planner) approved() bool { return p.in.Spec.Approve == p.desired.Name }

// within tells whether so few entities differ. What was not compared at one ID
// is for a person to judge.
func within(d *v1alpha1.RevisionDiff, percent int32) bool {
	if d.AtID == "" {
		return false
	}
	differ := sum(d.Added, d.Removed, d.Changed)
	all := sum(d.Same, d.Added, d.Removed, d.Changed)
	return new(big.Int).Mul(differ, big.NewInt(100)).Cmp(new(big.Int).Mul(all, big.NewInt(int64(percent)))) <= 0
}

func sum(numbers ...int64) *big.Int {
	out := new(big.Int)
	for _, n := range numbers {
		out.Add(out, big.NewInt(n))
	}
	return out
}

func diffOf(d *contract.Diff) *v1alpha1.RevisionDiff {
	out := &v1alpha1.RevisionDiff{AtID: d.AtID, Same: d.Same, Added: d.Added, Removed: d.Removed, Changed: d.Changed,
		ChangedFields: d.ChangedFields, Digest: d.Digest}
	for _, s := range d.Sample {
		out.Sample = append(out.Sample, v1alpha1.DiffSample{Key: s.Key, Change: s.Change, Fields: s.Fields})
	}
	return out
}
