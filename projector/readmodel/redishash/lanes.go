package redishash

import (
	"errors"
	"strconv"
	"strings"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/readmodel"
)

// appendLanes appends the field lanes: a word for each lane, in order, with a
// space between, each "<id>/<entries>/<events>".
func appendLanes(b []byte, lanes *[readmodel.Lanes]readmodel.Mark) []byte {
	for i := range lanes {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(lanes[i].Position.Append(b), '/')
		b = append(strconv.AppendInt(b, lanes[i].Entries, 10), '/')
		b = strconv.AppendInt(b, lanes[i].Events, 10)
	}
	return b
}

// parseLanes reads what appendLanes wrote. No lane lies before least.
func parseLanes(text string, least projector.ID) (*[readmodel.Lanes]readmodel.Mark, error) {
	found := strings.Split(text, " ")
	if len(found) != readmodel.Lanes {
		return nil, errors.New("the ledger has another number of lanes")
	}
	lanes := new([readmodel.Lanes]readmodel.Mark)
	for i, word := range found {
		id, counts, _ := strings.Cut(word, "/")
		entries, events, _ := strings.Cut(counts, "/")
		var idErr, entriesErr, eventsErr error
		lanes[i].Position, idErr = projector.ParseID(id)
		lanes[i].Entries, entriesErr = strconv.ParseInt(entries, 10, 64)
		lanes[i].Events, eventsErr = strconv.ParseInt(events, 10, 64)
		if err := errors.Join(idErr, entriesErr, eventsErr); err != nil {
			return nil, err
		}
		if lanes[i].Position.Compare(least) < 0 {
			return nil, errors.New("a lane lies before the position")
		}
	}
	return lanes, nil
}
