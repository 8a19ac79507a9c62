package inspect_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
)

// many appends n small events about a few thousand users.
func (w *world) many(n int) {
	w.t.Helper()
	for done := 0; done < n; done += 5000 {
		pipe := w.client.Pipeline()
		for i := done; i < min(done+5000, n); i++ {
			values := []any{"type", "Created", "id", i * 7919 % 4999, "name", fmt.Sprint("user ", i)}
			if i%3 > 0 {
				values = []any{"type", "Moved", "id", i * 7919 % 4999, "cents", i}
			}
			pipe.XAdd(w.t.Context(), &goredis.XAddArgs{Stream: "user_events", ID: fmt.Sprintf("%d-%d", 1_700_000_000_000+i/20, i%20), Values: values})
		}
		if _, err := pipe.Exec(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// connections are those that the source's server has.
func (w *world) connections() int {
	w.t.Helper()
	list, err := w.client.ClientList(w.t.Context()).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Count(list, "\n")
}

// slowProbe makes scans take long: it finds the servers busy.
type slowProbe struct{}

func (slowProbe) RoundTrip(context.Context) error {
	time.Sleep(2 * time.Millisecond)
	return nil
}

func (slowProbe) Alone(context.Context) bool { return false }

// restless takes its time to find the servers busy, so that scans take seconds.
type restless struct{}

func (restless) RoundTrip(ctx context.Context) error {
	select {
	case <-time.After(300 * time.Millisecond):
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (restless) Alone(context.Context) bool { return false }

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// A client that goes ends what it asked for: its goroutine and its connection to
// the server go, and its place is free.
func TestWhoGoesAwayEndsTheScan(t *testing.T) {
	for name, path := range map[string]string{
		"a history":     api.EntityPath("5", api.History),
		"all states":    api.StatesPath,
		"the log":       api.LogPath + "?type=Nobody",
		"it backward":   api.LogPath + "?type=Nobody&reverse=true",
		"who follows":   api.LogPath + "?follow=true",
		"who has begun": api.LogPath + "?follow=true&from=0",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, users())
			w.many(60_000)
			w.options.Probe = restless{}
			w.start()
			w.body(api.InfoPath)
			w.body(api.EntitiesPath)
			before, goroutines := w.connections(), runtime.NumGoroutine()
			ctx, cancel := context.WithCancel(t.Context())
			request, _ := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, http.NoBody)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil || !strings.Contains(line, `{"`) {
				t.Fatalf("%q, %v", line, err)
			}
			if w.connections() <= before {
				t.Error("the scan has no connection of its own")
			}
			cancel()
			_ = response.Body.Close()
			eventually(t, "its connection is gone", func() bool { return w.connections() <= before })
			eventually(t, "its goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
		})
	}
}

func TestOnlyAFewMayLookAtOnce(t *testing.T) {
	w := newWorld(t, users())
	w.many(60_000)
	w.options.Probe = restless{}
	w.start()
	for path, most := range map[string]int{api.StatesPath: 2, api.LogPath + "?follow=true": 4} {
		ctx, cancel := context.WithCancel(t.Context())
		for range most {
			request, _ := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, http.NoBody)
			response, err := http.DefaultClient.Do(request) // which has said that it is under way
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatal(response, err)
			}
			defer func() { _ = response.Body.Close() }()
		}
		w.fails(path, 429, api.ReasonTooMany, "ask again")
		w.body(api.InfoPath) // what is no scan is answered all the same
		cancel()
		eventually(t, "a place is free", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			request, _ := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, http.NoBody)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return true // it was let in, and had not come to say something
			}
			_ = response.Body.Close()
			return response.StatusCode == http.StatusOK
		})
	}
}

func TestFollowing(t *testing.T) {
	w := story(t)
	response := w.get(api.LogPath + "?follow=true&key=7&limit=2")
	defer func() { _ = response.Body.Close() }()
	w.add("8000-0", "Renamed", "id", "7", "name", "Eve")
	w.add("8000-1", "Renamed", "id", "8", "name", "Ann")
	w.add("8000-2", "Ordered", "id", "7", "cents", "1")
	w.add("8000-3", "Ordered", "id", "7", "cents", "1")
	var got []api.Line
	for line, err := range api.Lines(response.Body) {
		if err != nil {
			t.Fatal(err)
		}
		if line.Event != nil {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff([]string{"8000-0", "8000-2"}, ids(got)); diff != "" {
		t.Error(diff)
	}
	began := time.Now()
	still := w.get(api.LogPath + "?follow=true")
	defer func() { _ = still.Body.Close() }()
	alive := 0
	for line, err := range api.Lines(still.Body) {
		if err != nil || line.Progress == nil {
			t.Fatal(line, err)
		}
		if alive++; alive == 3 {
			break
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a follower to whom nothing comes is told so after %s", took)
	}
}

// Nothing has been since, and nothing may come for long.
func TestFollowingFromAMomentAfterTheLastEvent(t *testing.T) {
	w := story(t)
	response := w.get(api.LogPath + "?follow=true&limit=1&from=1970-01-01T00:00:08Z")
	defer func() { _ = response.Body.Close() }()
	w.add("7500-0", "Renamed", "id", "7", "name", "Eve") // is before that moment
	w.add("8000-0", "Renamed", "id", "7", "name", "Ann")
	var got []api.Line
	for line, err := range api.Lines(response.Body) {
		if err != nil {
			t.Fatal(err)
		}
		if line.Event != nil {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff([]string{"8000-0"}, ids(got)); diff != "" {
		t.Error(diff)
	}
}

func TestFollowingEndsWithTheLastThatIsWanted(t *testing.T) {
	w := story(t)
	began := time.Now()
	lines, end := w.lines(api.LogPath + "?follow=true&from=6000&limit=2")
	if took := time.Since(began); took > 2*time.Second || len(lines) != 2 || end.Position != "7000-0" {
		t.Errorf("after %s: %d, %+v", took, len(lines), end)
	}
}

func TestMoreIsSaidWhereMoreWouldBeShown(t *testing.T) {
	w := story(t)
	for query, want := range map[string]bool{
		"?limit=7":                           true,
		"?limit=8":                           false,
		"?limit=8&reverse=true":              false,
		"?limit=7&reverse=true":              true,
		"?type=Moved&limit=1":                false,
		"?type=Ordered&limit=3":              false,
		"?type=Ordered&limit=2":              true,
		"?type=Ordered&limit=2&reverse=true": true,
		"?key=9&limit=1&reverse=true":        false,
	} {
		if _, end := w.lines(api.LogPath + query); end.More != want {
			t.Errorf("%s: %+v", query, end)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t, users())
	w.many(60_000)
	w.serve(40 << 20) // of which 4 MiB are set aside, 2 for each of two scans
	if info := object[api.Info](w, api.InfoPath); info.Limits.FoldBytes != 2<<20 {
		t.Fatalf("%+v", info.Limits)
	}
	w.add("", "Created", "id", "fat", "name", strings.Repeat("x", 900_000)) // as the projector could fold
	w.fails(api.StatesPath, 409, api.ReasonTooLarge, "more than 2 MiB", "part=1/8", "resources.limits.memory")
	if lines, _ := w.lines(api.StatesPath + "?part=3/16"); len(lines) < 200 || len(lines) > 500 {
		t.Errorf("%d entities in a 16th of 5,000", len(lines))
	}
	w.add("", "Created", "id", "fatter", "name", strings.Repeat("x", 2<<20)) // as it could not
	w.fails(api.EntityPath("fatter", api.History), 409, contract.ReasonEventTooLarge, "bytes")
	w.fails(api.LogPath+"?reverse=true&limit=1", 409, contract.ReasonEventTooLarge, "bytes")
}

func TestScansReportTheirProgress(t *testing.T) {
	w := newWorld(t, users())
	w.many(60_000)
	w.options.Probe = restless{}
	w.start()
	response := w.get(api.EntityPath("5", api.History))
	defer func() { _ = response.Body.Close() }()
	progress, last := 0, int64(0)
	for line, err := range api.Lines(response.Body) {
		if err != nil {
			t.Fatal(err)
		}
		if p := line.Progress; p != nil {
			if p.Entries <= last || p.Of != 60_000 || p.Last != "1700000002999-19" {
				t.Fatalf("%+v", p)
			}
			if progress, last = progress+1, p.Entries; progress == 3 {
				return
			}
		}
	}
	t.Error("the scan was over too soon")
}

// A stream of which others trim the head all the while.
func TestALogThatIsTrimmedWhileItIsRead(t *testing.T) {
	w := newWorld(t, users())
	w.many(40_000)
	w.client.XTrimMaxLen(t.Context(), "user_events", 30_000)
	w.options.Probe = slowProbe{}
	w.start()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for left := int64(30_000); left > 10_000 && ctx.Err() == nil; left -= 100 {
			w.client.XTrimMaxLen(ctx, "user_events", left)
			time.Sleep(time.Millisecond)
		}
	}()
	lines, end := w.lines(api.LogPath + "?limit=100000")
	cancel()
	<-stopped
	if len(lines) < 10_000 || end.Position != "1700000001999-19" {
		t.Errorf("%d events, up to %s", len(lines), end.Position)
	}
}

func TestAServerThatIsAway(t *testing.T) {
	w := story(t)
	w.client.Do(t.Context(), "acl", "setuser", "default", "-xread", "-sscan", "-xrevrange")
	w.fails(api.EntityPath("7", api.History), 503, contract.ReasonPermissionDenied, "xread")
	w.fails(api.EntitiesPath, 503, contract.ReasonPermissionDenied)
	w.fails(api.LogPath+"?reverse=true", 503, contract.ReasonPermissionDenied)
}

func TestAServerThatGoesWhileItIsReadEndsTheStreamWithAnError(t *testing.T) {
	server := redis.Start(t)
	w := newWorldAt(t, server.Addr(), users())
	w.add("1-0", "Created", "id", "7", "name", "Ada")
	response := w.get(api.LogPath + "?follow=true")
	defer func() { _ = response.Body.Close() }()
	server.Kill()
	var last error
	for _, err := range api.Lines(response.Body) {
		last = err
	}
	var said api.Error
	if !errors.As(last, &said) || said.Reason != contract.ReasonSourceUnreachable {
		t.Errorf("%v", last)
	}
	w.fails(api.EntityPath("7", api.History), 503, contract.ReasonSourceUnreachable)
	w.fails(api.EntityPath("7"), 503, contract.ReasonReadModelUnreachable)
}

func TestWhoTakesNothingIsHungUpOn(t *testing.T) {
	w := newWorld(t, users())
	for i := range 4 {
		w.add("", "Created", "id", i, "name", strings.Repeat("x", 10<<20)) // more than fits into sockets
	}
	w.options.Patience = 300 * time.Millisecond
	w.start()
	w.body(api.InfoPath)
	before := w.connections()
	cn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cn.Close() }()
	_, _ = fmt.Fprintf(cn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", api.LogPath)
	eventually(t, "it is under way", func() bool { return w.connections() > before })
	eventually(t, "its connection is gone", func() bool { return w.connections() <= before })
}
