package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ProjectionStatus mirrors what is true about the read model. The truth itself
// lies with the read model, in its ledger.
type ProjectionStatus struct {
	// The generation of the spec that the rest of the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// The last stream ID whose effect is in the read model.
	// +optional
	// +kubebuilder:validation:MaxLength=41
	LastAckedID string `json:"lastAckedID,omitempty"`

	// Entries of the stream after lastAckedID; not set while unknown.
	// +optional
	LagEvents *int64 `json:"lagEvents,omitempty"`

	// The age in seconds of the oldest entry that is not folded yet, 0 if there is
	// none; not set while unknown.
	// +optional
	LagSeconds *int64 `json:"lagSeconds,omitempty"`

	// Events folded into the active revision since it began.
	// +optional
	Events int64 `json:"events,omitempty"`

	// The revision that readers read. A revision is one fold: source, reducer and
	// read model.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	ActiveRevision string `json:"activeRevision,omitempty"`

	// The number under which the read model's ledger has made that revision the one
	// that readers read. It only ever rises; its size says nothing.
	// +optional
	Publication int64 `json:"publication,omitempty"`

	// The revisions there are.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=4
	Revisions []RevisionStatus `json:"revisions,omitempty"`

	// The last ten replays, the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Replays []ReplayRecord `json:"replays,omitempty"`

	// The streams of the active revision.
	// +optional
	// +listType=map
	// +listMapKey=stream
	// +kubebuilder:validation:MaxItems=1
	Partitions []PartitionStatus `json:"partitions,omitempty"`

	// Ready, Reconciling, Stalled, Held, CaughtUp and HistoryComplete.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// RevisionState is where a revision stands.
// +kubebuilder:validation:Enum=Building;Verifying;Held;Promoting;Active;Retained;Retiring;Failed
type RevisionState string

// Values of RevisionState.
const (
	RevisionBuilding  RevisionState = "Building"  // folds history for the first time
	RevisionVerifying RevisionState = "Verifying" // has caught up and is compared with the active one
	RevisionHeld      RevisionState = "Held"      // waits for approval, and folds on
	RevisionPromoting RevisionState = "Promoting" // is being published
	RevisionActive    RevisionState = "Active"    // is what readers read
	RevisionRetained  RevisionState = "Retained"  // was active, and folds on until its rollback window ends
	RevisionRetiring  RevisionState = "Retiring"  // is being removed
	RevisionFailed    RevisionState = "Failed"    // could not be compared or published
)

// RevisionStatus is one revision.
type RevisionStatus struct {
	// The revision's name, taken from what it folds.
	Name string `json:"name"`

	// Where it stands: Building, Verifying, Held, Promoting, Active, Retained,
	// Retiring or Failed.
	State RevisionState `json:"state"`

	// The last stream ID whose effect is in this revision.
	// +optional
	// +kubebuilder:validation:MaxLength=41
	LastAckedID string `json:"lastAckedID,omitempty"`

	// When it became what readers read, the last time.
	// +optional
	PromotedAt *metav1.Time `json:"promotedAt,omitempty"`

	// Until when a retained revision is kept for a rollback.
	// +optional
	RetainedUntil *metav1.Time `json:"retainedUntil,omitempty"`

	// Whether it has folded everything up to source.until.
	// +optional
	Completed bool `json:"completed,omitempty"`

	// How far a revision is that is being built.
	// +optional
	Progress *ReplayProgress `json:"progress,omitempty"`

	// What publishing it would change for readers.
	// +optional
	Diff *RevisionDiff `json:"diff,omitempty"`
}

// ReplayProgress is how far a replay is.
type ReplayProgress struct {
	// Of the stream's entries, from 0 to 100; not set while unknown.
	// +optional
	Percent *int32 `json:"percent,omitempty"`

	// Events folded so far.
	// +optional
	Events int64 `json:"events,omitempty"`

	// Events a second, over the last seconds.
	// +optional
	EventsPerSecond int64 `json:"eventsPerSecond,omitempty"`

	// Seconds until it has caught up, at the present rate; not set while unknown.
	// +optional
	EtaSeconds *int64 `json:"etaSeconds,omitempty"`
}

// RevisionDiff is what publishing a revision would change for readers, counted
// in entities.
type RevisionDiff struct {
	// The stream ID up to which both revisions were folded when they were compared;
	// not set where they have no log in common.
	// +optional
	// +kubebuilder:validation:MaxLength=41
	AtID string `json:"atID,omitempty"`

	// Entities that are the same in both.
	// +optional
	Same int64 `json:"same,omitempty"`

	// Entities that only the new revision has.
	// +optional
	Added int64 `json:"added,omitempty"`

	// Entities that only the active revision has.
	// +optional
	Removed int64 `json:"removed,omitempty"`

	// Entities that differ.
	// +optional
	Changed int64 `json:"changed,omitempty"`

	// In how many of the changed entities each field differs; at most 32 fields.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	ChangedFields map[string]int64 `json:"changedFields,omitempty"`

	// A digest of all entities of the new revision. The same log and the same fold
	// give the same digest, wherever.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Digest string `json:"digest,omitempty"`

	// Some of the entities that differ, without their values.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Sample []DiffSample `json:"sample,omitempty"`
}

// DiffSample is one entity that differs.
type DiffSample struct {
	// The entity's key, cut off at 64 bytes.
	// +kubebuilder:validation:MaxLength=256
	Key string `json:"key"`

	// Added, Removed or Changed.
	// +kubebuilder:validation:Enum=Added;Removed;Changed
	Change string `json:"change"`

	// The names of the fields that differ.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Fields []string `json:"fields,omitempty"`
}

// ReplayRecord is one replay, from its cause to its outcome.
type ReplayRecord struct {
	// The revision that was built, or gone back to.
	Revision string `json:"revision"`

	// Why: FirstBuild, SpecChanged, Triggered, Moved or Rollback.
	// +kubebuilder:validation:Enum=FirstBuild;SpecChanged;Triggered;Moved;Rollback
	Cause ReplayCause `json:"cause"`

	// What came of it; not set while it runs: Promoted, CalledOff,
	// Superseded or Failed.
	// +optional
	// +kubebuilder:validation:Enum=Promoted;CalledOff;Superseded;Failed
	Outcome ReplayOutcome `json:"outcome,omitempty"`

	// The first stream ID that was asked for.
	// +optional
	// +kubebuilder:validation:MaxLength=41
	FromID string `json:"fromID,omitempty"`

	// The last stream ID that was folded when it ended.
	// +optional
	// +kubebuilder:validation:MaxLength=41
	ToID string `json:"toID,omitempty"`

	// Events that were folded.
	// +optional
	Events int64 `json:"events,omitempty"`

	// The digest of the entities when they were compared.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Digest string `json:"digest,omitempty"`

	// The projector's image.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`

	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
}

// ReplayCause says why a replay was begun.
type ReplayCause string

// Values of ReplayCause.
const (
	CauseFirstBuild  ReplayCause = "FirstBuild"
	CauseSpecChanged ReplayCause = "SpecChanged"
	CauseTriggered   ReplayCause = "Triggered"
	CauseMoved       ReplayCause = "Moved"
	CauseRollback    ReplayCause = "Rollback"
)

// ReplayOutcome says what came of a replay.
type ReplayOutcome string

// Values of ReplayOutcome.
const (
	OutcomePromoted   ReplayOutcome = "Promoted"
	OutcomeCalledOff  ReplayOutcome = "CalledOff"  // the spec went back to what is active
	OutcomeSuperseded ReplayOutcome = "Superseded" // a newer spec came
	OutcomeFailed     ReplayOutcome = "Failed"
)

// PartitionStatus is one stream of the active revision.
type PartitionStatus struct {
	// The stream's key.
	Stream string `json:"stream"`

	// The last stream ID whose effect is in the read model.
	// +optional
	LastAckedID string `json:"lastAckedID,omitempty"`

	// Entries of the stream after lastAckedID; not set while unknown.
	// +optional
	LagEvents *int64 `json:"lagEvents,omitempty"`
}
