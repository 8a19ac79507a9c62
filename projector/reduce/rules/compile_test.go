package rules_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/reduce/rules"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What the compiler says is part of the product: it stands in a Projection's
// Stalled condition. Each case is a reducer; the golden file holds the words.
func TestCompileErrors(t *testing.T) {
	one := func(r contract.Rule) contract.Reducer {
		return contract.Reducer{Key: "event.id", Rules: []contract.Rule{on("T", r)}}
	}
	set := func(field, expression string) contract.Reducer {
		return one(contract.Rule{Set: exprs{field: expression}})
	}
	cases := []struct {
		name    string
		reducer contract.Reducer
	}{
		{"no rule at all", contract.Reducer{Key: "event.id"}},
		{"an empty key", contract.Reducer{Key: " ", Rules: []contract.Rule{on("T", contract.Rule{Delete: true})}}},
		{"a key that is a bool", contract.Reducer{Key: "event.id == '1'", Rules: []contract.Rule{on("T", contract.Rule{Delete: true})}}},
		{"a key that is a list of doubles", contract.Reducer{Key: "[1.5]", Rules: []contract.Rule{on("T", contract.Rule{Delete: true})}}},
		{"a key from the state", contract.Reducer{Key: "state.text", Rules: []contract.Rule{on("T", contract.Rule{Delete: true})}}},
		{"a rule for no type", contract.Reducer{Key: "event.id", Rules: []contract.Rule{{Delete: true}}}},
		{"a misspelt variable", set("text", "evnt.email")},
		{"a misspelt field of the state", set("text", "string(state.cuont)")},
		{"a misspelt field to set", set("txet", "event.email")},
		{"a misspelt field to unset", one(contract.Rule{Unset: []string{"txet"}})},
		{"a syntax error", set("text", "event.email +")},
		{"an error in the second line", set("text", "event.a +\n  evnt.b")},
		{"a function that is not there", set("text", "event.email.reverze()")},
		{"a string compared with an int", one(contract.Rule{When: "event.cents > 0", Delete: true})},
		{"a condition that is a string", one(contract.Rule{When: "event.ok", Delete: true})},
		{"a bool into an Integer", set("count", "event.a == event.b")},
		{"a list into a String", set("text", "event.tags.split(',')")},
		{"a timestamp into an Integer", set("count", "time")},
		{"a string literal that is no Integer", set("count", "'abc'")},
		{"a bool literal into a Number", set("ratio", "true")},
		{"a string literal that is no time", set("at", "'yesterday'")},
		{"adding to a String", one(contract.Rule{Add: exprs{"text": "1"}})},
		{"adding null", one(contract.Rule{Add: exprs{"count": "null"}})},
		{"setting and adding at once", one(contract.Rule{Set: exprs{"count": "0"}, Add: exprs{"count": "1"}, Unset: []string{"count"}})},
		{"deleting and setting at once", one(contract.Rule{Set: exprs{"count": "0"}, Delete: true})},
		{"a regular expression that does not parse", one(contract.Rule{When: "event.a.matches('(')", Delete: true})},
		{"a state that is built", set("text", "state{}")},
		{"the clock", set("at", "now()")},
		{"an expression that is too long", set("text", "'"+strings.Repeat("x", rules.MaxExpression)+"'")},
		{"an expression that is nested too deeply", set("text", strings.Repeat("(", 2*rules.MaxNesting)+"type"+strings.Repeat(")", 2*rules.MaxNesting))},
		{"several errors at once", contract.Reducer{Key: "evnt.id", Rules: []contract.Rule{
			on("A", contract.Rule{When: "event.n > 1", Set: exprs{"text": "evnt.a", "flag": "event.b"}}),
			on("B", contract.Rule{Add: exprs{"count": "foo"}}),
		}}},
	}
	var got strings.Builder
	for _, c := range cases {
		_, err := rules.New(projector.Config{Reducer: c.reducer, Format: contract.FormatFields, Schema: schemaOf(t, everyType)})
		if err == nil {
			t.Errorf("%s: compiles", c.name)
		}
		fmt.Fprintf(&got, "# %s\n%v\n\n", c.name, err)
	}
	golden(t, "compile_errors.golden", got.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), -update writes it anew:\n%s", name, diff)
	}
}
