package inspect

import (
	"strings"

	"github.com/refold-dev/refold/projector"
)

// Step is what one event did. It holds no view of the event or of a state.
type Step struct {
	ID   projector.ID
	Type string
	// Skipped says why the event touches nothing; it is empty if it touches something.
	Skipped string
	// Effects are in the order in which the event's keys were folded, one for each
	// entity that it touches, also where that changed nothing.
	Effects []Effect
}

// Effect is what an event did to one entity.
type Effect struct {
	Key              string
	Created, Deleted bool
	// Rules are the indices, in reducer.rules, of the rules that were applied, in
	// order; empty when no condition held, nil for reducers that cannot tell.
	Rules   []int
	Changes []Change // in the order of readModel.fields
}

// Change is a field that is another one after the event than before it. Values
// are text as a reader of the hash sees it, any bytes; nil is a field not set.
type Change struct {
	Field    string
	Old, New *string
}

// Entity is one entity as it is in the read model.
type Entity struct {
	Key string
	// Fields are those that are set, by name, as text. There may be none: to who
	// reads a Redis hash such an entity is absent.
	Fields map[string]string
}

func entityOf(key string, s *projector.State) Entity {
	e := Entity{Key: strings.Clone(key), Fields: map[string]string{}}
	for slot, field := range s.Schema().Fields() {
		if v := s.At(slot); v.IsSet() {
			e.Fields[field.Name] = strings.Clone(v.Text())
		}
	}
	return e
}

// before is an entity as it was before an event. The values' text stays where it
// is until the state is settled.
type before struct {
	existed bool
	values  []projector.Value
}

func (b *before) take(s *projector.State) {
	b.existed, b.values = s.Exists(), b.values[:0]
	for slot := range s.Schema().Fields() {
		b.values = append(b.values, s.At(slot))
	}
}

// effect is what became of it.
func (b *before) effect(key string, s *projector.State, rules []int) Effect {
	e := Effect{
		Key:     strings.Clone(key),
		Created: !b.existed && s.Exists(),
		Deleted: b.existed && !s.Exists(),
		Rules:   rules,
	}
	for slot, field := range s.Schema().Fields() {
		if was, is := b.values[slot], s.At(slot); was != is {
			e.Changes = append(e.Changes, Change{field.Name, textOf(was), textOf(is)})
		}
	}
	return e
}

func textOf(v projector.Value) *string {
	if !v.IsSet() {
		return nil
	}
	text := strings.Clone(v.Text())
	return &text
}
