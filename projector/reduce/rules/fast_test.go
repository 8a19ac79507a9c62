package rules

import (
	"encoding/json"
	"errors"
	"fmt"
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
	key := expression
	if expression == "key" {
		key = "'k'" // a key knows none yet
	}
	build := func() *reducer {
		r, err := New(projector.Config{Format: format, Schema: schema, Reducer: contract.Reducer{
			Key: key, Rules: []contract.Rule{{On: []string{"T", "\xff"}, Set: map[string]string{field: expression}}},
		}})
		if err != nil {
			return nil
		}
		return r.(*reducer)
	}
	if fast, slow = build(), build(); slow != nil {
		slow.key.fast = shape{}
		assign := &slow.byType["T"][0].assigns[0]
		assign.fast, assign.shortcut = shape{}, shortcut{}
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
	"key", "'é:' + event.a", "'a:' + event.a.b",
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

func TestFastSumsAndInterpreterAgree(t *testing.T) {
	schema, err := projector.NewSchema(oneOfEach)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		field := rapid.SampledFrom([]string{"Integer", "Number"}).Draw(t, "field")
		expression := rapid.SampledFrom([]string{"int(event.a)", "event.a", "event.?a", "1", "-9223372036854775808", "id"}).Draw(t, "expression")
		build := func() *reducer {
			r, err := New(projector.Config{Format: contract.FormatFields, Schema: schema, Reducer: contract.Reducer{Key: "'k'", Rules: []contract.Rule{
				{On: []string{"T"}, Add: map[string]string{field: expression}}}}})
			if err != nil {
				t.Fatal(err)
			}
			return r.(*reducer)
		}
		fast, slow := build(), build()
		assign := &slow.byType["T"][0].assigns[0]
		assign.fast, assign.shortcut = shape{}, shortcut{}
		one, other := projector.NewState(schema), projector.NewState(schema)
		for range 3 {
			e := &projector.Event{Type: []byte("T"), Fields: []projector.Field{{Name: []byte("b"), Value: []byte("1")}}}
			if rapid.Bool().Draw(t, "present") {
				e.Fields = append(e.Fields, projector.Field{Name: []byte("a"), Value: []byte(scalar(t))})
			}
			got, want := fast.Reduce(e, "k", one), slow.Reduce(e, "k", other)
			if fmt.Sprint(got) != fmt.Sprint(want) && !strings.Contains(fmt.Sprint(want), "not valid UTF-8") {
				t.Fatalf("fast: %v\ninterpreter: %v", got, want)
			}
			if want != nil {
				return // the state is thrown away
			}
			if one.Get(field) != other.Get(field) || one.Exists() != other.Exists() {
				t.Fatalf("fast: %s, interpreter: %s", one.Get(field).Text(), other.Get(field).Text())
			}
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
		"key": shapeKey, "'user:' + event.a": shapeField, "'' + event.a": shapeNone, "event.a + event.b": shapeNone,
		"'a' + ('b' + event.a)": shapeNone, "'user:' + type": shapeNone, "'user:' + string(int(event.a))": shapeNone,
		"int('1' + event.a)": shapeNone, "state.String": shapeNone, "event[type]": shapeNone,
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

func TestFastPathAllocatesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		rule   contract.Rule
		values [2]string
	}{
		"a String":                   {contract.Rule{Set: map[string]string{"String": "event.a"}}, [2]string{"ada@example.org", "grace@example.org"}},
		"an Integer":                 {contract.Rule{Set: map[string]string{"Integer": "event.a"}}, [2]string{"1250", "-9223372036854775808"}},
		"a Number":                   {contract.Rule{Set: map[string]string{"Number": "event.a"}}, [2]string{"12.5", "1e300"}},
		"a Boolean":                  {contract.Rule{Set: map[string]string{"Boolean": "event.a"}}, [2]string{"true", "false"}},
		"a Timestamp":                {contract.Rule{Set: map[string]string{"Timestamp": "event.a"}}, [2]string{"2026-11-23T05:33:51.12Z", "2026-11-23T05:33:51Z"}},
		"an int as a String":         {contract.Rule{Set: map[string]string{"String": "int(event.a)"}}, [2]string{"01250", "007"}},
		"a sum":                      {contract.Rule{Add: map[string]string{"Integer": "int(event.a)", "Number": "1.5"}}, [2]string{"12", "-7"}},
		"a condition":                {contract.Rule{When: "int(event.a) > 10", Add: map[string]string{"Integer": "1"}}, [2]string{"12", "7"}},
		"a condition on text":        {contract.Rule{When: "event.a != ''", Set: map[string]string{"String": "event.a"}}, [2]string{"12", ""}},
		"the event's time":           {contract.Rule{Set: map[string]string{"Timestamp": "time", "String": "id"}}, [2]string{"", ""}},
		"the key and the type":       {contract.Rule{Set: map[string]string{"String": "key", "JSON": "'constant'"}}, [2]string{"", ""}},
		"a prefix":                   {contract.Rule{Set: map[string]string{"String": "'user:' + event.a"}}, [2]string{"1", "2"}},
		"several, one after another": {contract.Rule{Set: map[string]string{"String": "event.?a", "Integer": "event.?b"}, Unset: []string{"Number"}}, [2]string{"1", "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			schema, _ := projector.NewSchema(oneOfEach)
			test.rule.On = []string{"T"}
			r, err := New(projector.Config{Format: contract.FormatFields, Schema: schema, Reducer: contract.Reducer{Key: "event.a", Rules: []contract.Rule{test.rule}}})
			if err != nil {
				t.Fatal(err)
			}
			events := [2]*projector.Event{}
			for i, v := range test.values {
				events[i] = &projector.Event{ID: projector.ID{Ms: 1795412031120, Seq: uint64(i)}, Type: []byte("T"), Fields: []projector.Field{{Name: []byte("a"), Value: []byte(v)}}}
			}
			s, keys, scratch, n := projector.NewState(schema), make([]string, 0, 1), []byte(nil), 0
			fold := func() {
				n++
				if keys, err = r.Keys(events[n%2], keys[:0]); err != nil && !errors.Is(err, projector.ErrNoKey) {
					t.Fatal(err)
				}
				if err := r.Reduce(events[n%2], "key", s); err != nil {
					t.Fatal(err)
				}
				scratch = s.Settle(scratch)
			}
			for range 100 {
				fold()
			}
			if got := testing.AllocsPerRun(100, fold); got > 0 {
				t.Errorf("%v allocations", got)
			}
		})
	}
}
