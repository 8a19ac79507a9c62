package rules_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/reduce/rules"
)

// FuzzRules: whatever stands in a manifest, it compiles or says what is wrong;
// whatever an event holds, it is folded, twice alike, or is a fault that a
// status can hold.
func FuzzRules(f *testing.F) {
	for _, seed := range []string{"event.a", "int(event.a)", "event.?a.orValue('x')", "event.map(k, event[k]).join(',')", "{'b': 1, 'a': event.a}",
		"state.?count.orValue(0) + 1", "time + duration('1h')", "event.a.matches('a+')", "optional.none()", "null", "b'\\xff'", "1.0/0.0",
		"event.a.split('').map(c, event.a + c).join('')", "'%s'.format([event])", "[event.a, event.b]", "1u", "event", "type(event)", "dyn(state)"} {
		f.Add(seed, "text", "1")
		f.Add(seed, "doc", "\xff\x00")
	}
	f.Fuzz(func(t *testing.T, expression, field, value string) {
		schema := schemaOf(t, everyType)
		r, err := rules.New(projector.Config{Format: contract.FormatFields, Schema: schema, Reducer: contract.Reducer{
			Key: expression, Rules: []contract.Rule{on("T", contract.Rule{Set: exprs{field: expression}})}}})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "reducer.") {
				t.Errorf("the message does not begin with the place: %v", err)
			}
			return
		}
		e := entry("T", "a", value, "b", expression)
		first, second := projector.NewState(schema), projector.NewState(schema)
		err = errors.Join(fold(r, e, first), r.Reduce(e, "k", first))
		again := errors.Join(fold(r, e, second), r.Reduce(e, "k", second))
		if (err == nil) != (again == nil) || err == nil && first.Get(field) != second.Get(field) {
			t.Errorf("folded to %q, then to %q (%v, %v)", first.Get(field).Text(), second.Get(field).Text(), err, again)
		}
		if f := fault.As(err); f != nil && (f.Remedy == "" || f.EventID == "" || len(f.Message) > 600 || strings.Contains(f.Message, "\x00") || !utf8.ValidString(f.Message)) {
			t.Errorf("a fault that a status cannot hold: %+v", f)
		}
	})
}
