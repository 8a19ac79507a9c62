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
	Desired string        // the revision that the spec names
	Spec    ReplaySpec    // how it is to be published
	Moved   bool          // the desired revision's read model is on another server or database than the active one's
	Invalid *Fault        // why the spec cannot be run at all
	Rival   string        // the "namespace/name" that has the desired target, "" if none
	Target  Target        // what the spec keeps, for messages
	Active  string        // the revision that readers read, as last known; "" if none is
	Known   []Known       // all revisions of status, and those whose children or projectors are seen
	History HistoryStatus // of the active revision's stream, if the desired one has the same; else unknown
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

// Known is one revision: what status says of it, and what is seen.
type Known struct {
	Name          string
	State         v1alpha1.RevisionState // "" for one that only its children tell of
	PromotedAt    time.Time              // zero if it never was
	RetainedUntil time.Time              // zero if it is not retained
	CaughtUpOnce  bool                   // it has been within a batch of the tail
	Diff          *v1alpha1.RevisionDiff

	Projector *Projector // what its projector says in this pass; nil if it does not
	Running   bool       // a Deployment or a pod of it is there
	Job       *Job       // the newest Job about it; nil if there is none
	Runnable  bool       // its contract is known: it can be run, and dropped
}

// Projector is what a projector said.
type Projector struct {
	Claimed    bool
	Published  bool
	CaughtUp   bool
	Completed  bool
	Events     int64
	LagSeconds int64 // -1 while unknown
	Permanent  bool  // it has a problem that a person must mend
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
	Attempt int
	RetryAt time.Time // of one that failed: not before
}

// Succeeded says whether the work is done.
func (j *Job) Succeeded() bool { return j != nil && j.Ended && j.Result != nil && j.Result.Done }

// Decision is what must be, and what must be done now.
type Decision struct {
	// Active is the revision that readers read, "" if none is.
	Active string
	// Revisions are all that status lists from now on, the active one first. Those
	// that Run have a Deployment, all others none.
	Revisions []Step
	// Job is the one work that must be under way, nil for none.
	Job *Work
	// Fault is why what runs is not what the spec says; nil if nothing speaks against it.
	Fault *Fault
	// Phase is what the Projection is about, for its conditions: the state of the
	// desired revision, or why it is not begun.
	Phase Phase
	// Finished are replays that ended in this pass, for the record and for events.
	Finished []Ended
	// WakeAt is when something falls due by itself; zero for never.
	WakeAt time.Time
}

// Step is one revision from now on.
type Step struct {
	Name          string
	State         v1alpha1.RevisionState
	Run           bool
	Replicas      int32
	PromotedAt    time.Time
	RetainedUntil time.Time
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
}
