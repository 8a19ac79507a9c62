package rules_test

import (
	"fmt"
	"testing"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// benchUsers is the fold of hack/bench.
var benchUsers = contract.Reducer{Key: "event.id", Rules: []contract.Rule{
	on("UserCreated", contract.Rule{Set: exprs{"id": "event.id", "name": "event.name", "email": "event.email"}}),
	on("EmailUpdated", contract.Rule{Set: exprs{"email": "event.email"}}),
	on("AddressUpdated", contract.Rule{Set: exprs{"city": "event.city"}}),
	on("OrderPlaced", contract.Rule{Add: exprs{"orders": "1", "spent": "int(event.cents)"}}),
}}

var benchFields = []contract.Field{
	{Name: "id", Type: contract.TypeString}, {Name: "name", Type: contract.TypeString}, {Name: "email", Type: contract.TypeString},
	{Name: "city", Type: contract.TypeString}, {Name: "orders", Type: contract.TypeInteger}, {Name: "spent", Type: contract.TypeInteger},
}

// benchEvents are n events of one type as hack/bench writes them.
func benchEvents(typ string, n int) []*projector.Event {
	events := make([]*projector.Event, n)
	for i := range events {
		number := fmt.Sprint(10_000 + i*977%90_000)
		fields := map[string][]string{
			"UserCreated":    {"name", "User " + number, "email", "u" + number + "@example.com"},
			"EmailUpdated":   {"email", "user" + number + "@mail.example.com"},
			"AddressUpdated": {"city", "Street " + number + ", Zürich"},
			"OrderPlaced":    {"order", number, "cents", number},
		}[typ]
		events[i] = entry(typ, append([]string{"id", fmt.Sprint(i % 8)}, fields...)...)
	}
	return events
}

var benchTypes = []string{"UserCreated", "EmailUpdated", "AddressUpdated", "OrderPlaced"}

func BenchmarkKeys(b *testing.B) {
	for name, key := range map[string]string{"field": "event.id", "literal": "'all'", "prefix and field": "'user:' + event.id", "type": "type"} {
		b.Run(name, func(b *testing.B) {
			reducer := benchUsers
			reducer.Key = key
			r := compile(b, contract.FormatFields, schemaOf(b, benchFields), reducer)
			var events []*projector.Event
			for _, typ := range benchTypes {
				events = append(events, benchEvents(typ, 1)...)
			}
			keys, err := make([]string, 0, 4), error(nil)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if keys, err = r.Keys(events[i%len(events)], keys[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// One event of the replay of hack/bench, from the saved state to the settled one.
func BenchmarkFold(b *testing.B) {
	for _, typ := range benchTypes {
		b.Run(typ, func(b *testing.B) { benchmarkReduce(b, benchFields, benchUsers, benchEvents(typ, 64)) })
	}
	b.Run("all four", func(b *testing.B) {
		var events []*projector.Event
		for i := range 64 {
			events = append(events, benchEvents(benchTypes[i*7%4], 64)[i])
		}
		benchmarkReduce(b, benchFields, benchUsers, events)
	})
}

// The parts of a manifest, one by one.
func BenchmarkRule(b *testing.B) {
	text, other := entry("T", "a", "ada@example.org", "kind", "book"), entry("T", "a", "grace@example.org", "kind", "book")
	at := []*projector.Event{entry("T", "a", "2026-11-23T05:33:51.12Z"), entry("T", "a", "2026-11-23T05:33:52Z")}
	for name, bench := range map[string]struct {
		rule   contract.Rule
		events []*projector.Event
	}{
		"the same text again":          {contract.Rule{Set: exprs{"text": "event.a"}}, []*projector.Event{text}},
		"text":                         {contract.Rule{Set: exprs{"text": "event.a"}}, []*projector.Event{text, other}},
		"an optional":                  {contract.Rule{Set: exprs{"text": "event.?a"}}, []*projector.Event{text, other}},
		"Integer":                      {contract.Rule{Set: exprs{"count": "event.a"}}, []*projector.Event{entry("T", "a", "1250"), entry("T", "a", "7")}},
		"Number":                       {contract.Rule{Set: exprs{"ratio": "event.a"}}, []*projector.Event{entry("T", "a", "12.5"), entry("T", "a", "7")}},
		"Boolean":                      {contract.Rule{Set: exprs{"flag": "event.a"}}, []*projector.Event{entry("T", "a", "true"), entry("T", "a", "false")}},
		"Timestamp":                    {contract.Rule{Set: exprs{"at": "event.a"}}, at},
		"the event's time":             {contract.Rule{Set: exprs{"at": "time"}}, at},
		"the key":                      {contract.Rule{Set: exprs{"text": "key"}}, at},
		"an Integer under a condition": {contract.Rule{When: "int(event.a) > 0", Add: exprs{"count": "int(event.a)"}}, []*projector.Event{entry("T", "a", "1250")}},
		"text under a condition":       {contract.Rule{When: "event.kind == 'book'", Set: exprs{"text": "event.a"}}, []*projector.Event{text, other}},
		"the interpreter":              {contract.Rule{Set: exprs{"text": "event.a.lowerAscii()"}}, []*projector.Event{text, other}},
	} {
		b.Run(name, func(b *testing.B) {
			benchmarkReduce(b, everyType, contract.Reducer{Key: "'k'", Rules: []contract.Rule{on("T", bench.rule)}}, bench.events)
		})
	}
}

// benchmarkReduce does with each event what an engine does, in the steady state.
func benchmarkReduce(b *testing.B, fields []contract.Field, reducer contract.Reducer, events []*projector.Event) {
	schema := schemaOf(b, fields)
	r := compile(b, contract.FormatFields, schema, reducer)
	states := make([]*projector.State, 8)
	for i := range states {
		states[i] = projector.NewState(schema)
	}
	var saved projector.Saved
	var scratch []byte
	fold := func(i int) {
		s := states[i%len(states)]
		s.Save(&saved)
		if err := r.Reduce(events[i%len(events)], "42", s); err != nil {
			b.Fatal(err)
		}
		scratch = s.Settle(scratch)
	}
	for i := range 1000 {
		fold(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		fold(i)
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
