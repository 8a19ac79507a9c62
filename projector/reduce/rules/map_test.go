package rules_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// An entry is shown to CEL without a Go map behind it, and must not differ.
func TestAnEntryIsAMapLikeAnyOther(t *testing.T) {
	for expression, want := range map[string]string{
		"event":            `{"a":"1","b":"2","type":"T"}`,
		"{'event': event}": `{"event":{"a":"1","b":"2","type":"T"}}`,
		"event == {'b': '2', 'a': '1', 'type': 'T'}": "true",
		"event == {'b': '2', 'a': '1'}":              "false",
		"{'b': '2', 'a': '1', 'type': 'T'} == event": "true",
		"event == event":                             "true",
		"'a' in event":                               "true",
		"event.b in event":                           "false",
		"event[type.replace('T', 'a')]":              `"1"`,
		"event[?'z'].orValue('none')":                `"none"`,
		"event.?z.hasValue()":                        "false",
		"has(event.a) && !has(event.z)":              "true",
		"type(event) == map":                         "true",
		"optional.ofNonZeroValue(event).hasValue()":  "true",
		"optional.ofNonZeroValue({}).hasValue()":     "false",
		"size(event)":                                "3",
		"dyn(event).a":                               `"1"`,
		"[event][0].a":                               `"1"`,
		"event.exists_one(k, k == 'a')":              "true",
		"event.filter(k, event[k] > '1')":            `["b","type"]`,
		"event.map(k, event.map(l, k + l))[0]":       `["aa","ab","atype"]`,
		"{'x': event.map(k, k)}.x":                   `["a","b","type"]`,
		"{2: 'b', 'z': 'c', true: 'd', 1u: 'e', 'y': 'f'}.map(k, string(k))": `["true","2","y","z","1"]`,
	} {
		t.Run(expression, func(t *testing.T) {
			schema := schemaOf(t, everyType)
			r := compile(t, contract.FormatFields, schema, contract.Reducer{Key: "'k'", Rules: []contract.Rule{on("T", contract.Rule{Set: exprs{"doc": expression}})}})
			s := projector.NewState(schema)
			if err := fold(r, entry("T", "a", "1", "b", "2", "type", "T"), s); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, s.Get("doc").Text()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTimesAfterTheYear9999Fail(t *testing.T) {
	schema := schemaOf(t, everyType)
	for _, expression := range []string{"time", "time + duration('1s')"} {
		r := compile(t, contract.FormatFields, schema, contract.Reducer{Key: "id", Rules: []contract.Rule{on("T", contract.Rule{Set: exprs{"at": expression}})}})
		for _, ms := range []uint64{253402300800000, 1 << 63, 1<<64 - 1} {
			e := entry("T")
			e.ID.Ms = ms
			if err := fold(r, e, projector.NewState(schema)); err == nil {
				t.Errorf("%s at %d was folded", expression, ms)
			}
		}
	}
}

func TestAStringOfTheStateThatIsNoUTF8Fails(t *testing.T) {
	schema := schemaOf(t, everyType)
	r := compile(t, contract.FormatFields, schema, contract.Reducer{Key: "'k'", Rules: []contract.Rule{
		on("T", contract.Rule{Set: exprs{"text": "event.a"}}), on("U", contract.Rule{Set: exprs{"count": "size(state.text)"}})}})
	s := projector.NewState(schema)
	if err := fold(r, entry("T", "a", "\xff"), s); err != nil {
		t.Fatal(err)
	}
	if err := fold(r, entry("U"), s); err == nil {
		t.Errorf("has the size %s", s.Get("count").Text())
	}
}
