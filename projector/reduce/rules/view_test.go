package rules_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/reduce/rules"
)

// spoil overwrites an event's bytes, as a reader does that uses its buffer again.
func spoil(e *projector.Event) {
	overwrite := func(b []byte) {
		for i := range b {
			b[i] = '!'
		}
	}
	overwrite(e.Type)
	for _, f := range e.Fields {
		overwrite(f.Name)
		overwrite(f.Value)
	}
}

// foldOnce is all that comes of one event; whether its bytes are spoiled after
// each call must not show.
func foldOnce(r projector.Reducer, s *projector.State, spoils bool, fields ...string) []string {
	event := func() (*projector.Event, func()) {
		e := entry("T", fields...)
		return e, func() {
			if spoils {
				spoil(e)
			}
		}
	}
	var seen []string
	e, done := event()
	keys, err := r.Keys(e, nil)
	for _, key := range keys {
		seen = append(seen, strings.Clone(key))
	}
	done()
	e, done = event()
	err = errors.Join(err, r.Reduce(e, "k", s))
	done()
	if f := fault.As(err); f != nil {
		seen = append(seen, f.Remedy, f.Err.Error())
	}
	s.Settle(nil)
	return append(seen, fmt.Sprint(err), fmt.Sprint(render(s)))
}

func TestNothingIsKeptOfAnEventsBytes(t *testing.T) {
	expressions := []string{"event.a", "event.?a", "int(event.a)", "'x:' + event.a", "event.a + event.b", "event.a.split(',')", "event.a.substring(1)",
		"event.map(k, k + event[k])", "event.map(k, event[k])", "[event.a, event.b]", "{'m': event.a}", "event", "type", "id", "time", "key", "event.a == 'x' ? event.b : type",
		"state.?text.orValue('') + event.a", "state.?text.orValue(event.a)", "has(state.text) ? state.text : event.b", "event[event.a]", "event.missing", "timestamp(event.a)",
		"event.a.matches(event.b) ? event.a : event.b", "optional.of(event.a)", "dyn(event.a)", "b'x'", "bytes(event.a)", "event.a.format([event.b])", "double(event.a)", "duration(event.a)"}
	schema := schemaOf(t, everyType)
	rapid.Check(t, func(t *rapid.T) {
		of := func(label string) string { return rapid.SampledFrom(expressions).Draw(t, label) }
		field := rapid.SampledFrom(everyType).Draw(t, "field").Name
		r, err := newReducer(schema, of("key"), contract.Rule{Set: exprs{"text": of("text"), field: of("value")}},
			contract.Rule{When: "event.b != ''", Set: exprs{"doc": of("document")}})
		if err != nil {
			return
		}
		kept, spoiled := projector.NewState(schema), projector.NewState(schema)
		for range 3 {
			value := rapid.OneOf(rapid.SampledFrom([]string{"7", "1.5", "b", "a,b", "2026-11-23T05:33:51Z", "\xff", "(", "true", "%s"}), rapid.String())
			a, b := value.Draw(t, "a"), value.Draw(t, "b")
			want := foldOnce(r, kept, false, "a", a, "b", b)
			if diff := cmp.Diff(want, foldOnce(r, spoiled, true, "a", a, "b", b)); diff != "" {
				t.Fatalf("with the event's bytes overwritten (-kept +overwritten):\n%s", diff)
			}
		}
	})
}

func newReducer(schema *projector.Schema, key string, steps ...contract.Rule) (projector.Reducer, error) {
	reducer := contract.Reducer{Key: key}
	for _, step := range steps {
		reducer.Rules = append(reducer.Rules, on("T", step))
	}
	return rules.New(projector.Config{Reducer: reducer, Format: contract.FormatFields, Schema: schema})
}

func TestFieldsMayBeSwapped(t *testing.T) {
	schema := schemaOf(t, []contract.Field{{Name: "a", Type: contract.TypeString}, {Name: "b", Type: contract.TypeString}, {Name: "c", Type: contract.TypeString}})
	r, err := newReducer(schema, "'k'", contract.Rule{Set: exprs{"a": "state.?b.orValue('x')", "b": "state.?a.orValue('a longer text')", "c": "event.c"}})
	if err != nil {
		t.Fatal(err)
	}
	s := projector.NewState(schema)
	for n, want := range []string{"x, a longer text", "a longer text, x", "x, a longer text"} {
		if err := r.Reduce(entry("T", "c", strings.Repeat("y", 100*n)), "k", s); err != nil {
			t.Fatal(err)
		}
		s.Settle(nil)
		if got := s.Get("a").Str() + ", " + s.Get("b").Str(); got != want {
			t.Errorf("after %d events: %s, want %s", n+1, got, want)
		}
	}
}

func TestAKeyIsCopiedByteByByte(t *testing.T) {
	schema := schemaOf(t, everyType)
	r, err := newReducer(schema, "event.id", contract.Rule{Set: exprs{"text": "key"}})
	if err != nil {
		t.Fatal(err)
	}
	s := projector.NewState(schema)
	if err := r.Reduce(entry("T"), "\xff\x00", s); err != nil || s.Get("text").Str() != "\xff\x00" {
		t.Errorf("the key became %q (%v)", s.Get("text").Str(), err)
	}
}

func TestManyTypesAreToldApart(t *testing.T) {
	for _, n := range []int{1, 12, 13, 300} {
		var all []contract.Rule
		for i := range n {
			all = append(all, on(fmt.Sprint("T", i), contract.Rule{Set: exprs{"count": fmt.Sprint(i)}}))
		}
		schema := schemaOf(t, everyType)
		r := compile(t, contract.FormatFields, schema, contract.Reducer{Key: "'k'", Rules: all})
		for i := range n {
			s := projector.NewState(schema)
			if err := fold(r, entry(fmt.Sprint("T", i)), s); err != nil || s.Get("count").Int() != int64(i) {
				t.Fatalf("of %d types, T%d set %d (%v)", n, i, s.Get("count").Int(), err)
			}
		}
		if _, err := r.Keys(entry(fmt.Sprint("T", n)), nil); !errors.Is(err, projector.ErrUnnamedType) {
			t.Errorf("of %d types, another one: %v", n, err)
		}
	}
}
