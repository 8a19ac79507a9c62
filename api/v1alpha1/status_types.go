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

	// The revisions there are.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=4
	Revisions []RevisionStatus `json:"revisions,omitempty"`

	// The streams of the active revision.
	// +optional
	// +listType=map
	// +listMapKey=stream
	// +kubebuilder:validation:MaxItems=1
	Partitions []PartitionStatus `json:"partitions,omitempty"`

	// Ready, Reconciling, Stalled, CaughtUp and HistoryComplete.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// RevisionState is where a revision stands.
// +kubebuilder:validation:Enum=Building;Active;Failed
type RevisionState string

// Values of RevisionState.
const (
	RevisionBuilding RevisionState = "Building" // folds history for the first time
	RevisionActive   RevisionState = "Active"   // has caught up once and is what readers read
	RevisionFailed   RevisionState = "Failed"   // was refused by the read model and is not run
)

// RevisionStatus is one revision.
type RevisionStatus struct {
	// The revision's name, taken from what it folds.
	Name string `json:"name"`

	// Where it stands: Building folds history for the first time, Active is read,
	// Failed was refused by the read model.
	State RevisionState `json:"state"`

	// The last stream ID whose effect is in this revision.
	// +optional
	LastAckedID string `json:"lastAckedID,omitempty"`
}

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
