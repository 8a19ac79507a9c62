package stream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/stream"
)

const benchEvents = 1_000_000

// fill adds small events, about 90 bytes of four fields.
func (s *server) fill(b testing.TB, n int) {
	pipe := s.redis.Pipeline()
	for i := range n {
		pipe.XAdd(b.Context(), &redis.XAddArgs{Stream: key, Values: []any{"type", "EmailUpdated",
			"id", i % 100_000, "email", fmt.Sprintf("user%d@example.com", i), "at", 1795412031120 + i}})
		if i%5000 == 4999 {
			if _, err := pipe.Exec(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkDrain compares Read with a plain XRANGE whose bytes are dropped:
//
//	go test ./projector/stream -run '^$' -bench Drain -benchtime 5x
func BenchmarkDrain(b *testing.B) {
	s := start(b)
	s.fill(b, benchEvents)
	b.Run("XRANGE", func(b *testing.B) {
		began := time.Now()
		for range b.N {
			s.plainDrain(b)
		}
		b.ReportMetric(benchEvents*float64(b.N)/time.Since(began).Seconds()/1e6, "Mevents/s")
	})
	b.Run("Read", func(b *testing.B) {
		began := time.Now()
		for range b.N {
			s.readDrain(b)
		}
		b.ReportMetric(benchEvents*float64(b.N)/time.Since(began).Seconds()/1e6, "Mevents/s")
	})
}

func (s *server) readDrain(b *testing.B) {
	b.ReportAllocs()
	r := s.reader(b, "0")
	after, entries := projector.ID{}, int64(0)
	for {
		got, err := r.Read(b.Context(), after, entries, stream.Limit{}, 0)
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

// plainDrain looks at each reply only for the last ID in it.
func (s *server) plainDrain(b *testing.B) {
	from := "-"
	for n := 0; n < benchEvents; n += 8192 {
		raw, err := s.redis.DoRaw(b.Context(), "XRANGE", key, from, "+", "COUNT", 8192).Result()
		if err != nil {
			b.Fatal(err)
		}
		from = "(" + lastID(raw)
	}
}

// lastID finds the ID in the last entry of a reply of fill's entries.
func lastID(raw []byte) string {
	for i := len(raw) - 1; i > 0; i-- {
		if raw[i] == '*' && raw[i+1] == '8' && raw[i-1] == '\n' {
			end := i - 2
			for i = end; raw[i-1] != '\n'; i-- {
			}
			return string(raw[i:end])
		}
	}
	return ""
}
