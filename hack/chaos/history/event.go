package history

import (
	"strconv"
)

// kind is an event's type, as the stream names it.
type kind string

const (
	created kind = "Created"
	updated kind = "Updated"
	counted kind = "Counted"
	moved   kind = "Moved"   // from one entity to another
	emptied kind = "Emptied" // takes every field away; the entity stays
	deleted kind = "Deleted"
	noise   kind = "Noise" // no rule names it
)

// event is what happened. An empty key is no key.
type event struct {
	id      ID
	kind    kind
	key, to string
	weight  int64
	part    float64 // a multiple of 1/4, so that sums are exact
	values  []value
	doubled bool // the first of its values stands twice in the entry; the first counts
	padding int  // fields that nobody reads
}

// value is what an event sets a field to: as it is sent, and as a store of text
// keeps it.
type value struct {
	field      int
	sent, kept string
}

func (e *event) set(field int, v value) {
	v.field = field
	e.values = append(e.values, v)
}

// touched are the entities that the event is folded into, each once.
func (e *event) touched() []string {
	var keys []string
	if e.kind == noise {
		return nil
	}
	if e.key != "" {
		keys = append(keys, e.key)
	}
	if e.kind == moved && e.to != "" && e.to != e.key {
		keys = append(keys, e.to)
	}
	return keys
}

func (e *event) entry() Entry {
	values := []string{"type", string(e.kind), "id", e.key,
		"weight", strconv.FormatInt(e.weight, 10), "part", strconv.FormatFloat(e.part, 'g', -1, 64)}
	if e.kind == moved {
		values = append(values, "to", e.to)
	}
	for _, v := range e.values {
		values = append(values, fieldNames[v.field], v.sent)
	}
	if e.doubled && len(e.values) > 0 {
		values = append(values, fieldNames[e.values[0].field], "the second of two")
	}
	for i := range e.padding {
		values = append(values, "padding-"+strconv.Itoa(i), "")
	}
	return Entry{ID: e.id, Values: values}
}
