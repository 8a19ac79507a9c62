package projector

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/refold-dev/refold/projector/contract"
)

// Schema is the read model's declared fields; a field's slot is its index.
type Schema struct {
	fields []SchemaField
	slots  map[string]int
}

// SchemaField is one declared field.
type SchemaField struct {
	Name string
	Kind Kind
}

// NewSchema builds a schema; a doubled name or an unknown type is an error.
func NewSchema(fields []contract.Field) (*Schema, error) {
	s := &Schema{slots: make(map[string]int, len(fields))}
	for i, f := range fields {
		kind, err := ParseKind(f.Type)
		if err != nil {
			return nil, fmt.Errorf("readModel.fields[%d]: %w", i, err)
		}
		if _, taken := s.slots[f.Name]; taken {
			return nil, fmt.Errorf("readModel.fields[%d]: the name %q is declared twice", i, f.Name)
		}
		s.slots[f.Name] = i
		s.fields = append(s.fields, SchemaField{f.Name, kind})
	}
	return s, nil
}

// Fields lists the declared fields in slot order; do not modify.
func (s *Schema) Fields() []SchemaField { return s.fields }

// Slot returns the slot of a field.
func (s *Schema) Slot(name string) (slot int, declared bool) {
	slot, declared = s.slots[name]
	return slot, declared
}

// State is one entity so far: a value for each field that is set, or nothing
// at all. An entity exists once Reduce has set a field or called Create, and
// until Delete; unsetting the last field does not delete it.
//
// A State owns its bytes: SetAt copies. What At and Get return are views, valid
// until the next event is folded into the entity. Within one event nothing is
// overwritten, so that fields may be swapped, and Undo can take it all back.
//
// A State also knows what of it a store does not hold yet; that part is for the
// engine and for stores, a reducer has no use for it.
type State struct {
	schema *Schema
	slots  []Slot
	text   []byte // of the slots that have text, with holes
	live   uint32 // bytes of text that slots refer to
	exists bool

	inStore bool // the store knows the entity
	changed bool // something differs from what the store holds
	doubted bool // what the store holds is not known
}

// Slot is memory for one field of a State. Its bytes, if it has any, stand in
// State.text.
type Slot struct {
	num     int64 // Integer, Boolean, Number as in Value; else where the text begins
	size    uint32
	kind    Kind
	stored  bool // the store holds a value of the field
	changed bool // and another one than this
}

func (t *Slot) hasText() bool { return t.kind.isText() }

// NewState is an entity that does not exist.
func NewState(schema *Schema) *State {
	s := new(State)
	s.Init(schema, make([]Slot, len(schema.fields)), nil)
	return s
}

// Init makes s an entity that does not exist, in memory that the caller has laid
// out: a slot for each field of the schema, and room for as much text as is
// usual. What needs more gets memory of its own.
func (s *State) Init(schema *Schema, slots []Slot, text []byte) {
	*s = State{schema: schema, slots: slots[:len(schema.fields):len(schema.fields)], text: text[:0]}
}

// Schema is the schema the state was made for.
func (s *State) Schema() *Schema { return s.schema }

// Exists says whether there is such an entity.
func (s *State) Exists() bool { return s.exists }

// Create makes the entity exist, with no field set.
func (s *State) Create() {
	if !s.exists {
		s.exists, s.changed = true, true
	}
}

// Delete makes the entity and all its fields go.
func (s *State) Delete() {
	if !s.exists {
		return
	}
	for i := range s.slots {
		s.unset(&s.slots[i])
	}
	s.exists, s.changed = false, true
}

// At is the value in a slot; its IsSet says whether there is one.
func (s *State) At(slot int) Value {
	t := &s.slots[slot]
	if t.hasText() {
		return Value{kind: t.kind, str: s.textOf(t)}
	}
	return Value{kind: t.kind, num: t.num}
}

func (s *State) textOf(t *Slot) string {
	if t.size == 0 {
		return ""
	}
	return unsafe.String(&s.text[t.num], int(t.size))
}

// SetAt sets the value in a slot and copies its bytes. v must be of the field's
// kind: anything else is a programmer's error and panics.
func (s *State) SetAt(slot int, v Value) {
	t := &s.slots[slot]
	switch {
	case t.kind != v.kind:
		s.requireKind(slot, v.kind) // a slot that is set has the field's kind
	case v.kind.isText() && s.textOf(t) == v.str, !v.kind.isText() && t.num == v.num:
		return
	}
	if v.kind.isText() {
		s.appendText(t, v.str)
	} else {
		t.num = v.num
	}
	t.kind, t.changed = v.kind, true
	s.exists, s.changed = true, true
}

func (s *State) requireKind(slot int, kind Kind) {
	if f := &s.schema.fields[slot]; f.Kind != kind {
		panic(fmt.Sprintf("field %s is %s, not %s", f.Name, f.Kind, kind))
	}
}

func (s *State) appendText(t *Slot, text string) {
	if cap(s.text)-len(s.text) < len(text) {
		s.grow(len(text))
	}
	s.live += uint32(len(text)) - t.size
	t.num, t.size = int64(len(s.text)), uint32(len(text))
	s.text = append(s.text, text...)
}

// grow makes room for n bytes and for what Settle lets the text become, once
// and not in steps. Beyond a KiB it is not worth the memory.
func (s *State) grow(n int) {
	const most = 1024
	s.text = slices.Grow(s.text, n+leastHoles+min((int(s.live)+n)/2, most))
}

// UnsetAt takes the value out of a slot.
func (s *State) UnsetAt(slot int) { s.unset(&s.slots[slot]) }

func (s *State) unset(t *Slot) {
	if t.kind == Unset {
		return
	}
	s.live -= t.size
	t.num, t.size, t.kind, t.changed, s.changed = 0, 0, Unset, true, true
}

// Get is At by name; an undeclared name is not set.
func (s *State) Get(name string) Value {
	if slot, ok := s.schema.slots[name]; ok {
		return s.At(slot)
	}
	return Value{}
}

// Set is SetAt by name; an undeclared name or a value of another kind is an error.
func (s *State) Set(name string, v Value) error {
	slot, ok := s.schema.slots[name]
	if !ok {
		return fmt.Errorf("field %q is not declared in readModel.fields", name)
	}
	if want := s.schema.fields[slot].Kind; v.kind != want {
		return fmt.Errorf("field %q is declared %s, not %s", name, want, v.kind)
	}
	s.SetAt(slot, v)
	return nil
}

// CopyFrom gives s the values of other, which must have the same schema.
func (s *State) CopyFrom(other *State) {
	for slot := range s.slots {
		if v := other.At(slot); v.IsSet() {
			s.SetAt(slot, v)
		} else {
			s.UnsetAt(slot)
		}
	}
	if s.exists != other.exists {
		s.exists, s.changed = other.exists, true
	}
}
