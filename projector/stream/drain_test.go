package stream_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/redisconn"
	"github.com/refold-dev/refold/projector/stream"
)

const (
	benchEvents = 1_000_000
	benchCount  = 8192
)

// fill adds small events, about 90 bytes of four fields; their IDs are 1-0, 2-0, ….
func (s *server) fill(b testing.TB, n int) {
	pipe := s.redis.Pipeline()
	for i := 1; i <= n; i++ {
		pipe.XAdd(b.Context(), &redis.XAddArgs{Stream: key, ID: fmt.Sprintf("%d-0", i), Values: []any{"type", "EmailUpdated",
			"id", i % 100_000, "email", fmt.Sprintf("user%d@example.com", i), "at", 1795412031120 + i}})
		if i%5000 == 0 {
			if _, err := pipe.Exec(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkDrain compares Read with what the server can hand out at all:
//
//	go test ./projector/stream -run '^$' -bench Drain -benchtime 5x
func BenchmarkDrain(b *testing.B) {
	s := start(b)
	s.fill(b, benchEvents)
	for name, drain := range map[string]func(*testing.B){
		"XRANGE on a bare socket, bytes dropped": s.bareDrain,
		"XRANGE by DoRaw of go-redis":            s.clientDrain,
		"Read":                                   s.readDrain,
	} {
		b.Run(name, func(b *testing.B) {
			began := time.Now()
			for range b.N {
				drain(b)
			}
			b.ReportMetric(benchEvents*float64(b.N)/time.Since(began).Seconds()/1e6, "Mevents/s")
		})
	}
}

func (s *server) readDrain(b *testing.B) {
	b.ReportAllocs()
	r := s.reader(b, "0")
	after, entries := projector.ID{}, int64(0)
	for {
		got, err := r.Read(b.Context(), after, entries, stream.Limit{Events: benchCount}, 0)
		if err != nil {
			b.Fatal(err)
		}
		after, entries = got.Last, got.Entries
		end := len(got.Events) == 0
		got.Release()
		if end {
			break
		}
	}
	if entries != benchEvents {
		b.Fatalf("%d entries", entries)
	}
}

func (s *server) clientDrain(b *testing.B) {
	for from := 1; from <= benchEvents; from += benchCount {
		if err := s.redis.DoRaw(b.Context(), "XRANGE", key, fmt.Sprint(from), "+", "COUNT", benchCount).Err(); err != nil {
			b.Fatal(err)
		}
	}
}

// bareDrain looks at no byte but those that end a reply: it knows the IDs.
func (s *server) bareDrain(b *testing.B) {
	client, err := redisconn.New(redisconn.Source, contract.Redis{URL: "redis://" + s.Addr()})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	cn, err := redisconn.Dial(b.Context(), client)
	if err != nil {
		b.Fatal(err)
	}
	defer cn.Close()
	buf := make([]byte, 1<<20)
	for from := 1; from <= benchEvents; from += benchCount {
		request := redisconn.AppendCommand(nil, "XRANGE", key, fmt.Sprint(from), "+", "COUNT", fmt.Sprint(benchCount))
		if _, err := cn.Write(redisconn.AppendCommand(request, "PING")); err != nil {
			b.Fatal(err)
		}
		for n := 0; !bytes.HasSuffix(buf[:n], []byte("+PONG\r\n")); {
			if n, err = cn.Read(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
}
