package rules

import (
	"math"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/refold-dev/refold/projector"
)

// Names of the variables that expressions may use.
const (
	varEvent = "event"
	varType  = "type"
	varID    = "id"
	varTime  = "time"
	varKey   = "key"
	varState = "state"
)

// scope is the variables of one event and one entity. It converts each on
// demand: an entry of ten thousand fields costs what the expression reads.
type scope struct {
	adapter types.Adapter
	event   *projector.Event
	key     string
	state   *projector.State
	entry   entry
	writes  []write
}

// ResolveName implements cel.Activation.
func (sc *scope) ResolveName(name string) (any, bool) {
	switch name {
	case varEvent:
		return sc.eventValue(), true
	case varType:
		return text(view(sc.event.Type)), true
	case varID:
		return types.String(sc.event.ID.String()), true
	case varTime:
		return sc.time(), true
	case varKey:
		return text(sc.key), true
	case varState:
		return sc.state, true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (sc *scope) Parent() cel.Activation { return nil }

func (sc *scope) eventValue() any {
	if sc.event.Document != nil {
		return newObject(sc.adapter, sc.event.Document)
	}
	if sc.entry.event != sc.event {
		sc.entry.bind(sc.event, sc.adapter)
	}
	return &sc.entry
}

func (sc *scope) time() any {
	if t, ok := eventTime(sc.event); ok {
		return types.Timestamp{Time: t}
	}
	return types.NewErr("the stream ID's time lies after the year 9999")
}

// eventTime is the time in the stream ID; not ok after the year 9999.
func eventTime(e *projector.Event) (t time.Time, ok bool) {
	if e.ID.Ms > math.MaxInt64 {
		return time.Time{}, false
	}
	t = time.UnixMilli(int64(e.ID.Ms)).UTC()
	return t, t.Year() <= 9999
}

// reset lets go of everything that belongs to the event or the entity.
func (sc *scope) reset() {
	clear(sc.writes)
	*sc = scope{adapter: sc.adapter, writes: sc.writes[:0], entry: entry{index: sc.entry.emptied()}}
}
