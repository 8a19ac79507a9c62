package engine

import (
	"slices"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
)

// tally counts this process's events up to a position, each once however often
// it was read.
type tally struct {
	read    int64 // skipped ones too
	folded  int64
	skipped contract.Skipped
}

// mark is how far the log is folded.
type mark struct {
	readmodel.Mark
	tally tally
}

// lane is the share of the entities that is committed together.
type lane struct {
	at    mark      // the store is, or will be by what was sent, exactly here
	dirty []*entry  // changed since
	since time.Time // of the first of them
}

// lanes are all that is folded and not yet sent.
type lanes struct {
	each  [readmodel.Lanes]lane
	dirty int   // entities
	bytes int64 // of them
	// ahead lists lanes that an earlier claim has left further than the fold is,
	// the nearest first.
	ahead []int
}

// start sets where the lanes are. The tally of those that are ahead is known
// when the fold passes there.
func (l *lanes) start(at readmodel.Checkpoint, counted tally) {
	l.forget()
	for i := range l.each {
		l.each[i].at = mark{at.Mark, counted}
		if at.Lanes != nil && at.Lanes[i].Position != at.Position {
			l.each[i].at.Mark = at.Lanes[i]
			l.ahead = append(l.ahead, i)
		}
	}
	slices.SortFunc(l.ahead, func(a, b int) int { return l.each[a].at.Position.Compare(l.each[b].at.Position) })
}

func (l *lanes) forget() {
	for i := range l.each {
		clear(l.each[i].dirty)
		l.each[i] = lane{dirty: l.each[i].dirty[:0]}
	}
	l.dirty, l.bytes, l.ahead = 0, 0, l.ahead[:0]
}

// has says whether the lane holds the event's effect already.
func (l *lanes) has(lane uint8, id projector.ID) bool {
	return len(l.ahead) > 0 && l.each[lane].at.Position.Compare(id) >= 0
}

// pass is told how far the fold has come.
func (l *lanes) pass(at *mark) {
	for len(l.ahead) > 0 && l.each[l.ahead[0]].at.Position.Compare(at.Position) <= 0 {
		l.each[l.ahead[0]].at.tally = at.tally
		l.ahead = l.ahead[1:]
	}
}

// touch makes an entity one that is to be sent.
func (l *lanes) touch(e *entry) {
	if e.dirty {
		return
	}
	lane := &l.each[e.lane]
	if len(lane.dirty) == 0 {
		lane.since = time.Now()
	}
	e.dirty = true
	lane.dirty = append(lane.dirty, e)
	l.dirty++
	l.bytes += e.bytes
}

// take empties lane i: the fold is at. Lanes without anything to send come
// along.
func (l *lanes) take(i int, at *mark, into []*entry) []*entry {
	into = append(into, l.each[i].dirty...)
	for _, e := range l.each[i].dirty {
		e.dirty = false
		l.bytes -= e.bytes
	}
	l.dirty -= len(l.each[i].dirty)
	clear(l.each[i].dirty)
	l.each[i].dirty = l.each[i].dirty[:0]
	for i := range l.each {
		if lane := &l.each[i]; len(lane.dirty) == 0 && lane.at.Position.Compare(at.Position) <= 0 {
			lane.at = *at
		}
	}
	return into
}

// oldest is the lane that has had something to send for longest, or -1.
func (l *lanes) oldest() int {
	oldest := -1
	for i := range l.each {
		if len(l.each[i].dirty) > 0 && (oldest < 0 || l.each[i].since.Before(l.each[oldest].since)) {
			oldest = i
		}
	}
	return oldest
}

// checkpoint is what the ledger will say, and the tally that belongs to it.
func (l *lanes) checkpoint(epoch int64) (next readmodel.Checkpoint, counted tally) {
	least, together := &l.each[0].at, true
	for i := range l.each {
		at := &l.each[i].at
		together = together && at.Position == least.Position
		if at.Position.Compare(least.Position) < 0 {
			least = at
		}
	}
	next = readmodel.Checkpoint{Mark: least.Mark, Epoch: epoch}
	if !together {
		next.Lanes = new([readmodel.Lanes]readmodel.Mark)
		for i := range l.each {
			next.Lanes[i] = l.each[i].at.Mark
		}
	}
	return next, least.tally
}
