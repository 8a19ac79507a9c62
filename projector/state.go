package projector

import (
	"fmt"

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
type State struct {
	schema *Schema
	values []Value // by slot; an unset Value is absent
	exists bool
}

// NewState is an entity that does not exist.
func NewState(schema *Schema) *State {
	return &State{schema: schema, values: make([]Value, len(schema.fields))}
}

// Schema is the schema the state was made for.
func (s *State) Schema() *Schema { return s.schema }

// Exists says whether there is such an entity.
func (s *State) Exists() bool { return s.exists }

// Create makes the entity exist, with no field set.
func (s *State) Create() { s.exists = true }

// Delete makes the entity and all its fields go.
func (s *State) Delete() {
	clear(s.values)
	s.exists = false
}

// At is the value in a slot; its IsSet says whether there is one.
func (s *State) At(slot int) Value { return s.values[slot] }

// SetAt sets the value in a slot. v must be of the field's kind: anything
// else is a programmer's error and panics.
func (s *State) SetAt(slot int, v Value) {
	if v.kind != s.schema.fields[slot].Kind {
		panic(fmt.Sprintf("field %s is %s, not %s", s.schema.fields[slot].Name, s.schema.fields[slot].Kind, v.kind))
	}
	s.values[slot] = v
	s.exists = true
}

// UnsetAt takes the value out of a slot.
func (s *State) UnsetAt(slot int) { s.values[slot] = Value{} }

// Get is At by name; an undeclared name is not set.
func (s *State) Get(name string) Value {
	if slot, ok := s.schema.slots[name]; ok {
		return s.values[slot]
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

// CopyFrom makes s equal to other, which must have the same schema.
func (s *State) CopyFrom(other *State) {
	copy(s.values, other.values)
	s.exists = other.exists
}
