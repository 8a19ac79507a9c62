package rules

import (
	"reflect"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/refold-dev/refold/projector"
)

// text is a CEL string. CEL's functions work on UTF-8 alone: bytes that are
// not would be altered in silence, so they are an error here.
func text(s string) ref.Val {
	if !utf8.ValidString(s) {
		return types.NewErr("the value is not valid UTF-8, which only a plain copy (name: event.name) keeps")
	}
	return types.String(s)
}

// entry shows an entry's fields to CEL as a map of strings, in the order of
// the entry; of a doubled field the first counts.
type entry struct {
	adapter types.Adapter
	event   *projector.Event
	lookups int
	index   map[string]int // of the first field of each name; filled by indexed
	last    int            // the field read last, -1 for none, and its value:
	value   ref.Val        // a comprehension may read the same one over and over
}

// scans is how many lookups go over the fields before an index is built: most
// expressions read a field or two, comprehensions read all of them.
const scans = 8

func (m *entry) bind(e *projector.Event, adapter types.Adapter) {
	m.adapter, m.event, m.lookups, m.last = adapter, e, 0, -1
}

// emptied keeps a small index for the next event.
func (m *entry) emptied() map[string]int {
	if len(m.index) > 1024 {
		return nil
	}
	clear(m.index)
	return m.index
}

func (m *entry) indexed() map[string]int {
	if len(m.index) > 0 {
		return m.index
	}
	if m.index == nil {
		m.index = make(map[string]int, len(m.event.Fields))
	}
	for i, f := range m.event.Fields {
		if _, doubled := m.index[string(f.Name)]; !doubled {
			m.index[view(f.Name)] = i
		}
	}
	return m.index
}

// lookup is the index of the first field of that name, -1 if there is none.
func (m *entry) lookup(name string) int {
	if m.lookups++; m.lookups > scans {
		if i, found := m.indexed()[name]; found {
			return i
		}
		return -1
	}
	for i := range m.event.Fields {
		if string(m.event.Fields[i].Name) == name {
			return i
		}
	}
	return -1
}

func (m *entry) read(i int) ref.Val {
	if i != m.last {
		m.last, m.value = i, text(view(m.event.Fields[i].Value))
	}
	return m.value
}

// FindStringKey is the door that CEL's field selection tries first.
func (m *entry) FindStringKey(name string) (any, bool) {
	i := m.lookup(name)
	if i < 0 {
		return nil, false
	}
	return m.read(i), true
}

// Find implements traits.Mapper.
func (m *entry) Find(key ref.Val) (ref.Val, bool) {
	name, isString := key.(types.String)
	if !isString {
		return nil, false
	}
	i := m.lookup(string(name))
	if i < 0 {
		return nil, false
	}
	return m.read(i), true
}

// Get implements traits.Indexer.
func (m *entry) Get(key ref.Val) ref.Val {
	if v, found := m.Find(key); found {
		return v
	}
	return types.NewErr("no such key: %v", key)
}

// Contains implements traits.Container.
func (m *entry) Contains(key ref.Val) ref.Val {
	name, isString := key.(types.String)
	return types.Bool(isString && m.lookup(string(name)) >= 0)
}

// Size implements traits.Sizer.
func (m *entry) Size() ref.Val { return types.Int(len(m.indexed())) }

// IsZeroValue implements traits.Zeroer.
func (m *entry) IsZeroValue() bool { return len(m.event.Fields) == 0 }

// Iterator implements traits.Iterable.
func (m *entry) Iterator() traits.Iterator { return &keys{names: m.names()} }

// Fold implements traits.Foldable.
func (m *entry) Fold(f traits.Folder) {
	for _, name := range m.names() {
		v, _ := m.Find(name)
		if !f.FoldEntry(name, v) {
			return
		}
	}
}

func (m *entry) names() []ref.Val {
	index := m.indexed()
	names := make([]ref.Val, 0, len(index))
	for i, f := range m.event.Fields {
		if index[string(f.Name)] == i {
			names = append(names, text(view(f.Name)))
		}
	}
	return names
}

// copied is the same map with a life of its own, for the rare operations.
func (m *entry) copied() traits.Mapper {
	all := make(map[string]any, len(m.indexed()))
	for name, i := range m.indexed() {
		all[name] = text(view(m.event.Fields[i].Value))
	}
	return newObject(m.adapter, all)
}

// Equal implements ref.Val.
func (m *entry) Equal(other ref.Val) ref.Val { return m.copied().Equal(other) }

// ConvertToNative implements ref.Val.
func (m *entry) ConvertToNative(t reflect.Type) (any, error) { return m.copied().ConvertToNative(t) }

// ConvertToType implements ref.Val.
func (m *entry) ConvertToType(t ref.Type) ref.Val { return m.copied().ConvertToType(t) }

// Type implements ref.Val.
func (m *entry) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (m *entry) Value() any { return m.copied().Value() }
