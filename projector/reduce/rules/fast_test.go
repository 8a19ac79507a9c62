package rules

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

var oneOfEach = []contract.Field{
	{Name: "String", Type: contract.TypeString}, {Name: "Integer", Type: contract.TypeInteger},
	{Name: "Number", Type: contract.TypeNumber}, {Name: "Boolean", Type: contract.TypeBoolean},
	{Name: "Timestamp", Type: contract.TypeTimestamp}, {Name: "JSON", Type: contract.TypeJSON},
}

// pair compiles the same reducer twice: with the fast path and without.
func pair(t interface{ Fatal(...any) }, format, expression, field string) (fast, slow *reducer) {
	schema, err := projector.NewSchema(oneOfEach)
	if err != nil {
		t.Fatal(err)
	}
	build := func() *reducer {
		r, err := New(projector.Config{Format: format, Schema: schema, Reducer: contract.Reducer{
			Key: expression, Rules: []contract.Rule{{On: []string{"T", "\xff"}, Set: map[string]string{field: expression}}},
		}})
		if err != nil {
			return nil
		}
		return r.(*reducer)
	}
	if fast, slow = build(), build(); slow != nil {
		slow.key.fast = shape{}
		slow.byType["T"][0].assigns[0].fast = shape{}
	}
	return fast, slow
}

// outcome is everything that a caller can see of one event.
type outcome struct {
	Keys   []string
	KeyErr string
	Value  string
	Set    bool
	Exists bool
	Err    string
}

func outcomeOf(r *reducer, e *projector.Event, field string) (o outcome) {
	keys, err := r.Keys(e, nil)
	if o.Keys = keys; err != nil {
		o.KeyErr = err.Error()
	}
	schema, _ := projector.NewSchema(oneOfEach)
	s := projector.NewState(schema)
	if err := r.Reduce(e, "k", s); err != nil {
		o.Err = err.Error() + fault.As(err).Remedy
		return o
	}
	o.Value, o.Set, o.Exists = s.Get(field).Text(), s.Get(field).IsSet(), s.Exists()
	return o
}

var simple = []string{
	"event.a", `event["a"]`, "event.?a", `event[?"a"]`, "int(event.a)", "type", "id", "time",
	"event.a.b", "event.?a.b", "event.a.?b", "event.?a.?b", "int(event.a.b)", "event.`a`",
}

var scalars = []string{
	"", "7", "-0", "007", "+5", "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551616",
	"1.5", "1e3", "1e400", "NaN", "inf", "0x10", "1_0", "true", "TRUE", "null", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00,5Z",
	"0000-01-01T00:00:00Z", "a\x00b", "é", "\xff", strings.Repeat("9", 40),
}

func scalar(t *rapid.T) string {
	return rapid.OneOf(rapid.SampledFrom(scalars), rapid.String()).Draw(t, "value")
}

func TestFastPathAndInterpreterAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := rapid.SampledFrom(oneOfEach).Draw(t, "field").Name
		expression := rapid.SampledFrom(simple).Draw(t, "expression")
		e := &projector.Event{ID: projector.ID{Ms: rapid.Uint64().Draw(t, "ms")}, Type: []byte("T")}
		format := rapid.SampledFrom([]string{contract.FormatFields, contract.FormatJSON}).Draw(t, "format")
		if format == contract.FormatJSON {
			e.Document = document(t)
		} else if rapid.Bool().Draw(t, "present") {
			e.Fields = []projector.Field{{Name: []byte("a"), Value: []byte(scalar(t))}}
		}
		fast, slow := pair(t, format, expression, field)
		if fast == nil {
			return // does not compile: time as a key, a bool as an Integer …
		}
		got, want := outcomeOf(fast, e, field), outcomeOf(slow, e, field)
		if strings.Contains(want.Err+want.KeyErr, "not valid UTF-8") {
			requireExact(t, got, e, field)
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s into %s (-interpreter +fast):\n%s", expression, field, diff)
		}
	})
}

func TestFastConditionsAndInterpreterAgree(t *testing.T) {
	schema, err := projector.NewSchema(oneOfEach)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		left := rapid.SampledFrom([]string{"int(event.a)", "event.a", "type", "int(event.a.b)", "event.a.b"}).Draw(t, "left")
		operator := rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "operator")
		right := rapid.SampledFrom([]string{"0", "7", "-1", "9223372036854775807", "'7'", "''", "'T'"}).Draw(t, "right")
		e := &projector.Event{Type: []byte("T")}
		format := rapid.SampledFrom([]string{contract.FormatFields, contract.FormatJSON}).Draw(t, "format")
		if format == contract.FormatJSON {
			e.Document = document(t)
		} else {
			e.Fields = []projector.Field{{Name: []byte("a"), Value: []byte(scalar(t))}}
		}
		built, err := New(projector.Config{Format: format, Schema: schema, Reducer: contract.Reducer{Key: "'k'", Rules: []contract.Rule{
			{On: []string{"T"}, When: left + operator + right, Set: map[string]string{"Boolean": "true"}}}}})
		if err != nil {
			return // a string compared with an int
		}
		r := built.(*reducer)
		got := outcomeOf(r, e, "Boolean")
		r.byType["T"][0].test = comparison{}
		if diff := cmp.Diff(outcomeOf(r, e, "Boolean"), got); diff != "" {
			t.Fatalf("%s%s%s (-interpreter +fast):\n%s", left, operator, right, diff)
		}
	})
}

// requireExact: where the interpreter must refuse bytes that are not UTF-8, a
// plain copy keeps them, and no other kind takes them.
func requireExact(t *rapid.T, got outcome, e *projector.Event, field string) {
	if raw, _ := e.Field("a"); field == "String" && got.Err == "" && got.Value != string(raw) {
		t.Fatalf("copied %q as %q", raw, got.Value)
	} else if field != "String" && got.Err == "" {
		t.Fatalf("%q became %s", raw, field)
	}
}

func document(t *rapid.T) map[string]any {
	leaf := rapid.Custom(func(t *rapid.T) any {
		s := scalar(t)
		var n json.Number
		if json.Unmarshal([]byte(s), &n) == nil && s != "null" && rapid.Bool().Draw(t, "number") {
			return json.Number(s)
		}
		if !utf8.ValidString(s) {
			return nil
		}
		return rapid.SampledFrom([]any{s, nil, true, []any{s}, map[string]any{"b": s}}).Draw(t, "leaf")
	})
	doc := map[string]any{"z": "z"}
	if rapid.Bool().Draw(t, "a") {
		doc["a"] = leaf.Draw(t, "a's value")
		if rapid.Bool().Draw(t, "nested") {
			doc["a"] = map[string]any{"b": doc["a"]}
		}
	}
	return doc
}

func TestSimpleExpressionsTakeTheFastPath(t *testing.T) {
	for expression, want := range map[string]shapeKind{
		"event.a": shapeField, `event["a"]`: shapeField, "event.?a": shapeField, "int(event.a)": shapeField,
		"type": shapeType, "id": shapeID, "'x'": shapeConstant, "42": shapeConstant, "-1": shapeConstant,
		"event.a + 'x'": shapeNone, "has(event.a) ? 'a' : 'b'": shapeNone, "string(event.a)": shapeNone,
		"key": shapeNone, "state.String": shapeNone, "event[type]": shapeNone,
	} {
		t.Run(expression, func(t *testing.T) {
			schema, _ := projector.NewSchema(oneOfEach)
			r, err := New(projector.Config{Format: contract.FormatFields, Schema: schema, Reducer: contract.Reducer{
				Key: "'k'", Rules: []contract.Rule{{On: []string{"T"}, Set: map[string]string{"String": expression}}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.(*reducer).byType["T"][0].assigns[0].fast.kind; got != want {
				t.Errorf("shape %d, want %d", got, want)
			}
		})
	}
}

func TestSimpleConditionsTakeTheFastPath(t *testing.T) {
	for when, want := range map[string]bool{
		"int(event.cents) > 0": true, "event.kind == 'book'": true, "type != 'T'": true, "int(event.n) == -1": true,
		"event.kind < 'book'": false, "0 < int(event.cents)": false, "int(event.a) > int(event.b)": false, "has(event.kind)": false, "!(type == 'T')": false,
	} {
		t.Run(when, func(t *testing.T) {
			schema, _ := projector.NewSchema(oneOfEach)
			r, err := New(projector.Config{Format: contract.FormatFields, Schema: schema, Reducer: contract.Reducer{
				Key: "'k'", Rules: []contract.Rule{{On: []string{"T"}, When: when, Delete: true}}}})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.(*reducer).byType["T"][0].test.verdicts[0] != undecided; got != want {
				t.Errorf("simple: %v, want %v", got, want)
			}
		})
	}
}

func TestFastPathAllocatesTheValueAlone(t *testing.T) {
	for field, want := range map[string]float64{"String": 1, "Integer": 0, "Number": 0, "Boolean": 0} {
		t.Run(field, func(t *testing.T) {
			fast, _ := pair(t, contract.FormatFields, "event.a", field)
			value := map[string]string{"String": "ada@example.org", "Integer": "1250", "Number": "12.5", "Boolean": "true"}[field]
			e := &projector.Event{Type: []byte("T"), Fields: []projector.Field{{Name: []byte("a"), Value: []byte(value)}}}
			schema, _ := projector.NewSchema(oneOfEach)
			s := projector.NewState(schema)
			got := testing.AllocsPerRun(100, func() {
				if err := fast.Reduce(e, "k", s); err != nil {
					t.Fatal(err)
				}
			})
			if got > want {
				t.Errorf("%v allocations, want at most %v", got, want)
			}
		})
	}
}
