package rules_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/reduce/rules"
)

// everyType declares a field of each type.
var everyType = []contract.Field{
	{Name: "text", Type: contract.TypeString}, {Name: "count", Type: contract.TypeInteger},
	{Name: "ratio", Type: contract.TypeNumber}, {Name: "flag", Type: contract.TypeBoolean},
	{Name: "at", Type: contract.TypeTimestamp}, {Name: "doc", Type: contract.TypeJSON},
}

func schemaOf(t testing.TB, fields []contract.Field) *projector.Schema {
	t.Helper()
	s, err := projector.NewSchema(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func compile(t testing.TB, format string, s *projector.Schema, r contract.Reducer) projector.Reducer {
	t.Helper()
	reducer, err := rules.New(projector.Config{Reducer: r, Format: format, Schema: s})
	if err != nil {
		t.Fatal(err)
	}
	return reducer
}

// entry is an event of the format Fields: a type, then names and values.
func entry(typ string, fields ...string) *projector.Event {
	e := &projector.Event{ID: projector.ID{Ms: 1795412031120, Seq: 7}, Type: []byte(typ)}
	for i := 0; i < len(fields); i += 2 {
		e.Fields = append(e.Fields, projector.Field{Name: []byte(fields[i]), Value: []byte(fields[i+1])})
	}
	return e
}

// fold folds e into one entity, as an engine does into many.
func fold(r projector.Reducer, e *projector.Event, s *projector.State) error {
	keys, err := r.Keys(e, nil)
	for _, key := range keys {
		if err == nil {
			err = r.Reduce(e, key, s)
		}
	}
	return err
}

// render is the entity as text by field, nil if there is none.
func render(s *projector.State) map[string]string {
	if !s.Exists() {
		return nil
	}
	all := map[string]string{}
	for slot, f := range s.Schema().Fields() {
		if v := s.At(slot); v.IsSet() {
			all[f.Name] = v.Text()
		}
	}
	return all
}

func on(typ string, r contract.Rule) contract.Rule {
	r.On = []string{typ}
	return r
}

type exprs = map[string]string

func TestRules(t *testing.T) {
	set := func(e exprs) contract.Rule { return on("T", contract.Rule{Set: e}) }
	add := func(e exprs) contract.Rule { return on("T", contract.Rule{Add: e}) }
	for name, test := range map[string]struct {
		rules  []contract.Rule
		events []*projector.Event
		want   map[string]string
	}{
		"every rule that names the type applies, in order": {
			rules:  []contract.Rule{set(exprs{"text": "'one'"}), on("Other", contract.Rule{Delete: true}), set(exprs{"text": "state.text + ' two'"})},
			events: []*projector.Event{entry("T")}, want: exprs{"text": "one two"},
		},
		"a rule that names a type twice applies once": {
			rules:  []contract.Rule{{On: []string{"T", "T"}, Add: exprs{"count": "1"}}},
			events: []*projector.Event{entry("T")}, want: exprs{"count": "1"},
		},
		"a rule whose condition is false does nothing": {
			rules:  []contract.Rule{on("T", contract.Rule{When: "int(event.n) > 0", Add: exprs{"count": "int(event.n)"}})},
			events: []*projector.Event{entry("T", "n", "-5"), entry("T", "n", "3")}, want: exprs{"count": "3"},
		},
		"an event that no condition lets through makes no entity": {
			rules:  []contract.Rule{on("T", contract.Rule{When: "false", Set: exprs{"text": "'x'"}})},
			events: []*projector.Event{entry("T")}, want: nil,
		},
		"expressions of one rule see the state before the rule": {
			rules: []contract.Rule{set(exprs{"text": "'a'", "count": "1"}),
				set(exprs{"text": "string(state.count)", "count": "size(state.text) + 10"})},
			events: []*projector.Event{entry("T")}, want: exprs{"text": "1", "count": "11"},
		},
		"simple and other expressions go together": {
			rules:  []contract.Rule{set(exprs{"text": "id", "at": "time", "count": "int(event.n) + 1", "ratio": "int(event.n)"})},
			events: []*projector.Event{entry("T", "n", "8")},
			want:   exprs{"text": "1795412031120-7", "at": "2026-11-23T05:33:51.12Z", "count": "9", "ratio": "8"},
		},
		"add counts from 0 and goes on": {
			rules:  []contract.Rule{add(exprs{"count": "2", "ratio": "0.5"})},
			events: []*projector.Event{entry("T"), entry("T")}, want: exprs{"count": "4", "ratio": "1"},
		},
		"add sees the state before the rule, too": {
			rules:  []contract.Rule{on("T", contract.Rule{Add: exprs{"count": "state.?count.orValue(1)"}, Set: exprs{"text": "string(state.?count.orValue(0))"}})},
			events: []*projector.Event{entry("T"), entry("T"), entry("T")}, want: exprs{"count": "4", "text": "2"},
		},
		"an absent optional leaves the field as it is": {
			rules:  []contract.Rule{set(exprs{"text": "event.?name", "count": "event.?n", "ratio": "optional.none()"})},
			events: []*projector.Event{entry("T", "name", "Ada", "n", "1"), entry("T", "n", "2")}, want: exprs{"text": "Ada", "count": "2"},
		},
		"adding an absent optional adds nothing": {
			rules:  []contract.Rule{add(exprs{"count": "event.?n"})},
			events: []*projector.Event{entry("T", "n", "4"), entry("T")}, want: exprs{"count": "4"},
		},
		"null takes the field away": {
			rules:  []contract.Rule{set(exprs{"text": "has(event.name) ? dyn(event.name) : null"})},
			events: []*projector.Event{entry("T", "name", "Ada"), entry("T")}, want: exprs{},
		},
		"unset takes fields away and makes no entity": {
			rules:  []contract.Rule{on("Gone", contract.Rule{Unset: []string{"text", "count"}})},
			events: []*projector.Event{entry("Gone")}, want: nil,
		},
		"unset leaves an entity with no field": {
			rules:  []contract.Rule{set(exprs{"text": "'x'"}), on("Gone", contract.Rule{Unset: []string{"text"}})},
			events: []*projector.Event{entry("T"), entry("Gone")}, want: exprs{},
		},
		"a set makes the entity even if every value is absent": {
			rules:  []contract.Rule{set(exprs{"text": "event.?name"})},
			events: []*projector.Event{entry("T")}, want: exprs{},
		},
		"a deleted entity is gone for the rules that follow": {
			rules: []contract.Rule{set(exprs{"text": "'x'", "count": "1"}), on("T", contract.Rule{Delete: true}),
				set(exprs{"flag": "has(state.text)"})},
			events: []*projector.Event{entry("T")}, want: exprs{"flag": "false"},
		},
		"an entity may come again": {
			rules:  []contract.Rule{add(exprs{"count": "1"}), on("Gone", contract.Rule{Delete: true})},
			events: []*projector.Event{entry("T"), entry("T"), entry("Gone"), entry("T")}, want: exprs{"count": "1"},
		},
		"id, time, type and key are there": {
			rules:  []contract.Rule{set(exprs{"text": "type + ' ' + id + ' ' + key", "at": "time"})},
			events: []*projector.Event{entry("T")}, want: exprs{"text": "T 1795412031120-7 k", "at": "2026-11-23T05:33:51.12Z"},
		},
		"state fields have their declared types": {
			rules: []contract.Rule{set(exprs{"text": "'a'", "count": "7", "ratio": "1.5", "flag": "true", "at": "time", "doc": "{'a': [1]}"}),
				set(exprs{"text": "state.text.upperAscii()", "count": "state.count * 2", "ratio": "state.ratio / 3.0", "flag": "!state.flag",
					"at": "state.at + duration('1h')", "doc": "state.doc.a[0] + 1"})},
			events: []*projector.Event{entry("T")},
			want:   exprs{"text": "A", "count": "14", "ratio": "0.5", "flag": "false", "at": "2026-11-23T06:33:51.12Z", "doc": "2"},
		},
		"maps are walked in the order of their keys": {
			rules: []contract.Rule{set(exprs{"text": "{'c': 1, 'a': 2, 'b': 3}.map(k, k).join('') + [{'z': 1, 'y': 2}][0].map(k, k).join('')",
				"doc": "event.map(k, k + '=' + event[k])"})},
			events: []*projector.Event{entry("T", "b", "1", "a", "2", "b", "3")}, want: exprs{"text": "abcyz", "doc": `["b=1","a=2"]`},
		},
		"of a doubled field the first counts": {
			rules:  []contract.Rule{set(exprs{"text": "event.a", "count": "size(event)"})},
			events: []*projector.Event{entry("T", "a", "1", "a", "2")}, want: exprs{"text": "1", "count": "1"},
		},
		"names that CEL cannot say are quoted": {
			rules:  []contract.Rule{set(exprs{"text": "event[\"first name\"] + event.`last-name`"})},
			events: []*projector.Event{entry("T", "first name", "Ada", "last-name", "L")}, want: exprs{"text": "AdaL"},
		},
		"time zones are known": {
			rules:  []contract.Rule{set(exprs{"count": "time.getHours('Europe/Berlin')"})},
			events: []*projector.Event{entry("T")}, want: exprs{"count": "6"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			schema := schemaOf(t, everyType)
			r := compile(t, contract.FormatFields, schema, contract.Reducer{Key: "'k'", Rules: test.rules})
			s := projector.NewState(schema)
			for _, e := range test.events {
				if err := fold(r, e, s); err != nil && !errors.Is(err, projector.ErrUnnamedType) {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(test.want, render(s)); diff != "" {
				t.Errorf("entity (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	for name, test := range map[string]struct {
		key   string
		event *projector.Event
		want  []string
		err   string
	}{
		"a string":                             {"event.id", entry("T", "id", "42"), []string{"42"}, ""},
		"an int":                               {"int(event.id)", entry("T", "id", "042"), []string{"42"}, ""},
		"a computed string":                    {"event.a + ':' + event.b", entry("T", "a", "1", "b", "{}'\n"), []string{"1:{}'\n"}, ""},
		"a list, in order and without doubles": {"[event.b, event.a, event.b]", entry("T", "a", "1", "b", "2"), []string{"2", "1"}, ""},
		"a list of ints":                       {"event.ids.split(',').map(i, int(i))", entry("T", "ids", "3,1,3"), []string{"3", "1"}, ""},
		"a list with optional elements":        {"[event.?a, event.?b]", entry("T", "b", "2"), []string{"2"}, ""},
		"empty elements are left out":          {"['', 'x']", entry("T"), []string{"x"}, ""},
		"bytes that are no UTF-8":              {"event.id", entry("T", "id", "a\xff\x00"), []string{"a\xff\x00"}, ""},
		"an empty string is no key":            {"event.id", entry("T", "id", ""), nil, "no key"},
		"an absent optional is no key":         {"event.?id", entry("T"), nil, "no key"},
		"optional.none() is no key":            {"optional.none()", entry("T"), nil, "no key"},
		"null is no key":                       {"null", entry("T"), nil, "no key"},
		"an empty list is no key":              {"[]", entry("T"), nil, "no key"},
		"a list of nothing is no key":          {"[event.?a, event.?b]", entry("T"), nil, "no key"},
		"a type that no rule names":            {"event.id", entry("Other"), nil, "no rule names"},
		"a missing field":                      {"event.id", entry("T"), nil, `key: the event has no field "id"`},
		"a bool":                               {"dyn(true)", entry("T"), nil, "a non-string key: bool is neither"},
		"a double":                             {"dyn(1.5)", entry("T"), nil, "a non-string key: double is neither"},
		"a map":                                {"dyn({'a': 1})", entry("T"), nil, "a non-string key: map is neither"},
		"a list in a list":                     {"dyn([['a']])", entry("T"), nil, "a non-string key: list is neither"},
	} {
		t.Run(name, func(t *testing.T) {
			r := compile(t, contract.FormatFields, schemaOf(t, everyType), contract.Reducer{Key: test.key, Rules: []contract.Rule{on("T", contract.Rule{Delete: true})}})
			got, err := r.Keys(test.event, []string{"before"})
			if !strings.Contains(fmt.Sprint(err), test.err) || test.err == "" && err != nil {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if diff := cmp.Diff(append([]string{"before"}, test.want...), got); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSkippedEventsAreToldApart(t *testing.T) {
	r := compile(t, contract.FormatFields, schemaOf(t, everyType), contract.Reducer{Key: "event.?id", Rules: []contract.Rule{on("T", contract.Rule{Delete: true})}})
	if _, err := r.Keys(entry("Other"), nil); !errors.Is(err, projector.ErrUnnamedType) {
		t.Errorf("a type that no rule names: %v", err)
	}
	if _, err := r.Keys(entry("T"), nil); !errors.Is(err, projector.ErrNoKey) {
		t.Errorf("an event with no key: %v", err)
	}
}

func TestFailuresSayWhereWhyAndWhatToDo(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, test := range map[string]struct {
		rule            contract.Rule
		event           *projector.Event
		message, remedy string
	}{
		"a missing field": {
			contract.Rule{Set: exprs{"text": "event.email"}}, entry("T"),
			`rule 0 (T): set.text: the event has no field "email"`, "handle it in the expression (event.?email) or correct the producer",
		},
		"a missing field deep in an expression": {
			contract.Rule{When: `size(event.tags.split(',')) > 0 && event["email"] != ''`}, entry("T", "tags", "a"),
			`rule 0 (T): when: the event has no field "email"`, "handle it in the expression (event.?email) or correct the producer",
		},
		"a field that is not set yet": {
			contract.Rule{Set: exprs{"count": "state.count + 1"}}, entry("T"),
			`rule 0 (T): set.count: the entity has no value in "count" yet`, "handle it in the expression, as in state.?count.orValue(…)",
		},
		"text that is no int": {
			contract.Rule{Add: exprs{"count": "int(event.n)"}}, entry("T", "n", "seven"),
			`rule 0 (T): add.count: event.n is not an int: type conversion error from 'string' to 'int'`, "",
		},
		"text that is no Integer": {
			contract.Rule{Set: exprs{"count": "event.n"}}, entry("T", "n", long),
			`rule 0 (T): set.count: "` + long[:64] + `…" is not of type Integer`, "",
		},
		"an overflow in CEL":   {contract.Rule{Set: exprs{"count": "int(event.n) + 1"}}, entry("T", "n", "9223372036854775807"), `rule 0 (T): set.count: integer overflow`, ""},
		"a fraction":           {contract.Rule{Set: exprs{"count": "double(event.n)"}}, entry("T", "n", "1.5"), `rule 0 (T): set.count: 1.5 is not of type Integer`, ""},
		"a float that is none": {contract.Rule{Set: exprs{"ratio": "0.0 / 0.0"}}, entry("T"), `rule 0 (T): set.ratio: NaN is not a number that a read model can hold`, ""},
		"a division by zero":   {contract.Rule{Set: exprs{"count": "1 / int(event.n)"}}, entry("T", "n", "0"), `rule 0 (T): set.count: division by zero`, ""},
		"a condition that is no bool": {
			contract.Rule{When: "dyn(event.n)"}, entry("T", "n", "0"), `rule 0 (T): when: a condition is true or false, not string`, "",
		},
		"a null that is added": {contract.Rule{Add: exprs{"count": "dyn(null)"}}, entry("T"), `rule 0 (T): add.count: null cannot be added`, ""},
		"bytes that are no UTF-8, in the interpreter": {
			contract.Rule{Set: exprs{"text": "event.n + ''"}}, entry("T", "n", "\xff"),
			`rule 0 (T): set.text: the value is not valid UTF-8, which only a plain copy (name: event.name) keeps`, "",
		},
		"bytes that are no UTF-8, into JSON": {
			contract.Rule{Set: exprs{"doc": "event.n"}}, entry("T", "n", "\xff"),
			`rule 0 (T): set.doc: the value is not valid UTF-8, which only a plain copy (name: event.name) keeps`, "",
		},
		"an expression that costs too much": {
			contract.Rule{When: "event.all(a, event.all(b, event.all(c, a + b + c != '')))"}, wide(200),
			`rule 0 (T): when: it costs more than the limit of 2000000 units`, "make the expression cheaper: it may walk over a large value too often",
		},
	} {
		t.Run(name, func(t *testing.T) {
			schema := schemaOf(t, everyType)
			r := compile(t, contract.FormatFields, schema, contract.Reducer{Key: "'k'", Rules: []contract.Rule{on("T", test.rule)}})
			f := fault.As(fold(r, test.event, projector.NewState(schema)))
			if f == nil {
				t.Fatal("the event was folded")
			}
			if test.remedy == "" {
				test.remedy = "correct the producer, or handle such events in the expression or with when"
			}
			want := fault.Error{Reason: contract.ReasonEventFailed, Message: test.message, Remedy: test.remedy, Permanent: true, EventID: "1795412031120-7", Err: f.Err}
			if diff := cmp.Diff(want, *f, cmp.Comparer(func(a, b error) bool { return true })); diff != "" {
				t.Errorf("fault (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFailureNamesItsRule(t *testing.T) {
	schema := schemaOf(t, everyType)
	r := compile(t, contract.FormatFields, schema, contract.Reducer{Key: "event.id", Rules: []contract.Rule{
		on("A", contract.Rule{Delete: true}), on("B", contract.Rule{Set: exprs{"text": "event.name"}})}})
	err := fold(r, entry("B", "id", "1"), projector.NewState(schema))
	if want := `EventFailed: event 1795412031120-7: rule 1 (B): set.text: the event has no field "name"`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestIntegerOverflowInAddFails(t *testing.T) {
	schema := schemaOf(t, everyType)
	r := compile(t, contract.FormatFields, schema, contract.Reducer{Key: "'k'", Rules: []contract.Rule{on("T", contract.Rule{Add: exprs{"count": "int(event.n)"}})}})
	for _, n := range []string{"9223372036854775807", "-9223372036854775808"} {
		s := projector.NewState(schema)
		if err := fold(r, entry("T", "n", n), s); err != nil {
			t.Fatal(err)
		}
		step := map[byte]string{'9': "1", '-': "-1"}[n[0]]
		if err := fold(r, entry("T", "n", step), s); err == nil || !strings.Contains(err.Error(), "integer overflow: "+n+" + "+step) {
			t.Errorf("%s + %s: %v", n, step, err)
		}
	}
}

// wide is an entry with n fields f0 …
func wide(n int) *projector.Event {
	e := entry("T")
	for i := range n {
		e.Fields = append(e.Fields, projector.Field{Name: fmt.Appendf(nil, "f%d", i), Value: []byte("v")})
	}
	return e
}

func TestLargeEventsFold(t *testing.T) {
	large := entry("T", "blob", strings.Repeat("é", 1<<19))
	for name, test := range map[string]struct {
		event *projector.Event
		set   exprs
		want  map[string]string
	}{
		"10,000 fields, each looked at":  {wide(10_000), exprs{"flag": "event.all(k, event[k] == 'v')", "count": "size(event)", "text": "event.f9999"}, exprs{"flag": "true", "count": "10000", "text": "v"}},
		"a value of 1 MiB, searched":     {large, exprs{"flag": "event.blob.contains('x')", "count": "size(event.blob)"}, exprs{"flag": "false", "count": "524288"}},
		"a value of 1 MiB, copied":       {large, exprs{"text": "event.blob"}, exprs{"text": strings.Repeat("é", 1<<19)}},
		"a value of 1 MiB, made to JSON": {large, exprs{"doc": "[event.blob]"}, exprs{"doc": `["` + strings.Repeat("é", 1<<19) + `"]`}},
	} {
		t.Run(name, func(t *testing.T) {
			schema := schemaOf(t, everyType)
			r := compile(t, contract.FormatFields, schema, contract.Reducer{Key: "'k'", Rules: []contract.Rule{on("T", contract.Rule{Set: test.set})}})
			s := projector.NewState(schema)
			if err := fold(r, test.event, s); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, render(s)); diff != "" {
				t.Errorf("entity (-want +got):\n%.300s", diff)
			}
		})
	}
}

func TestReduceIsSafeForConcurrentUse(t *testing.T) {
	schema := schemaOf(t, everyType)
	r := compile(t, contract.FormatFields, schema, contract.Reducer{Key: "event.id + ''", Rules: []contract.Rule{
		on("T", contract.Rule{When: "int(event.n) >= 0", Add: exprs{"count": "int(event.n) + 0"}, Set: exprs{"text": "event.map(k, event[k]).join(',')"}})}})
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			s, id := projector.NewState(schema), fmt.Sprint(worker)
			for n := range 200 {
				if err := fold(r, entry("T", "id", id, "n", fmt.Sprint(n)), s); err != nil {
					t.Error(err)
				}
			}
			if got := render(s); got["count"] != "19900" || got["text"] != id+",199" {
				t.Errorf("worker %d: %v", worker, got)
			}
		})
	}
	wg.Wait()
}
