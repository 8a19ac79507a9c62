package stream

import (
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

// claim is what is said of the stream: that everything up to the position was
// read, which is so many entries (-1: unknown), beginning at start.
type claim struct {
	src      string // source.from as it is written
	start    projector.ID
	position projector.ID
	entries  int64
	tolerant bool // entries after the position may have been deleted
}

func (r *Reader) claim(position projector.ID, entries int64) (claim, error) {
	start, err := projector.ParseStart(r.src.From)
	if err != nil {
		return claim{}, &fault.Error{
			Reason:    contract.ReasonInvalidContract,
			Message:   "source.from: " + err.Error(),
			Remedy:    "correct source.from",
			Permanent: true,
			Err:       err,
		}
	}
	return claim{src: r.src.From, start: start, tolerant: r.tolerant}.at(position, entries), nil
}

// at is the claim with another position. Of a new revision nobody has counted
// the entries before it: 0 is then no count, and is found again where it is one.
func (c claim) at(position projector.ID, entries int64) claim {
	c.position, c.entries = position, max(entries, -1)
	if c.fresh() && entries == 0 {
		c.entries = -1
	}
	return c
}

// fresh says that nothing was read yet. No entry has such an ID, for an entry
// that was read is not before start, and 0-0 is none's.
func (c claim) fresh() bool { return c.position == c.start.Prev() }

// judge says whether the stream still holds everything after the position, and
// is the one in which that is a position.
//
// Redis 7 counts the entries ever added and knows the largest ID that XDEL took.
// Trimming takes entries from the head only. So what is after the position is
// complete exactly when no larger ID was deleted and no more were removed than
// the entries up to it. Where the position's ordinal is unknown, an entry at or
// before it that is still there shows that trimming has not come so far.
func (c claim) judge(info Info) (Info, error) {
	info.Entries, info.History = -1, contract.HistoryUnknown
	if !info.Exists {
		return info, c.missing()
	}
	if info.LastID.Compare(c.position) < 0 {
		if c.fresh() {
			return info, c.afterEnd(info)
		}
		return info, diverged("it ends before the position %s", c.position)
	}
	if info.EntriesAdded < 0 {
		return info, nil // too old to say
	}
	info.History = c.history(info)
	if info.MaxDeletedID.Compare(c.position) > 0 {
		if !c.tolerant {
			return info, c.lost(info, "deleted")
		}
		c.entries = -1 // those after the position are not all counted by reading them
	}
	var err error
	if info.Entries, err = c.entries, c.judgeKnown(info); c.entries < 0 {
		info.Entries, err = c.judgeUnknown(info)
	}
	return info, err
}

// judgeKnown: the position's ordinal is known.
func (c claim) judgeKnown(info Info) error {
	switch {
	case c.entries < 0:
		return nil
	case info.EntriesAdded < c.entries:
		return diverged("fewer entries were ever added to it than were read up to the position %s", c.position)
	case info.removed() > c.entries:
		return c.lost(info, "trimmed")
	case info.Length > 0 && info.FirstID.Compare(c.position) > 0 && info.removed() < c.entries:
		return diverged("it does not hold the entries up to the position %s, and none of them was removed", c.position)
	case info.nothingAfter(c.position) && info.EntriesAdded != c.entries:
		return diverged("its count of entries does not match those that were read up to the position %s", c.position)
	}
	return nil
}

// judgeUnknown finds the ordinal where it can be known.
func (c claim) judgeUnknown(info Info) (entries int64, err error) {
	switch reached := info.Length > 0 && info.FirstID.Compare(c.position) <= 0; {
	case info.LastID == c.position, reached && info.nothingAfter(c.position):
		return info.EntriesAdded, nil
	case reached:
		return -1, nil
	case info.removed() == 0 && c.fresh():
		return 0, nil
	case info.removed() == 0:
		return -1, diverged("it does not hold the position %s, and nothing was removed from it", c.position)
	case info.Length > 0 && info.FirstID == c.position.Next():
		return info.removed(), nil
	}
	return -1, c.lost(info, "trimmed")
}

// wantsEntry says whether the stream must hold the entry at the position, and
// has not just shown it: a log that lost its tail in a failover and went on with
// newer entries looks whole by its counters as soon as it has as many again.
func (c claim) wantsEntry(info Info) bool {
	return info.EntriesAdded >= 0 && !c.fresh() && info.Length > 0 && info.LastEntryID != c.position &&
		info.FirstID.Compare(c.position) < 0 && info.MaxDeletedID.Compare(c.position) < 0
}

// nothingAfter says that the stream holds no entry after the ID now.
func (i Info) nothingAfter(id projector.ID) bool { return i.LastEntryID.Compare(id) <= 0 }

// history says whether the stream holds everything from start on.
func (c claim) history(info Info) contract.History {
	notTrimmed := info.Length > 0 && info.FirstID.Compare(c.start) <= 0
	switch {
	case info.removed() == 0, c.start.Compare(info.LastID) > 0:
		return contract.HistoryComplete
	case notTrimmed && info.MaxDeletedID.Compare(c.start) < 0:
		return contract.HistoryComplete
	}
	return contract.HistoryIncomplete
}

// prove accepts a batch only if an answer that was given after it shows that
// nothing was missing in it.
func (c claim) prove(b *Batch, info Info) error {
	info, err := c.judge(info)
	if err != nil {
		return err
	}
	if info.LastID.Compare(b.Last) < 0 {
		return diverged("it ends before the position %s", b.Last)
	}
	b.Tail, b.TailEntries, b.History = info.LastID, info.EntriesAdded, info.History
	b.more = !info.nothingAfter(b.Last)
	if info.Entries >= 0 {
		b.Entries = info.Entries + int64(len(b.Events))
	}
	switch {
	case info.EntriesAdded < 0:
		return nil
	case b.Entries < 0 && !b.more:
		b.Entries = info.EntriesAdded
	case b.Entries > info.EntriesAdded, !b.more && b.Entries != info.EntriesAdded:
		return diverged("its count of entries does not match those that were read up to the position %s", b.Last)
	}
	return nil
}
