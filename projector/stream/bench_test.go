package stream

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/refold-dev/refold/projector"
)

// BenchmarkDecode is what the bytes of an event cost once they are in memory:
// nothing is read from a socket but by a copy, which is measured by itself.
//
//	go test ./projector/stream -run '^$' -bench Decode
func BenchmarkDecode(b *testing.B) {
	const events = 5000
	for name, perMs := range map[string]int{"one a millisecond": 1, "twenty a millisecond": 20} {
		reply := benchReply(events, perMs)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			batch := NewReader(nil, testSource, "g").newBatch(projector.ID{})
			batch.buf = reply
			for range b.N {
				batch.pos, batch.Last, batch.Events, batch.fields = 0, projector.ID{}, batch.Events[:0], batch.fields[:0]
				if err := (&wire{}).entries(batch, "s", events, math.MaxInt); err != nil || batch.Last.Ms != uint64(1795412031120+(events-1)/perMs) {
					b.Fatal(batch.Last, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
		})
	}
}

// benchReply is a reply as the server would send it: small events of four
// types, so many a millisecond.
func benchReply(events, perMs int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var reply bytes.Buffer
	fmt.Fprintf(&reply, "%s*%d\r\n", opening, events)
	for i := range events {
		id, number := fmt.Sprint(random.IntN(100_000)), fmt.Sprint(random.IntN(100_000))
		values := [][]string{
			{"type", "UserCreated", "id", id, "name", "User " + id, "email", "u" + number + "@example.com"},
			{"type", "EmailUpdated", "id", id, "email", "user" + number + "@mail.example.com"},
			{"type", "AddressUpdated", "id", id, "city", "Street " + number + ", Zürich"},
			{"type", "OrderPlaced", "id", id, "order", number, "cents", number},
		}[random.IntN(4)]
		at := fmt.Sprintf("%d-%d", 1795412031120+i/perMs, i%perMs)
		fmt.Fprintf(&reply, "*2\r\n$%d\r\n%s\r\n*%d\r\n", len(at), at, len(values))
		for _, v := range values {
			fmt.Fprintf(&reply, "$%d\r\n%s\r\n", len(v), v)
		}
	}
	return reply.Bytes()
}
