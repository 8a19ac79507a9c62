package rules_test

import (
	"testing"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// One event, from its fields to the changed state: keys and reduce.
func BenchmarkFold(b *testing.B) {
	created := entry("UserCreated", "id", "42", "name", "Ada Lovelace")
	email := entry("EmailUpdated", "id", "42", "email", "ada@example.org")
	order := entry("OrderPlaced", "id", "42", "cents", "1250")
	for name, bench := range map[string]struct {
		reducer contract.Reducer
		event   *projector.Event
	}{
		"copy one field":        {userProfile, email},
		"copy three fields":     {userProfile, created},
		"add under a condition": {userProfile, order},
		"add without one": {contract.Reducer{Key: "event.id", Rules: []contract.Rule{
			on("OrderPlaced", contract.Rule{Add: exprs{"orders": "1", "spent_cents": "int(event.cents)"}})}}, order},
		"interpreter, one expression": {contract.Reducer{Key: "event.id", Rules: []contract.Rule{
			on("EmailUpdated", contract.Rule{Set: exprs{"email": "event.email.lowerAscii()"}})}}, email},
	} {
		b.Run(name, func(b *testing.B) {
			schema := schemaOf(b, userFields)
			r := compile(b, contract.FormatFields, schema, bench.reducer)
			s := projector.NewState(schema)
			keys := make([]string, 0, 4)
			b.ReportAllocs()
			for b.Loop() {
				keys, err := r.Keys(bench.event, keys[:0])
				if err != nil {
					b.Fatal(err)
				}
				if err := r.Reduce(bench.event, keys[0], s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDocument(b *testing.B) {
	schema := schemaOf(b, userFields)
	r := compile(b, contract.FormatJSON, schema, contract.Reducer{Key: "event.user.id", Rules: []contract.Rule{
		on("T", contract.Rule{Set: exprs{"email": "event.user.email"}})}})
	e := document(b, `{"user": {"id": "42", "email": "ada@example.org"}}`)
	s := projector.NewState(schema)
	b.ReportAllocs()
	for b.Loop() {
		if err := fold(r, e, s); err != nil {
			b.Fatal(err)
		}
	}
}
