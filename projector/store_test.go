package projector

import (
	"fmt"
	"strings"
	"testing"

	"github.com/refold-dev/refold/projector/contract"
)

func texts(t testing.TB, n int) *Schema {
	t.Helper()
	var fields []contract.Field
	for i := range n {
		fields = append(fields, contract.Field{Name: fmt.Sprint("f", i), Type: contract.TypeString})
	}
	s, err := NewSchema(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFoldingOnTakesNoMoreMemory(t *testing.T) {
	s := NewState(texts(t, 4))
	var saved Saved
	var scratch []byte
	fold := func(n int) {
		s.Save(&saved)
		s.SetAt(n%4, StringValue([2]string{"user12345@mail.example", "Street 1234, Zürich"}[n/4%2]))
		scratch = s.Settle(scratch)
	}
	for n := range 100 {
		fold(n)
	}
	before, n := s.Bytes(), 0
	if got := testing.AllocsPerRun(1000, func() { fold(n); n++ }); got > 0 || s.Bytes() != before {
		t.Errorf("%v allocations an event; %d bytes, then %d", got, before, s.Bytes())
	}
	if most := stateBytes + 4*slotBytes + 3*int64(s.live); before > most {
		t.Errorf("%d bytes for %d of text, want at most %d", before, s.live, most)
	}
}

func TestMemoryIsGivenBack(t *testing.T) {
	for name, after := range map[string]func(*State){
		"by a shorter text": func(s *State) { s.SetAt(0, StringValue("short")) },
		"by unset":          func(s *State) { s.UnsetAt(0) },
		"by delete":         (*State).Delete,
	} {
		t.Run(name, func(t *testing.T) {
			s := NewState(texts(t, 2))
			s.SetAt(0, StringValue(strings.Repeat("x", 1<<20)))
			if grown := s.Bytes(); grown > 1<<20+16<<10 {
				t.Errorf("%d bytes for a text of 1 MiB", grown)
			}
			after(s)
			s.Settle(nil)
			if left := s.Bytes(); left > 512 {
				t.Errorf("%d bytes are left", left)
			}
		})
	}
}

func TestMemoryCountsWhatThereIs(t *testing.T) {
	s := NewState(texts(t, 3))
	if want := stateBytes + 3*slotBytes; s.Bytes() != want {
		t.Errorf("an empty entity of 3 fields: %d bytes, want %d", s.Bytes(), want)
	}
	s.SetAt(0, StringValue("Ada"))
	if want := stateBytes + 3*slotBytes + int64(cap(s.text)); s.Bytes() != want || cap(s.text) > 64 {
		t.Errorf("a short text takes %d bytes; %d in all, want %d", cap(s.text), s.Bytes(), want)
	}
}

func TestAViewIsGoodUntilTheEventEnds(t *testing.T) {
	s := NewState(texts(t, 2))
	s.SetAt(0, StringValue("first"))
	s.SetAt(1, StringValue(""))
	view, empty := s.At(0), s.At(1)
	for n := range 1000 { // moves the text many times
		s.SetAt(n%2, StringValue(strings.Repeat("x", n)))
	}
	s.Delete()
	if view.Str() != "first" || !empty.IsSet() || empty.Str() != "" {
		t.Errorf("the views have become %q and %q", view.Str(), empty.Str())
	}
}

func TestStatesInOnePieceOfMemoryDoNotTouch(t *testing.T) {
	schema, slots, text := texts(t, 2), make([]Slot, 6), make([]byte, 30)
	states := make([]State, 3)
	for i := range states {
		states[i].Init(schema, slots[2*i:2*i+2], text[10*i:10*i:10*i+10])
		states[i].SetAt(0, StringValue(fmt.Sprint("entity ", i)))
		states[i].SetAt(1, StringValue(strings.Repeat(fmt.Sprint(i), 40*i))) // more than there is room for
	}
	states[1].Delete()
	for i, want := range []string{"entity 0", "", "entity 2"} {
		if got := states[i].At(0).Str(); got != want || len(states[i].At(1).Str()) != 40*i*(1-i%2) {
			t.Errorf("state %d is %q and %q, want %q", i, got, states[i].At(1).Str(), want)
		}
	}
}

func TestSetAtPanicsForAnotherKind(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); got != "field f0 is String, not Integer" {
			t.Errorf("panicked with %s", got)
		}
	}()
	s := NewState(texts(t, 1))
	s.SetAt(0, StringValue("x"))
	s.SetAt(0, IntegerValue(1))
}

func BenchmarkSetAt(b *testing.B) {
	one, other := StringValue("user12345@mail.example.com"), StringValue("user54321@mail.example.com")
	for name, values := range map[string][2]Value{
		"the same text": {one, one}, "another text": {one, other}, "another Integer": {IntegerValue(1), IntegerValue(2)},
	} {
		b.Run(name, func(b *testing.B) {
			schema, err := NewSchema([]contract.Field{{Name: "f", Type: values[0].Kind().String()}})
			if err != nil {
				b.Fatal(err)
			}
			s := NewState(schema)
			var saved Saved
			var scratch []byte
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				s.Save(&saved)
				s.SetAt(0, values[n&1])
				scratch = s.Settle(scratch)
			}
		})
	}
}
