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

// BenchmarkFold folds events of four types into 100,000 entities that are all in
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
	events := benchEvents(100_000)
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

// benchEvents are in one piece of memory, as those of a batch.
func benchEvents(n int) []projector.Event {
	random := rand.New(rand.NewPCG(1, 2))
	events, buf := make([]projector.Event, n), make([]byte, 0, 200*n)
	view := func(s string) []byte {
		begin := len(buf)
		buf = append(buf, s...)
		return buf[begin:]
	}
	fields := make([]projector.Field, 0, 4*n)
	for i := range events {
		id, number := fmt.Sprint(random.IntN(100_000)), fmt.Sprint(random.IntN(100_000))
		words := [][]string{
			{"type", "UserCreated", "id", id, "name", "User " + id, "email", "u" + number + "@example.com"},
			{"type", "UserDeleted", "id", id},
			{"type", "EmailUpdated", "id", id, "email", "user" + number + "@mail.example.com"},
			{"type", "OrderPlaced", "id", id, "cents", number},
		}[random.IntN(4)]
		begin := len(fields)
		for j := 0; j < len(words); j += 2 {
			fields = append(fields, projector.Field{Name: view(words[j]), Value: view(words[j+1])})
		}
		events[i] = projector.Event{ID: projector.ID{Ms: uint64(i)}, Fields: fields[begin:len(fields):len(fields)]}
	}
	return events
}
