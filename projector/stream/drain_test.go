package stream_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"syscall"
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

// fill adds small events, about 90 bytes of three or four fields, twenty a
// millisecond.
func (s *server) fill(b testing.TB, n int) {
	random := rand.New(rand.NewPCG(1, 2))
	pipe := s.redis.Pipeline()
	for i := 1; i <= n; i++ {
		id, number := random.IntN(100_000), random.IntN(100_000)
		values := [][]any{
			{"type", "UserCreated", "id", id, "name", fmt.Sprint("User ", id), "email", fmt.Sprintf("u%d@example.com", number)},
			{"type", "EmailUpdated", "id", id, "email", fmt.Sprintf("user%d@mail.example.com", number)},
			{"type", "AddressUpdated", "id", id, "city", fmt.Sprintf("Street %d, Zürich", number)},
			{"type", "OrderPlaced", "id", id, "order", number, "cents", number},
		}[random.IntN(4)]
		pipe.XAdd(b.Context(), &redis.XAddArgs{Stream: key, ID: benchID(i).String(), Values: values})
		if i%5000 == 0 {
			if _, err := pipe.Exec(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func benchID(i int) projector.ID {
	return projector.ID{Ms: uint64(1795412031120 + i/20), Seq: uint64(i % 20)}
}

// BenchmarkRead measures what reading costs the projector, the kernel's copy
// included, and whether the server ever waits for it:
//
//	go test ./projector/stream -run '^$' -bench Read -benchtime 5x
func BenchmarkRead(b *testing.B) {
	s := start(b)
	s.fill(b, benchEvents)
	for _, count := range []int{1000, 2000, 5000, 10_000, 20_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			s.measure(b, func(b *testing.B) { s.readDrain(b, count) })
		})
	}
}

func (s *server) measure(b *testing.B, drain func(*testing.B)) {
	b.ReportAllocs()
	ours, servers, began := cpu(b), s.cpu(b), time.Now()
	for range b.N {
		drain(b)
	}
	took, events := time.Since(began), benchEvents*float64(b.N)
	b.ReportMetric(float64(cpu(b)-ours)/events, "cpu-ns/event")
	b.ReportMetric(float64(s.cpu(b)-servers)/float64(took), "server-busy")
	b.ReportMetric(events/took.Seconds()/1e6, "Mevents/s")
}

// cpu is what this process has used so far.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// cpu is what the server has used so far.
func (s *server) cpu(b *testing.B) (used time.Duration) {
	b.Helper()
	for _, line := range strings.Fields(s.redis.Info(b.Context(), "cpu").Val()) {
		name, value, _ := strings.Cut(line, ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			used += time.Duration(seconds * float64(time.Second))
		}
	}
	return used
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
		"Read":                                   func(b *testing.B) { s.readDrain(b, benchCount) },
	} {
		b.Run(name, func(b *testing.B) { s.measure(b, drain) })
	}
}

func (s *server) readDrain(b *testing.B, count int) {
	r := s.reader(b, "0")
	after, entries := projector.ID{}, int64(0)
	for {
		got, err := r.Read(b.Context(), after, entries, stream.Limit{Events: count}, 0)
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
		if err := s.redis.DoRaw(b.Context(), "XRANGE", key, benchID(from).String(), "+", "COUNT", benchCount).Err(); err != nil {
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
		request := redisconn.AppendCommand(nil, "XRANGE", key, benchID(from).String(), "+", "COUNT", fmt.Sprint(benchCount))
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
