package stream

import (
	"errors"
	"fmt"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

var errTooLarge = errors.New("the entry is too large")

const startAnew = "restore the log, or delete the Projection and create it again to fold what the log holds now"

func (c claim) missing() error {
	if !c.fresh() {
		return &fault.Error{
			Reason:    contract.ReasonSourceDiverged,
			Message:   fmt.Sprintf("the stream is not there any more; it was read up to %s", c.position),
			Remedy:    startAnew,
			Permanent: true,
		}
	}
	return &fault.Error{
		Reason:  contract.ReasonSourceMissing,
		Message: "the stream is not there yet",
		Remedy:  "nothing, if it will be: the first XADD makes it. Else correct source.stream, or the database in source.redis.url",
	}
}

func (c claim) afterEnd(info Info) error {
	return &fault.Error{
		Reason:  contract.ReasonFromAfterEnd,
		Message: fmt.Sprintf("source.from %s lies after the stream's last ID %s", c.src, info.LastID),
		Remedy:  "nothing, if that is meant: it begins with the first entry from there on. Else set source.from to where history begins",
	}
}

// diverged: the log is another one than the position belongs to.
func diverged(why string, position projector.ID) error {
	return &fault.Error{
		Reason:    contract.ReasonSourceDiverged,
		Message:   "the stream is not the one that was read: " + fmt.Sprintf(why, position),
		Remedy:    startAnew,
		Permanent: true,
	}
}

// lost: entries that were not read are gone.
func (c claim) lost(info Info, how string) error {
	what := fmt.Sprintf("entries after the position %s were %s before they were read", c.position, how)
	if c.fresh() {
		what = fmt.Sprintf("entries from source.from %s on may have been %s already", c.src, how)
		if how == "deleted" {
			what = fmt.Sprintf("entries from source.from %s on were deleted already", c.src)
		}
	}
	return &fault.Error{
		Reason:    contract.ReasonHistoryLost,
		Message:   what,
		Remedy:    fmt.Sprintf("restore them, or set source.from: %q to begin with what is left", info.beginning()),
		Permanent: true,
	}
}

// tooLarge: an entry is not read that would take more memory than there is. Its
// size is what is known of it where it was found out.
func tooLarge(id projector.ID, size, most int) error {
	const mebibyte = 1 << 20
	return &fault.Error{
		Reason:  contract.ReasonEventTooLarge,
		Message: fmt.Sprintf("it has at least %d bytes, and no more than %d fit into memory", size, most),
		Remedy: fmt.Sprintf("raise the memory limit of the projector to at least %d MiB; nothing after this event is folded until then",
			(contract.MemoryLimitFor(int64(size)*EventShare)+mebibyte-1)/mebibyte),
		Permanent: true,
		EventID:   id.String(),
		Err:       errTooLarge,
	}
}

// beginning is where one can begin and find everything from there on.
func (i Info) beginning() string {
	begin := i.Left()
	if i.MaxDeletedID.Compare(begin) >= 0 {
		begin = i.MaxDeletedID.Next()
	}
	return begin.String()
}
