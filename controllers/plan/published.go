package plan

import "github.com/refold-dev/refold/api/v1alpha1"

// published is the revision that readers read, by the best evidence there is:
// the greatest number of a publication, a cutover that has succeeded, then the
// ledger by the mouth of projectors, then status. A projector speaks of its last claim and may be behind by a moment, so
// it is believed where a cutover was under way or where nobody contradicts it.
// The Jobs ask the ledger itself, and do no harm if this is wrong.
func (p *planner) published() *revision {
	if newer := p.newer(); newer != nil {
		return newer
	}
	for _, r := range p.revisions {
		if r.has(JobCutover) && r.Job.Succeeded() {
			return r
		}
	}
	last := p.find(p.in.Active)
	if last != nil && last.State == v1alpha1.RevisionRetiring && last.has(JobRetire) && last.Job.Succeeded() {
		last = nil // InPlace: emptied
	}
	if last == nil {
		return p.guess()
	}
	for _, r := range p.revisions {
		if r != last && r.saysPublished() && !elsewhere(r, last) && p.believed(r, last) {
			return r
		}
	}
	for _, r := range p.revisions {
		if r != last && last.deniesPublished() && r.has(JobRetire) && r.Job.refused() && !elsewhere(r, last) && !r.deniesPublished() {
			return r
		}
	}
	if last.deniesPublished() && last.PromotedAt.IsZero() {
		if other := p.unheard(last, false); other != nil {
			return other
		}
	}
	return last
}

func (p *planner) believed(r, last *revision) bool {
	return r.to == v1alpha1.RevisionPromoting || last.deniesPublished() ||
		last.Projector == nil && (r.State == "" || isCandidate(r.State))
}

// guess finds what readers read where status has no word of it.
func (p *planner) guess() *revision {
	var best *revision
	for _, r := range p.revisions {
		if r.saysPublished() && (best == nil || r.Projector.CaughtUp && !best.Projector.CaughtUp) {
			best = r
		}
	}
	if best != nil {
		return best
	}
	for _, r := range p.revisions {
		if (r.State == v1alpha1.RevisionActive || r.has(JobRetire) && r.Job.refused()) && !r.deniesPublished() {
			return r
		}
	}
	if !p.desired.deniesPublished() {
		return nil
	}
	if r := p.unheard(p.desired, false); r != nil {
		return r
	}
	return p.unheard(p.desired, true)
}

// unheard is a revision that may be published without anybody's having seen its
// claim, or status has lost, when another's claim published nothing. It is run
// again, and will tell.
func (p *planner) unheard(denies *revision, claimed bool) *revision {
	for _, r := range p.revisions {
		gone := r.has(JobRetire) && !r.Job.failed() // or will be: what is run beside its removal would outlive that
		if r != denies && r.Runnable && r.Claimed == claimed && r.Projector == nil && !elsewhere(r, denies) && !gone {
			return r
		}
	}
	return nil
}

// disbelieve sets right what projectors say that have not claimed again since the
// last publication, and forgets the Jobs of earlier ones. Who was published last
// is known by the greatest number.
func (p *planner) disbelieve() {
	for _, r := range p.revisions {
		latest := p.publication(r.Store)
		if r.published() < latest && r.has(JobCutover) && r.Job.Succeeded() && r.Job.Result.Cutover != nil {
			r.Job, r.old = nil, true
		}
		if r.Projector != nil && r.Projector.Claimed && r.Projector.Publication < latest {
			told := *r.Projector
			told.Published, told.Publication = p.publishedAs(r.Store, latest) == r.Name, latest
			r.Projector = &told
		}
		if r.Name == p.in.Active && latest == 0 && r.deniesPublished() && r.Projector.Publication == 0 {
			told := *r.Projector // of a release that does not say: status knows better
			told.Published = true
			r.Projector = &told
		}
	}
}

// patient passes over what projectors say of a publication whose Job has not ended
// yet: in a moment it tells the same, and what it did.
func (p *planner) patient() {
	if p.in.Publication == 0 || !p.publishing() {
		return
	}
	for _, r := range p.revisions {
		if r.Projector != nil && r.Projector.Claimed && r.Projector.Publication == p.in.Publication+1 && r.Store == p.find(p.in.Active).Store {
			told := *r.Projector
			told.Published, told.Publication = r.Name == p.in.Active, p.in.Publication
			r.Projector = &told
		}
	}
}

// publishing tells whether a Job runs that takes the active revision off its readers.
func (p *planner) publishing() bool {
	active := p.find(p.in.Active)
	for _, r := range p.revisions {
		if active != nil && r != active && r.Store == active.Store && r.has(JobCutover) && !r.Job.Ended {
			return true
		}
	}
	return false
}

// newer is the revision that somebody knows was published after what status has.
func (p *planner) newer() *revision {
	active := p.find(p.in.Active)
	if active == nil {
		return nil
	}
	number := p.publication(active.Store)
	if number <= p.in.Publication {
		return nil
	}
	return p.find(p.publishedAs(active.Store, number))
}

// publication is the greatest number of a server's read model of which it is known
// who was published.
func (p *planner) publication(store string) (latest int64) {
	if active := p.find(p.in.Active); active != nil && active.Store == store {
		latest = p.in.Publication
	}
	for _, r := range p.revisions {
		if r.Store == store {
			latest = max(latest, r.heard(), r.published())
		}
	}
	return latest
}

// publishedAs names the revision that a publication has published, "" if nobody
// says so.
func (p *planner) publishedAs(store string, number int64) string {
	for _, r := range p.revisions {
		if r.Store == store && (r.published() == number || r.heard() == number) {
			return r.Name
		}
	}
	if active := p.find(p.in.Active); active != nil && active.Store == store && p.in.Publication == number {
		return active.Name
	}
	return ""
}

// heard is the number under which a revision's projector says it is published.
func (r *revision) heard() int64 {
	if !r.saysPublished() || !r.Projector.Claimed {
		return 0
	}
	return r.Projector.Publication
}

// published is the number under which a revision's Job has published it.
func (r *revision) published() int64 {
	if !r.has(JobCutover) || !r.Job.Succeeded() || r.Job.Result.Cutover == nil {
		return 0
	}
	return r.Job.Result.Cutover.Publication
}
