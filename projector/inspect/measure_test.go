package inspect_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/inspect/api"
	"github.com/refold-dev/refold/projector/redisconn"
)

// measured fills a stream as the benchmarks do: small events of four types about
// a tenth as many users, twenty a millisecond.
func (w *world) measured(n int) {
	w.t.Helper()
	const perBatch = 5000
	for done := 0; done < n; done += perBatch {
		pipe := w.client.Pipeline()
		for i := done; i < done+perBatch; i++ {
			id := i * 7919 % (n / 10)
			values := [][]any{
				{"type", "Created", "id", id, "name", fmt.Sprint("User ", id), "email", fmt.Sprintf("u%d@example.com", i)},
				{"type", "Renamed", "id", id, "name", fmt.Sprintf("user%d@mail.example.com", i)},
				{"type", "Seen", "id", id, "city", fmt.Sprintf("Street %d, Zürich", i)},
				{"type", "Moved", "id", id, "order", i, "cents", i},
			}[i/7%4]
			pipe.XAdd(w.t.Context(), &goredis.XAddArgs{Stream: "user_events", ID: measuredID(i), Values: values})
		}
		if _, err := pipe.Exec(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

func measuredID(i int) string { return fmt.Sprintf("%d-%d", 1_700_000_000_000+i/20, i%20) }

// drain reads the bytes of the whole stream over a bare socket and drops them, as
// the benchmarks' baseline does: pages of 10,000, four of them asked for ahead. A
// PING behind each marks its end.
func (w *world) drain(n int) time.Duration {
	w.t.Helper()
	const page, inFlight = 10_000, 4
	cn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = cn.Close() }()
	began, asked := time.Now(), 0
	ask := func(pages int) {
		var request []byte
		for ; pages > 0 && asked*page < n; pages, asked = pages-1, asked+1 {
			request = redisconn.AppendCommand(request, "XRANGE", "user_events", measuredID(asked*page), "+", "COUNT", strconv.Itoa(page))
			request = redisconn.AppendCommand(request, "PING")
		}
		if _, err := cn.Write(request); err != nil {
			w.t.Fatal(err)
		}
	}
	ask(inFlight)
	mark, buf, kept := []byte("+PONG\r\n"), make([]byte, 1<<20), 0
	for done := 0; done*page < n; {
		got, err := cn.Read(buf[kept:])
		if err != nil {
			w.t.Fatal(err)
		}
		seen := bytes.Count(buf[:kept+got], mark)
		tail := buf[:kept+got]
		if tail = tail[max(0, len(tail)-len(mark)+1):]; bytes.HasSuffix(buf[:kept+got], mark) {
			tail = nil
		}
		kept = copy(buf, tail)
		done += seen
		ask(seen)
	}
	return time.Since(began)
}

// alone is a Probe that finds nobody else there.
type alone struct{ client *goredis.Client }

func (a alone) RoundTrip(ctx context.Context) error { return a.client.Ping(ctx).Err() }
func (alone) Alone(context.Context) bool            { return true }

// Measures questions about one entity against the raw drain:
//
//	REFOLD_MEASURE=1000000 go test ./projector/inspect -run HowFast -v
func TestHowFastAnEntityIsFoldedAlone(t *testing.T) {
	events, _ := strconv.Atoi(os.Getenv("REFOLD_MEASURE"))
	if events == 0 {
		t.Skip("REFOLD_MEASURE is not set")
	}
	d := users()
	d.Reducer.Key = "event.id"
	w := newWorld(t, d)
	w.measured(events)
	w.options.Probe = alone{w.client}
	w.start()
	took := map[string][]time.Duration{}
	for range 7 {
		took["drain"] = append(took["drain"], w.drain(events))
		for name, ask := range map[string]func(){
			"history": func() { w.lines(api.EntityPath("5", api.History)) },
			"state":   func() { object[api.Entity](w, api.EntityPath("5", api.State)) },
			"log":     func() { w.lines(api.LogPath + "?key=5&limit=100000") },
		} {
			began := time.Now()
			ask()
			took[name] = append(took[name], time.Since(began))
		}
	}
	median := func(name string) float64 {
		slices.Sort(took[name])
		return took[name][len(took[name])/2].Seconds()
	}
	drain := median("drain")
	for _, name := range []string{"drain", "history", "state", "log"} {
		t.Logf("%s: %.3f s (%.3f to %.3f), %.2f M events/s, %.2f of the drain's speed", name, median(name),
			took[name][0].Seconds(), took[name][6].Seconds(), float64(events)/median(name)/1e6, drain/median(name))
	}
}
