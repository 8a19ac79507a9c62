package v1alpha1

// Conditions follow kstatus, so that kubectl wait, Argo CD and Flux read them
// rightly. Every condition carries observedGeneration.
//
//	type             polarity  present               says
//	Ready            normal    from the first pass   the spec as written is what readers read, and it is kept up
//	Reconciling      abnormal  only while True       on the way there by itself
//	Stalled          abnormal  only while True       a person must act; the message says what to do
//	CaughtUp         normal    from the first pass   lag is within a batch of the tail
//	HistoryComplete  normal    from the first pass   the stream still holds everything from source.from on
//	Held             abnormal  only while True       a finished replay awaits approval; the message says what it changes
//
// Reconciling and Stalled exclude each other. While one of them is there Ready
// is False with the same reason. A suspended Projection has neither; its Ready is
// False with reason Suspended, for it is not kept up. One that is Held has neither,
// too: nothing is wrong, and nothing goes on until somebody approves.
const (
	ConditionReady           = "Ready"
	ConditionReconciling     = "Reconciling"
	ConditionStalled         = "Stalled"
	ConditionCaughtUp        = "CaughtUp"
	ConditionHistoryComplete = "HistoryComplete"
	ConditionHeld            = "Held"
)

// Reasons that the control plane gives by itself. Besides these, a projector's
// problem hands its own reason through: see projector/contract. A remedy for
// each stands in docs/operations.md.
const (
	// Ready=True.
	ReasonFolding   = "Folding"   // folding, and has caught up at least once
	ReasonCompleted = "Completed" // folded up to source.until, and done

	// Ready=False and nothing else.
	ReasonSuspended = "Suspended" // spec.suspend is true

	// Reconciling=True: on the way.
	ReasonStarting          = "Starting"          // the projector's pod is being started
	ReasonClaiming          = "Claiming"          // the projector takes over the read model
	ReasonBuilding          = "Building"          // history is folded for the first time
	ReasonRollingProjectors = "RollingProjectors" // the pod is replaced; no event is folded twice
	ReasonReplacing         = "Replacing"         // a revision that folded nothing gives way to the next
	ReasonReplaying         = "Replaying"         // a new revision is built beside the active one
	ReasonVerifying         = "Verifying"         // the new revision is compared with the active one
	ReasonPromoting         = "Promoting"         // the new revision is being published
	ReasonRollingBack       = "RollingBack"       // a retained revision is being published again
	ReasonEmptying          = "Emptying"          // InPlace: the read model is emptied before it is folded anew
	ReasonStatusUnavailable = "StatusUnavailable" // the projector does not answer on /statusz
	ReasonUnschedulable     = "Unschedulable"     // no node takes the pod
	ReasonDeleting          = "Deleting"          // what Refold made is being removed
	ReasonRetrying          = "Retrying"          // the API server refused for now; tried again by itself

	// Stalled=True: a person must act.
	ReasonInvalidSpec           = "InvalidSpec"           // a value that the schema cannot refuse
	ReasonInvalidReducer        = "InvalidReducer"        // the fold does not compile
	ReasonTargetConflict        = "TargetConflict"        // another Projection keeps the same keys
	ReasonObjectRefused         = "ObjectRefused"         // the API server refuses an object made from spec.projector
	ReasonImagePullFailed       = "ImagePullFailed"       // the projector's image cannot be pulled
	ReasonContainerConfigFailed = "ContainerConfigFailed" // the container cannot be created
	ReasonCrashLooping          = "CrashLooping"          // the projector ends again and again
	ReasonOutOfMemory           = "OutOfMemory"           // the projector is killed for its memory
	ReasonQuotaExceeded         = "QuotaExceeded"         // a ResourceQuota leaves no room for the pod
	ReasonPodRefused            = "PodRefused"            // admission refuses the pod
	ReasonAwaitingApproval      = "AwaitingApproval"      // Held=True too: a finished replay waits for spec.replay.promotion.approve
	ReasonVerifyFailed          = "VerifyFailed"          // the new revision could not be compared
	ReasonCutoverFailed         = "CutoverFailed"         // the new revision could not be published
	ReasonHistoryRequired       = "HistoryRequired"       // a replay is refused: the stream lost its beginning
	ReasonDropFailed            = "DropFailed"            // deletion cannot remove what Refold made

	// CaughtUp and HistoryComplete.
	ReasonAtTail            = "AtTail"            // CaughtUp=True
	ReasonBehind            = "Behind"            // CaughtUp=False
	ReasonUnknown           = "Unknown"           // either is Unknown: the projector does not say
	ReasonHistoryComplete   = "HistoryComplete"   // HistoryComplete=True
	ReasonHistoryIncomplete = "HistoryIncomplete" // HistoryComplete=False: entries after source.from are gone

	// Reasons of events only.
	ReasonReplayStarted = "ReplayStarted" // a new revision is being built, or a retained one gone back to
	ReasonVerified      = "Verified"      // the new revision is compared; the event has the counts
	ReasonPromoted      = "Promoted"      // the new revision is what readers read
	ReasonRolledBack    = "RolledBack"    // a retained revision is what readers read again
	ReasonCalledOff     = "CalledOff"     // the spec went back to a revision that there is
	ReasonSuperseded    = "Superseded"    // a newer spec came while a replay ran
	ReasonReplayFailed  = "ReplayFailed"  // a replay ended without a revision to publish
	ReasonRetired       = "Retired"       // a revision is removed from the servers
	ReasonAbandoned     = "Abandoned"     // deleted with things left behind; the event lists them
	ReasonDeleted       = "Deleted"       // what Refold made is gone
)

// Names that users meet on objects.
const (
	// Finalizer holds a Projection until what Refold made is removed.
	Finalizer = "refold.dev/finalizer"
	// AbandonAnnotation, set to "true", gives up removal at once.
	AbandonAnnotation = "refold.dev/abandon"
	// ProjectionLabel is on every object that the operator makes.
	ProjectionLabel = "refold.dev/projection"
	// RevisionLabel is on every object that belongs to one revision.
	RevisionLabel = "refold.dev/revision"
)
