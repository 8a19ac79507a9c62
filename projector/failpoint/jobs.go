package failpoint

// Steps of the Jobs. The projector that folds never reaches them.
const (
	CompareTracking = "compare-tracking" // changes are known from now on, nothing is read
	CompareHeld     = "compare-held"     // both revisions are told to stand still
	CompareArrived  = "compare-arrived"  // both do, at one ID
	CompareCounted  = "compare-counted"  // all is counted, both still stand

	PromoteChecked  = "promote-checked"  // the names are free, nothing is written
	PromoteHeld     = "promote-held"     // both revisions are told to stand still
	PromoteDecided  = "promote-decided"  // the point of no return is passed
	PromoteRenaming = "promote-renaming" // a batch is renamed
	PromoteRenamed  = "promote-renamed"  // all are renamed, readers of control see the old revision
	PromoteDone     = "promote-done"     // it is recorded, nobody here knows

	DropMarked  = "drop-marked"  // the revision's writers are fenced, nothing is removed
	DropBatch   = "drop-batch"   // a batch is removed
	DropEmptied = "drop-emptied" // all entities are removed, the ledger is there
)
