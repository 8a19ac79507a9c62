package v1alpha1

// Replay says how a change of source, reducer or readModel comes to readers.
type Replay struct {
	// Shadow builds the new revision beside the one that is read, compares the two
	// and switches at once. InPlace empties the read model and folds it anew while
	// readers look on: for models too large to hold twice.
	// +optional
	// +kubebuilder:default=Shadow
	Strategy ReplayStrategy `json:"strategy,omitempty"`

	// Any new value replays an unchanged spec, e.g. after something has changed the
	// read model by hand.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Trigger string `json:"trigger,omitempty"`

	// When a finished replay is published.
	// +optional
	// +kubebuilder:default={mode: "Automatic"}
	Promotion Promotion `json:"promotion,omitzero"`

	// How long the revision that was read before is kept, and kept up to date, so
	// that going back to it takes no replay. 0 removes it at once.
	// +optional
	// +kubebuilder:default=3600
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	RollbackWindowSeconds *int64 `json:"rollbackWindowSeconds,omitempty"`

	// Bounds how many events a second a replay folds. 0 is no bound: a replay then
	// slows down by itself while the server answers slowly.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000000
	MaxEventsPerSecond int64 `json:"maxEventsPerSecond,omitempty"`

	// Required refuses a replay when the stream no longer holds everything from
	// source.from on: its result would miss what is gone. Available folds what there is.
	// +optional
	// +kubebuilder:default=Required
	History HistoryPolicy `json:"history,omitempty"`
}

// ReplayStrategy says where a new revision is built.
// +kubebuilder:validation:Enum=Shadow;InPlace
type ReplayStrategy string

// Values of ReplayStrategy.
const (
	ReplayShadow  ReplayStrategy = "Shadow"
	ReplayInPlace ReplayStrategy = "InPlace"
)

// HistoryPolicy says what a replay does with a log that has lost its beginning.
// +kubebuilder:validation:Enum=Required;Available
type HistoryPolicy string

// Values of HistoryPolicy.
const (
	HistoryRequired  HistoryPolicy = "Required"
	HistoryAvailable HistoryPolicy = "Available"
)

// Promotion says when a finished replay is published.
type Promotion struct {
	// Automatic publishes when no more than maxChangedPercent of the entities
	// differ, and holds the replay for approval otherwise. Manual always holds it.
	// +optional
	// +kubebuilder:default=Automatic
	Mode PromotionMode `json:"mode,omitempty"`

	// The most that an automatic promotion may change: entities added, removed and
	// changed, in percent of all.
	// +optional
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MaxChangedPercent *int32 `json:"maxChangedPercent,omitempty"`

	// The name of the held revision that may be published, as status.revisions and
	// the condition Held say it. It approves that revision and no other.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z2-7]*$`
	Approve string `json:"approve,omitempty"`
}

// PromotionMode says who publishes.
// +kubebuilder:validation:Enum=Automatic;Manual
type PromotionMode string

// Values of PromotionMode.
const (
	PromotionAutomatic PromotionMode = "Automatic"
	PromotionManual    PromotionMode = "Manual"
)

// Cutover says how readers find the revision that is published.
// +kubebuilder:validation:Enum=Rename;Pointer
type Cutover string

// Values of Cutover.
const (
	CutoverRename  Cutover = "Rename"
	CutoverPointer Cutover = "Pointer"
)
