package run_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/inspect/api"
)

// Measures how questions are felt by those who wait for events, on one server:
//
//	REFOLD_MEASURE=1000000 go test ./projector/run -run QuestionsAreFelt -v
func TestHowQuestionsAreFelt(t *testing.T) {
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
	p, ask := w.asked()
	p.awaitTail()
	const each = 8 * time.Second
	until := time.Now().Add(each)
	alone := w.latencies(func() bool { return time.Now().Before(until) })
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	answered := make([]int, 2)
	for i, path := range []string{api.EntityPath("5", api.History), api.EntityPath("7", api.State)} {
		asking.Go(func() {
			for ctx.Err() == nil {
				request, _ := http.NewRequestWithContext(ctx, http.MethodGet, ask.url+path, http.NoBody)
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					return
				}
				if _, err = io.Copy(io.Discard, response.Body); err == nil {
					answered[i]++
				}
				_ = response.Body.Close()
			}
		})
	}
	until = time.Now().Add(each)
	beside := w.latencies(func() bool { return time.Now().Before(until) })
	cancel()
	asking.Wait()
	t.Logf("p50 %.2f ms alone, %.2f beside two scans; p99 %.2f and %.2f (%d, %d samples); %d scans of %d events were answered",
		percentile(alone, 50), percentile(beside, 50), percentile(alone, 99), percentile(beside, 99), len(alone), len(beside), answered[0]+answered[1], events)
}
