package plan

import (
	"strings"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

// failed says whether the work has ended without being done.
func (j *Job) failed() bool { return j.Ended && !j.Succeeded() }

// patience is how often a Job fails for passing causes before a person is told.
const patience = 5

// failedForGood says whether a person should know.
func (j *Job) failedForGood() bool {
	return j.failed() && (j.Attempt >= patience || j.Result != nil && j.Result.Problem != nil && j.Result.Problem.Permanent)
}

// untouched says whether a failed cutover has left everything as it was: its
// result names no cutover. One that left no result may have done anything.
func (j *Job) untouched() bool { return j.failed() && j.Result != nil && j.Result.Cutover == nil }

func (j *Job) reason() string {
	if j.Result == nil || j.Result.Problem == nil {
		return ""
	}
	return j.Result.Problem.Reason
}

// refused says whether a removal was refused, for readers read it.
func (j *Job) refused() bool {
	return j.failed() && (j.reason() == contract.ReasonNotOwned || j.reason() == contract.ReasonReplayNeeded)
}

// jobFault says what a Job said, and what to do.
func jobFault(reason, what string, j *Job, remedy string) *Fault {
	why := "its Job ended and said nothing; see the log of its pod"
	if j.Result != nil && j.Result.Problem != nil {
		why = strings.TrimSuffix(j.Result.Problem.Message, ".")
		if own := strings.TrimSuffix(j.Result.Problem.Remedy, "."); own != "" {
			remedy = own + ". Or " + remedy
		}
	}
	return &Fault{reason, what + ": " + why + ". What to do: " + remedy + "."}
}

// work chooses the one Job. One that runs goes on; and where one is still to be
// deleted, or its outcome to be written, none is begun.
func (p *planner) work() {
	pending := false
	for _, r := range p.revisions {
		switch {
		case r.Job == nil && !r.old:
		case r.old || p.spent(r):
			p.out.Forget = append(p.out.Forget, r.Name)
			pending = true
		case !r.Job.Ended, r.has(JobCutover) && r.Job.Succeeded():
			pending = true
		}
	}
	for i, w := range p.works {
		job := p.find(w.Revision).Job
		if job != nil && job.Kind == w.Kind && !job.Ended {
			w.Attempt = job.Attempt
			p.out.Job = &w
			return
		}
		if pending || p.in.Spec.Suspend || p.out.Job != nil {
			continue
		}
		if w.Attempt = 1; job != nil && job.Kind == w.Kind {
			w.Attempt = job.Attempt + 1
			if job.RetryAt.After(p.in.Now) {
				p.wake(job.RetryAt)
				pending = i < p.blocking
				continue
			}
		}
		p.out.Job = &w
	}
}

// spent says whether a Job has nothing more to tell: status has it, or nobody
// wants to know. A cutover's is kept until the projector has seen it too, for
// until then projectors speak of what was before.
func (p *planner) spent(r *revision) bool {
	switch r.Job.Kind {
	case JobVerify:
		return r.State != v1alpha1.RevisionVerifying || r.to == v1alpha1.RevisionRetiring
	case JobRetire:
		return r.State == "" && r.to == "" || r.Job.Ended && r.to != "" && r.to != v1alpha1.RevisionRetiring
	case JobCutover:
		if r == p.active {
			return r.Job.Ended && r.Name == p.in.Active && r.State != v1alpha1.RevisionPromoting && (r.Projector == nil || r.saysPublished())
		}
		return r.isGoing() && r.Job.untouched() && r.to != v1alpha1.RevisionPromoting
	}
	return true
}
