package projector

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/refold-dev/refold/projector/contract"
)

// model is a State with no memory of its own to mind.
type model struct {
	values                            []Value
	stored, changedAt                 []bool
	exists, inStore, changed, doubted bool
}

func (m *model) clone() model {
	c := *m
	c.values, c.stored, c.changedAt = slices.Clone(m.values), slices.Clone(m.stored), slices.Clone(m.changedAt)
	return c
}

func (m *model) put(slot int, v Value) {
	if m.values[slot] != v {
		m.values[slot], m.changedAt[slot], m.changed = v, true, true
	}
}

func (m *model) setExists(exists bool) {
	if m.exists != exists {
		m.exists, m.changed = exists, true
	}
}

func (m *model) drop() {
	for slot := range m.values {
		m.put(slot, Value{})
	}
	m.setExists(false)
}

func (m *model) markStored() {
	for slot, v := range m.values {
		m.stored[slot], m.changedAt[slot] = v.IsSet(), false
	}
	m.inStore, m.changed, m.doubted = m.exists, false, false
}

// observed is all that a State shows of itself, with bytes of its own.
func observed(s *State) model {
	m := model{exists: s.Exists(), inStore: s.InStore(), changed: s.Changed(), doubted: s.Doubted()}
	for slot := range s.Schema().Fields() {
		v := s.At(slot)
		v.str = strings.Clone(v.str)
		m.values = append(m.values, v)
		m.stored, m.changedAt = append(m.stored, s.Stored(slot)), append(m.changedAt, s.ChangedAt(slot))
	}
	return m
}

var modelFields = []contract.Field{
	{Name: "a", Type: contract.TypeString}, {Name: "b", Type: contract.TypeString}, {Name: "c", Type: contract.TypeString},
	{Name: "n", Type: contract.TypeInteger}, {Name: "x", Type: contract.TypeNumber}, {Name: "is", Type: contract.TypeBoolean},
	{Name: "at", Type: contract.TypeTimestamp}, {Name: "doc", Type: contract.TypeJSON},
}

// machine is a State, its model, and the views of the event that it is in.
type machine struct {
	*rapid.T
	state       *State
	model       model
	views, want []Value
}

func newMachine(t *rapid.T, schema *Schema) *machine {
	m := &machine{T: t, state: NewState(schema)}
	m.model = observed(m.state)
	return m
}

func (m *machine) check(after string) {
	m.Helper()
	if diff := cmp.Diff(m.model, observed(m.state), cmp.AllowUnexported(model{}, Value{})); diff != "" {
		m.Fatalf("after %s (-want +got):\n%s", after, diff)
	}
	live := 0
	for _, v := range m.model.values {
		live += len(v.str)
	}
	if int(m.state.live) != live || len(m.state.text) < live {
		m.Fatalf("after %s: %d of %d bytes are live, want %d", after, m.state.live, len(m.state.text), live)
	}
	for i := range m.views {
		if m.views[i] != m.want[i] {
			m.Fatalf("after %s: a view of %q has become %q", after, m.want[i].str, m.views[i].str)
		}
	}
}

// value is one of the slot's kind; of a text the bytes, too, to spoil later.
func (m *machine) value(slot int) (v Value, bytes []byte) {
	switch kind := m.state.Schema().Fields()[slot].Kind; kind {
	case Integer, Number, Boolean:
		return Value{kind: kind, num: rapid.Int64Range(0, 2).Draw(m.T, "number")}, nil
	default:
		n := rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(0, 80), rapid.SampledFrom([]int{1000, 100_000})).Draw(m.T, "size")
		bytes = []byte(strings.Repeat(rapid.SampledFrom([]string{"a", "b"}).Draw(m.T, "letter"), n))
		return Value{kind: kind, str: unsafe.String(unsafe.SliceData(bytes), n)}, bytes
	}
}

func (m *machine) set(slot int) {
	v, bytes := m.value(slot)
	m.model.setExists(true)
	m.model.put(slot, Value{v.kind, v.num, string(bytes)})
	m.state.SetAt(slot, v)
	for i := range bytes {
		bytes[i] = '!'
	}
}

// swap swaps two fields the way a reducer does, with views.
func (m *machine) swap(one, other int) {
	a, b := m.state.At(one), m.state.At(other)
	if a.kind != String || b.kind != String {
		return
	}
	va, vb := m.model.values[one], m.model.values[other]
	m.state.SetAt(one, b)
	m.state.SetAt(other, a)
	m.model.put(one, vb)
	m.model.put(other, va)
}

func (m *machine) copyOther() {
	other := newMachine(m.T, m.state.Schema())
	for range rapid.IntRange(0, 4).Draw(m.T, "fields") {
		other.set(rapid.IntRange(0, len(modelFields)-1).Draw(m.T, "field"))
	}
	m.state.CopyFrom(other.state)
	for slot, v := range other.model.values {
		m.model.put(slot, v)
	}
	m.model.setExists(other.model.exists)
	other.state.Delete()
	other.state.Clear()
}

func (m *machine) act() {
	slot := rapid.IntRange(0, len(modelFields)-1).Draw(m.T, "slot")
	action := rapid.SampledFrom([]string{"set", "set", "set", "set", "unset", "swap", "swap", "delete", "create", "copy", "at", "at"}).Draw(m.T, "action")
	switch action {
	case "set":
		m.set(slot)
	case "unset":
		m.state.UnsetAt(slot)
		m.model.put(slot, Value{})
	case "swap":
		m.swap(0, rapid.IntRange(0, 2).Draw(m.T, "with"))
	case "delete":
		m.state.Delete()
		m.model.drop()
	case "create":
		m.state.Create()
		m.model.setExists(true)
	case "copy":
		m.copyOther()
	case "at":
		m.views, m.want = append(m.views, m.state.At(slot)), append(m.want, m.model.values[slot])
	}
	m.check(action)
}

func (m *machine) between() {
	action := rapid.SampledFrom([]string{"nothing", "nothing", "store", "doubt", "clear"}).Draw(m.T, "between")
	switch action {
	case "store":
		m.state.MarkStored()
		m.model.markStored()
	case "doubt":
		m.state.Doubt()
		m.model.doubted, m.model.changed = true, true
	case "clear":
		m.state.Clear()
		m.model = observed(NewState(m.state.Schema()))
	}
	m.check(action)
}

func TestAStateIsItsModelWhateverIsDone(t *testing.T) {
	schema, err := NewSchema(modelFields)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t, schema)
		var saved Saved
		var scratch []byte
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			m.state.Save(&saved)
			before := m.model.clone()
			for range rapid.IntRange(0, 6).Draw(t, "actions") {
				m.act()
			}
			m.views, m.want = nil, nil
			if rapid.IntRange(0, 3).Draw(t, "undo") == 0 {
				m.state.Undo(&saved)
				m.model = before
				m.check("Undo")
			}
			scratch = m.state.Settle(scratch)
			m.check("Settle")
			m.between()
		}
	})
}
