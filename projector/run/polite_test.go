package run_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/contract"
)

// latencies are how long events take to their hashes, from before their XADD.
func (w *world) latencies(while func() bool) (ms []float64) {
	w.t.Helper()
	for i := 1; while(); i++ {
		began := time.Now()
		w.add("Created", "id", "watched", "name", i)
		for w.client.HGet(w.t.Context(), keyPrefix+"watched", "name").Val() != strconv.Itoa(i) {
			if time.Since(began) > 20*time.Second {
				w.t.Fatal("the event is never seen")
			}
		}
		ms = append(ms, float64(time.Since(began).Microseconds())/1000)
		time.Sleep(time.Millisecond)
	}
	slices.Sort(ms)
	return ms
}

func percentile(ms []float64, p int) float64 { return ms[len(ms)*p/100] }

// Measures how a replay is felt by the published projector, on one server:
//
//	REFOLD_MEASURE=2000000 go test ./projector/run -run Felt -v
func TestHowAReplayIsFelt(t *testing.T) {
	events, _ := strconv.Atoi(os.Getenv("REFOLD_MEASURE"))
	if events == 0 {
		t.Skip("REFOLD_MEASURE is not set")
	}
	w := newWorld(t)
	for done := 0; done < events; done += 10_000 {
		pipe := w.client.Pipeline()
		for i := range 10_000 {
			pipe.XAdd(t.Context(), &goredis.XAddArgs{Stream: streamName, Values: []any{"type", "Ordered", "id", fmt.Sprint((done + i) * 7919 % 100_003), "cents", i}})
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	one := w.start()
	one.awaitTail()
	until := time.Now().Add(5 * time.Second)
	alone := w.latencies(func() bool { return time.Now().Before(until) })

	next := w.revision("r2")
	began := time.Now()
	two := next.start()
	two.await("folding", func(s contract.Partition) bool { return s.Events > 0 })
	looked := time.Now()
	beside := w.latencies(func() bool {
		if time.Since(looked) < 200*time.Millisecond {
			return true
		}
		looked = time.Now()
		s, _ := two.status()
		return s.State == contract.StateCatchingUp
	})
	watched := time.Since(began)
	two.stop()
	next.must("drop", "--revision-only")
	began = time.Now()
	two = next.start()
	two.await("caught up", func(s contract.Partition) bool { return s.CaughtUp })
	took := time.Since(began)
	two.stop()
	one.stop()
	w.must("drop", "--keep=false")
	began = time.Now()
	next.start().await("caught up", func(s contract.Partition) bool { return s.CaughtUp })
	t.Logf("p50 %.2f ms alone, %.2f beside a replay; p99 %.2f and %.2f (%d, %d samples)", percentile(alone, 50), percentile(beside, 50),
		percentile(alone, 99), percentile(beside, 99), len(alone), len(beside))
	t.Logf("%d events: %s while watched, %s unwatched, %s as the first revision, which is not polite", events, watched, took, time.Since(began))
}
