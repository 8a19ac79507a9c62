package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/reduce/builtin"
	"github.com/refold-dev/refold/projector/stream"
)

// BenchmarkFold folds events of four types into 10,000 entities that are all in
// memory, by simple rules: an operation is an event. Nothing is read or written.
func BenchmarkFold(b *testing.B) {
	source := contract.Source{Format: contract.FormatFields, TypeField: "type"}
	fields := []contract.Field{{Name: "id", Type: contract.TypeString}, {Name: "name", Type: contract.TypeString},
		{Name: "email", Type: contract.TypeString}, {Name: "orders", Type: contract.TypeInteger}, {Name: "spent", Type: contract.TypeInteger}}
	schema, err := projector.NewSchema(fields)
	if err != nil {
		b.Fatal(err)
	}
	reducer, err := builtin.Registry().New(projector.Config{Format: source.Format, Schema: schema, Reducer: contract.Reducer{
		Type: "Rules", Key: "event.id", Rules: []contract.Rule{
			{On: []string{"UserCreated"}, Set: map[string]string{"id": "event.id", "name": "event.name", "email": "event.email"}},
			{On: []string{"EmailUpdated"}, Set: map[string]string{"email": "event.email"}},
			{On: []string{"OrderPlaced"}, Add: map[string]string{"orders": "1", "spent": "int(event.cents)"}},
			{On: []string{"UserDeleted"}, Delete: true},
		}}})
	if err != nil {
		b.Fatal(err)
	}
	f := newFold(stream.NewDecoder(source), reducer, schema, 1<<30)
	f.forget(true)
	f.start(readmodel.Checkpoint{}, tally{})
	events := benchEvents(50_000)
	nothing := func(context.Context, []string, []*projector.State) error { return nil }
	foldThem := func(n int) {
		for n > 0 {
			for rest := events[:min(n, len(events))]; len(rest) > 0; {
				done, err := f.some(b.Context(), rest, nothing)
				if err != nil {
					b.Fatal(err)
				}
				rest, n = rest[done:], n-done
			}
		}
	}
	foldThem(4 * len(events)) // the steady state
	b.ReportAllocs()
	b.ResetTimer()
	foldThem(b.N)
}

func benchEvents(n int) []projector.Event {
	random := rand.New(rand.NewPCG(1, 2))
	events := make([]projector.Event, n)
	for i := range events {
		id, number := fmt.Sprint(random.IntN(10_000)), fmt.Sprint(random.IntN(100_000))
		switch random.IntN(4) {
		case 0:
			events[i] = event(uint64(i), "", "type", "UserCreated", "id", id, "name", "User "+id, "email", "u"+number+"@example.com")
		case 1:
			events[i] = event(uint64(i), "", "type", "UserDeleted", "id", id)
		case 2:
			events[i] = event(uint64(i), "", "type", "EmailUpdated", "id", id, "email", "user"+number+"@mail.example.com")
		case 3:
			events[i] = event(uint64(i), "", "type", "OrderPlaced", "id", id, "cents", number)
		}
	}
	return events
}
