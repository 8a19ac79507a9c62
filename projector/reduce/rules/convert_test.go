package rules_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// document is an event of the format JSON.
func document(t testing.TB, text string) *projector.Event {
	t.Helper()
	e := entry("T")
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&e.Document); err != nil {
		t.Fatal(err)
	}
	return e
}

// The table of docs/rules.md, row by row: a want that begins with ! is part of
// the error. The document's members come from JSON, the rest from CEL.
func TestConversions(t *testing.T) {
	const doc = `{"s": "x", "i": 9007199254740993, "neg": -0, "u": 18446744073709551615, "big": 18446744073709551616, "d": 1.50,
		"huge": 1e400, "b": true, "n": null, "l": [1.10, {"b": 1, "a": 100000000000000000000}], "o": {"z": 1, "a": "<é>"}}`
	for name, test := range map[string]struct{ field, expression, want string }{
		"String from a string":            {"text", "event.s", "x"},
		"String from an int":              {"text", "event.i", "9007199254740993"},
		"String from a uint":              {"text", "event.u", "18446744073709551615"},
		"String from a double":            {"text", "event.d", "1.5"},
		"String from a large double":      {"text", "1e21", "1e+21"},
		"String from a bool":              {"text", "event.b", "true"},
		"String from a timestamp":         {"text", "timestamp('2026-11-23T01:00:00.5+01:00')", "2026-11-23T00:00:00.5Z"},
		"String from bytes":               {"text", `b'\xff\x00'`, "\xff\x00"},
		"String from a list":              {"text", "event.l", "!list cannot become String"},
		"String from a map":               {"text", "event.o", "!map cannot become String"},
		"Integer from an int":             {"count", "event.i", "9007199254740993"},
		"Integer from minus zero":         {"count", "event.neg", "0"},
		"Integer from a uint":             {"count", "7u", "7"},
		"Integer from too large a uint":   {"count", "event.u", "!18446744073709551615 is not of type Integer"},
		"Integer from a string":           {"count", "'-042'", "-42"},
		"Integer from text":               {"count", "event.s", `!"x" is not of type Integer`},
		"Integer from a whole double":     {"count", "event.d * 2.0", "3"},
		"Integer from 2^63 as a double":   {"count", "event.d / 1.5 * 9223372036854775808.0", "!9.223372036854776e+18 is not of type Integer"},
		"Integer from a fraction":         {"count", "event.d", "!1.5 is not of type Integer"},
		"Integer from a bool":             {"count", "event.b", "!true is not of type Integer"},
		"Integer from a number too large": {"count", "event.big", "!the number 18446744073709551616 is too large to be held exactly; write it as a string"},
		"Number from an int":              {"ratio", "event.i", "9.007199254740992e+15"},
		"Number from a double":            {"ratio", "event.d", "1.5"},
		"Number from a string":            {"ratio", "'-1.5e3'", "-1500"},
		"Number from a hexadecimal":       {"ratio", "dyn('0x1p4')", `!"0x1p4" is not of type Number`},
		"Number from NaN":                 {"ratio", "dyn('NaN')", `!"NaN" is not of type Number`},
		"Number from infinity":            {"ratio", "1.0 / 0.0", "!+Inf is not a number that a read model can hold"},
		"Number from a number too large":  {"ratio", "event.huge", "!the number 1e400 is too large to be held exactly; write it as a string"},
		"Boolean from a bool":             {"flag", "event.b", "true"},
		"Boolean from a string":           {"flag", "'false'", "false"},
		"Boolean from other text":         {"flag", "dyn('TRUE')", `!"TRUE" is not of type Boolean`},
		"Boolean from a number":           {"flag", "event.i", "!9007199254740993 is not of type Boolean"},
		"Timestamp from a timestamp":      {"at", "time", "2026-11-23T05:33:51.12Z"},
		"Timestamp from a string":         {"at", "'2026-11-23T01:00:00+01:00'", "2026-11-23T00:00:00Z"},
		"Timestamp from a date alone":     {"at", "dyn('2026-11-23')", `!"2026-11-23" is not of type Timestamp`},
		"Timestamp from a comma":          {"at", "dyn('2026-11-23T00:00:00,5Z')", `!"2026-11-23T00:00:00,5Z" is not of type Timestamp`},
		"Timestamp from a short hour":     {"at", "dyn('2026-11-23T1:00:00Z')", `!"2026-11-23T1:00:00Z" is not of type Timestamp`},
		"Timestamp from a long offset":    {"at", "dyn('2026-11-23T01:00:00+24:00')", `!"2026-11-23T01:00:00+24:00" is not of type Timestamp`},
		"Timestamp from the year 0":       {"at", "dyn('0000-11-23T00:00:00Z')", "!the year 0 is out of range: 1 to 9999"},
		"Timestamp from a number":         {"at", "event.i", "!9007199254740993 is not of type Timestamp"},
		"JSON from a string":              {"doc", "event.s", `"x"`},
		"JSON from an int":                {"doc", "event.i", "9007199254740993"},
		"JSON from a uint":                {"doc", "event.u", "18446744073709551615"},
		"JSON from a double":              {"doc", "event.d", "1.5"},
		"JSON from a bool":                {"doc", "event.b", "true"},
		"JSON from a part of a document":  {"doc", "event.l", `[1.10,{"a":100000000000000000000,"b":1}]`},
		"JSON from an object":             {"doc", "event.o", `{"a":"<é>","z":1}`},
		"JSON from a list of parts":       {"doc", "[event.o, event.l]", `[{"a":"<é>","z":1},[1.10,{"a":100000000000000000000,"b":1}]]`},
		"JSON from a list":                {"doc", "[dyn(1), 'a', 1.5, null, true]", `[1,"a",1.5,null,true]`},
		"JSON from a map":                 {"doc", "{'b': 1, 'a': 2}", `{"a":2,"b":1}`},
		"JSON from a map by int":          {"doc", "{2: 'b', 1: 'a'}", `{"1":"a","2":"b"}`},
		"JSON from a map by double":       {"doc", "{dyn(1.5): 'b'}", "!a map with a key of type double cannot become JSON"},
		"JSON from bytes":                 {"doc", `b'\xff'`, `"/w=="`},
		"JSON from a timestamp":           {"doc", "time", `"2026-11-23T05:33:51.12Z"`},
		"JSON from a duration":            {"doc", "duration('90s')", `"1m30s"`},
		"JSON from infinity":              {"doc", "[1.0 / 0.0]", "!+Inf cannot become JSON"},
		"JSON from a type":                {"doc", "dyn(string)", "!type cannot become JSON"},
		"JSON from an absent optional":    {"doc", "[event.?none]", "!an absent optional inside a list or a map cannot become JSON"},
		"JSON from a present optional":    {"doc", "{'s': event.?s}", `{"s":"x"}`},
		"null unsets":                     {"text", "event.n", ""},
		"null unsets JSON":                {"doc", "event.n", ""},
		"an optional with null unsets":    {"text", "event.?n", ""},
		"optionals are unwrapped":         {"text", "event.?o.?a", "<é>"},
	} {
		t.Run(name, func(t *testing.T) {
			schema := schemaOf(t, everyType)
			r := compile(t, contract.FormatJSON, schema, contract.Reducer{Key: "'k'", Rules: []contract.Rule{on("T", contract.Rule{Set: exprs{test.field: test.expression}})}})
			s := projector.NewState(schema)
			got := ""
			if err := fold(r, document(t, doc), s); err != nil {
				_, words, _ := strings.Cut(err.Error(), "set."+test.field+": ")
				got = "!" + words
			} else {
				got = s.Get(test.field).Text()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDocumentKeys(t *testing.T) {
	for name, test := range map[string]struct{ key, doc, want string }{
		"a number":                   {"event.id", `{"id": 42}`, "42"},
		"a nested string":            {"event.user.id", `{"user": {"id": "u-1"}}`, "u-1"},
		"a list":                     {"event.items.map(i, i.sku)", `{"items": [{"sku": "a"}, {"sku": 7}]}`, "a 7"},
		"null":                       {"event.id", `{"id": null}`, "!the event has no key"},
		"a bool":                     {"event.id", `{"id": true}`, "!a non-string key: bool is neither a string nor an int nor a list of these"},
		"a fraction":                 {"event.id", `{"id": 4.0}`, "!a non-string key: double is neither a string nor an int nor a list of these"},
		"a missing member":           {"event.user.id", `{"user": {}}`, `!the event has no field "user.id"`},
		"a missing parent":           {"event.user.id", `{}`, `!the event has no field "user"`},
		"a parent that is no object": {"event.user.id", `{"user": 1}`, `!the event has no field "user.id"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := compile(t, contract.FormatJSON, schemaOf(t, everyType), contract.Reducer{Key: test.key, Rules: []contract.Rule{on("T", contract.Rule{Delete: true})}})
			keys, err := r.Keys(document(t, test.doc), nil)
			got := strings.Join(keys, " ")
			if err != nil {
				words := err.Error()
				if _, after, found := strings.Cut(words, "key: "); found {
					words = after
				}
				got = "!" + words
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
