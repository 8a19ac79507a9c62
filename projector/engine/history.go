package engine

import (
	"context"
	"fmt"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/stream"
)

// A revision that replaces another one is to hold what that one holds. Where the
// beginning of the history is gone it would not, and readers would miss entities:
// somebody has to want that.

// takesWhatThereIs says whether a history with gaps is folded.
func (e *Engine) takesWhatThereIs() bool {
	return !e.published && e.Replay.History == contract.HistoryAvailable
}

// fresh says that the revision has folded nothing.
func (e *Engine) fresh() bool {
	return e.at.Position == e.Claim.Start && e.at.Events == 0 && e.at.Lanes == nil
}

// beginIncomplete begins with what the log still holds, where that is wanted. err
// is what the look at all of it said.
func (e *Engine) beginIncomplete(ctx context.Context, info stream.Info, err error) (stream.Info, error) {
	f := fault.As(err)
	switch {
	case !e.takesWhatThereIs():
		if e.gone == nil { // what is gone grows; the message stays
			e.gone = incomplete(e.Claim.Start.Next().String(), info)
		}
		return info, e.gone
	case f == nil || f.Reason != contract.ReasonHistoryLost:
		return info, err
	}
	e.at.Position, e.at.Entries = info.Left().Prev(), -1
	e.Log.Warn("Folding what is left of the history", "from", info.Left().String())
	return e.Reader.Check(ctx, e.at.Position, e.at.Entries)
}

func incomplete(from string, info stream.Info) error {
	what := fmt.Sprintf("the first that is left is %s", info.Left())
	if info.MaxDeletedID.Compare(info.Left()) > 0 {
		what += fmt.Sprintf(", and entries up to %s were deleted", info.MaxDeletedID)
	}
	return &fault.Error{
		Reason: contract.ReasonHistoryIncomplete,
		Message: fmt.Sprintf("a replay from %s on would miss entries: %d of the %d ever added are gone; %s",
			from, info.EntriesAdded-info.Length, info.EntriesAdded, what),
		Remedy: "restore them, or set spec.replay.history: Available to fold what is left; " +
			"entities that only older events made are then missing from the new revision",
		Permanent: true,
	}
}
