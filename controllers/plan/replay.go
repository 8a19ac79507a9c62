package plan

import (
	"time"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

// Input is everything a decision rests on: what the spec says, what status
// remembers, and what was just seen. A zero field says nothing is known.
type Input struct {
	Now     time.Time
	Desired string     // the revision that the spec names
	Spec    ReplaySpec // how it is to be published
	Store   string     // the server and database of the desired revision's read model: "host:port/number"
	Invalid *Fault     // why the spec cannot be run at all
	Rival   string     // the "namespace/name" that has the desired target, "" if none
	Target  Target     // what the spec keeps, for messages
	Active  string     // the revision that readers read, as last known; "" if none is
	// Publication is that of Active, as last known; 0 if it is not.
	Publication int64
	Known       []Known       // all revisions of status, and those whose children, Jobs included, or projectors are seen
	History     HistoryStatus // of the active revision's stream, if the desired one has the same; else unknown
}

// ReplaySpec is what of a spec says how a replay goes, with defaults.
type ReplaySpec struct {
	Suspend           bool
	Strategy          v1alpha1.ReplayStrategy
	Mode              v1alpha1.PromotionMode
	MaxChangedPercent int32
	Approve           string
	RollbackWindow    time.Duration
	History           v1alpha1.HistoryPolicy
}

// HistoryStatus is what is known of a stream's history.
type HistoryStatus int

// Values of HistoryStatus.
const (
	HistoryUnknown HistoryStatus = iota
	HistoryComplete
	HistoryIncomplete
)

// Fault is why a spec is not run, and what to do about it.
type Fault struct{ Reason, Message string }

// Known is one revision: what status says of it, and what is seen.
type Known struct {
	Name          string
	State         v1alpha1.RevisionState // as status has it; "" for one that only its children tell of
	PromotedAt    time.Time              // as status has it; zero if it never was, or never caught up
	RetainedUntil time.Time              // as status has it; zero if it is not retained
	Completed     bool                   // as status has it: source.until is reached
	Diff          *v1alpha1.RevisionDiff // as status has it
	Events        int64                  // that it has folded, as status last said; 0 if that says nothing

	Store     string     // the server and database in its contract; "" while unknown
	Claimed   bool       // its projector has claimed a read model once: status has its lastAckedID, or it says so now
	Projector *Projector // what its projector says in this pass; nil if it does not
	Running   bool       // a Deployment or a pod of its projector is there
	Job       *Job       // the newest Job about it; nil if there is none
	Runnable  bool       // its contract is known: it can be run, and dropped. The desired one always can
}

// Projector is what a projector said.
type Projector struct {
	Claimed   bool
	Published bool
	// Publication numbers the revisions that were published in the read model, as
	// of Published: of two projectors that contradict each other the one with the
	// greater number knows better.
	Publication int64
	CaughtUp    bool
	Completed   bool
	Events      int64
	LagSeconds  int64 // -1 while unknown
	Permanent   bool  // it has a problem that a person must mend
}

// JobKind is what a Job does.
type JobKind string

// Values of JobKind.
const (
	JobVerify  JobKind = "verify"
	JobCutover JobKind = "cutover"
	JobRetire  JobKind = "retire" // drop one revision
)

// Job is a finite work about one revision.
type Job struct {
	Kind    JobKind
	Ended   bool
	Result  *contract.Result // of one that has ended and said something
	Attempt int              // as in the Work that it was made of
	RetryAt time.Time        // of one that failed: not before
}

// Succeeded says whether the work is done.
func (j *Job) Succeeded() bool { return j != nil && j.Ended && j.Result != nil && j.Result.Done }

// Decision is what must be, and what must be done now.
type Decision struct {
	// Active is the revision that readers read, "" if none is.
	Active string
	// Publication is that of Active; 0 while unknown.
	Publication int64
	// Revisions are all that status lists from now on, the active one first. Those
	// that Run have a Deployment, all others none.
	Revisions []Step
	// Job is the one work that must be under way: it is created if it is not there.
	// nil: none is created; one that runs goes on, unless Forget names it.
	Job *Work
	// Forget are revisions whose Jobs are deleted, also one that runs: status has
	// what they had to tell, or nobody wants to know any more. No other Job is ever
	// deleted. It comes before Job: where the deletion fails nothing is created.
	Forget []string
	// Fault is why what runs is not what the spec says; nil if nothing speaks against it.
	Fault *Fault
	// Phase is what the Projection is about, for its conditions: the state of the
	// desired revision, or why it is not begun.
	Phase Phase
	// Cause is why the desired revision is built or gone back to; "" where it is
	// what readers read, or is not begun. The controller alone can tell Triggered
	// from SpecChanged: by contracts that differ in the revision's name only.
	Cause v1alpha1.ReplayCause
	// Finished are replays that ended in this pass, for the record and for events.
	Finished []Ended
	// WakeAt is when something falls due by itself; zero for never.
	WakeAt time.Time
}

// Step is one revision from now on.
type Step struct {
	Name          string
	State         v1alpha1.RevisionState
	Run           bool  // it has a Deployment
	Replicas      int32 // of its Deployment: 0 or 1
	PromotedAt    time.Time
	RetainedUntil time.Time
	Completed     bool
	Diff          *v1alpha1.RevisionDiff
}

// Work is a Job that must be under way.
type Work struct {
	Kind      JobKind
	Revision  string // whose contract it runs by
	Against   string // verify, cutover: the active revision, "" if none is
	Published bool   // retire: also though readers read it (InPlace)
	Attempt   int    // counts from 1
}

// Phase is what a Projection is about.
type Phase string

// Values of Phase.
const (
	PhaseSteady      Phase = "Steady"    // the active revision is the desired one
	PhaseBuilding    Phase = "Building"  // the first revision folds history
	PhaseReplacing   Phase = "Replacing" // one that folded nothing gives way
	PhaseReplaying   Phase = "Replaying" // a candidate folds beside the active one
	PhaseEmptying    Phase = "Emptying"  // InPlace: the old one is being removed
	PhaseVerifying   Phase = "Verifying"
	PhaseHeld        Phase = "Held"
	PhasePromoting   Phase = "Promoting"
	PhaseRollingBack Phase = "RollingBack"
	PhaseCompleted   Phase = "Completed" // source.until is reached
	PhaseBlocked     Phase = "Blocked"   // Fault says why
)

// Ended is a replay that ended.
type Ended struct {
	Revision string
	Outcome  v1alpha1.ReplayOutcome
	Digest   string // of its entities, if they were compared
}

// ReplaySpecOf is what a spec says of replays, with defaults.
func ReplaySpecOf(spec v1alpha1.ProjectionSpec) ReplaySpec {
	spec = Defaulted(spec)
	replay := spec.Replay
	return ReplaySpec{
		Suspend:           spec.Suspend,
		Strategy:          replay.Strategy,
		Mode:              replay.Promotion.Mode,
		MaxChangedPercent: *replay.Promotion.MaxChangedPercent,
		Approve:           replay.Promotion.Approve,
		RollbackWindow:    time.Duration(*replay.RollbackWindowSeconds) * time.Second,
		History:           replay.History,
	}
}
