package main

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/refold-dev/refold/hack/chaos/history"
)

// Keys of the ledger, as docs/concepts.md has them.
const (
	controlKey  = "refold:{" + history.Projection + "}"
	positionKey = controlKey + ":" + history.Revision + ":0"
	keySetKey   = positionKey + ":keys"
	bareKey     = positionKey + ":bare"
)

// laneCount is how many lanes there are where there are any.
const laneCount = 64

// checkpoint is how far something is folded.
type checkpoint struct {
	id              history.ID
	entries, events int64
}

// ledger is the position hash.
type ledger struct {
	checkpoint
	epoch  int64
	holder string
	lanes  []checkpoint // empty: every entity stands at the checkpoint
}

func parseLedger(fields map[string]string) (ledger, error) {
	l := ledger{holder: fields["holder"]}
	var err, err2 error
	l.checkpoint, err = parseCheckpoint(fields["id"], fields["entries"], fields["events"])
	l.epoch, err2 = strconv.ParseInt(fields["epoch"], 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return l, err
	}
	lanes, there := fields["lanes"]
	if !there {
		return l, nil
	}
	for word := range strings.SplitSeq(lanes, " ") {
		parts := strings.Split(word+"//", "/")
		lane, err := parseCheckpoint(parts[0], parts[1], parts[2])
		if err != nil {
			return l, err
		}
		l.lanes = append(l.lanes, lane)
	}
	if len(l.lanes) != laneCount {
		return l, fmt.Errorf("%d lanes, want %d", len(l.lanes), laneCount)
	}
	return l, nil
}

func parseCheckpoint(id, entries, events string) (checkpoint, error) {
	at, err := history.ParseID(id)
	added, err2 := strconv.ParseInt(entries, 10, 64)
	folded, err3 := strconv.ParseInt(events, 10, 64)
	return checkpoint{at, added, folded}, errors.Join(err, err2, err3)
}

// of is up to where an entity is folded.
func (l ledger) of(key string) history.ID {
	if len(l.lanes) == 0 {
		return l.id
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(key))
	return l.lanes[hash.Sum64()%laneCount].id
}

// all are the lanes, also where there are none.
func (l ledger) all() []checkpoint {
	if len(l.lanes) > 0 {
		return l.lanes
	}
	all := make([]checkpoint, laneCount)
	for i := range all {
		all[i] = l.checkpoint
	}
	return all
}

// wrong says what a ledger can't say, given the events.
func (l ledger) wrong(model *history.History) error {
	if err := l.checkpoint.wrong(model); err != nil {
		return err
	}
	if len(l.lanes) == 0 {
		return nil
	}
	least := l.lanes[0].id
	for _, lane := range l.lanes {
		if err := lane.wrong(model); err != nil {
			return err
		}
		if lane.id.Compare(least) < 0 {
			least = lane.id
		}
	}
	if least != l.id {
		return fmt.Errorf("I2: the ledger's id %s is not its smallest lane's, %s", l.id, least)
	}
	return nil
}

// wrong compares the counts with the history's. Nothing is counted before the
// first entry.
func (c checkpoint) wrong(model *history.History) error {
	if c.id == (history.ID{}) {
		if c.events != 0 || c.entries > 0 {
			return fmt.Errorf("I5: %d entries and %d events are counted before the first", c.entries, c.events)
		}
		return nil
	}
	entries, events, known := model.Count(c.id)
	if !known {
		return fmt.Errorf("I2: no entry has the position's ID %s", c.id)
	}
	if c.entries != entries || c.events != events {
		return fmt.Errorf("I5: up to %s the ledger counts %d entries and %d events, want %d and %d", c.id, c.entries, c.events, entries, events)
	}
	return nil
}

// before says what a later ledger may not say after an earlier one.
func (l ledger) before(later ledger) error {
	was, is := l.all(), later.all()
	for i := range was {
		if is[i].id.Compare(was[i].id) < 0 {
			return fmt.Errorf("I3: lane %d went back from %s to %s", i, was[i].id, is[i].id)
		}
	}
	if cmp.Compare(later.epoch, l.epoch) < 0 || later.epoch == l.epoch && later.holder != l.holder {
		return fmt.Errorf("I4: epoch %d of %s came after epoch %d of %s", later.epoch, later.holder, l.epoch, l.holder)
	}
	return nil
}
