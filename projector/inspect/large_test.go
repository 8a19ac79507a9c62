package inspect_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
)

// peakOf is the most that the heap had more than before.
func peakOf(do func()) (mib int64) {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	base, most, over := m.HeapInuse, atomic.Uint64{}, atomic.Bool{}
	var watch sync.WaitGroup
	watch.Go(func() {
		var m runtime.MemStats
		for ; !over.Load(); time.Sleep(5 * time.Millisecond) {
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapInuse))
		}
	})
	do()
	over.Store(true)
	watch.Wait()
	return (int64(most.Load()) - int64(base)) >> 20
}

// Of six who ask for events of 12 MiB one has such an event in memory at a time,
// and nobody has the six bytes of JSON that are written for each byte.
func TestLargeEventsOfAllQuestionsShareTheMemory(t *testing.T) {
	w := newWorld(t, users())
	w.serve(512 << 20)
	for i := range 3 {
		w.add(fmt.Sprintf("%d-0", i+1), "Created", "id", "7", "name", strings.Repeat(string(rune(1+i)), 12<<20))
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(512 << 20))
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // what is garbage is not of interest
	var answered atomic.Int64
	peak := peakOf(func() {
		var asks sync.WaitGroup
		for _, query := range []string{"", "?reverse=true", "?follow&from=1&limit=3", "?follow&from=1&limit=3", "?follow&from=1&limit=3", "?follow&from=1&limit=3"} {
			asks.Go(func() {
				response, err := http.Get(w.url + api.LogPath + query)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = response.Body.Close() }()
				n, err := io.Copy(io.Discard, response.Body)
				if answered.Add(n); err != nil || n < 3*6*12<<20 {
					t.Errorf("%s: %d bytes, %v", query, n, err)
				}
			})
		}
		asks.Wait()
	})
	t.Logf("%d MiB answered, the heap had %d MiB more", answered.Load()>>20, peak)
	if peak > 160 {
		t.Errorf("the heap had %d MiB more", peak)
	}
}

func TestLongTextsAreWrittenAsShortOnes(t *testing.T) {
	d := users()
	d.Source.Format, d.Source.PayloadField, d.Reducer.Key = contract.FormatJSON, "doc", "event.id"
	w := newWorld(t, d)
	odd := strings.Repeat("☃<&>\u2028\"\\\x01é", 3000)
	long := strings.Repeat(`\\\"<b> \u0000 é \\`, 500)
	w.add("1-0", "Created", "trace", odd, "bytes", "\xff"+odd, "doc", "{\"id\": \"7\",\n\t\"name\": \""+long+"\" }")
	body, _ := w.body(api.LogPath)
	if strings.ContainsAny(body, "<>&") || strings.Count(body, "\n") != 2 {
		t.Errorf("%.300s", body)
	}
	lines, _ := w.lines(api.LogPath)
	e := lines[0].Event
	if string(e.Fields[1].Value) != odd || string(e.Fields[2].Value) != "\xff"+odd {
		t.Error("a long text is another one")
	}
	if want := `{"id":"7","name":"` + strings.ReplaceAll(strings.ReplaceAll(long, "<", `\u003c`), ">", `\u003e`) + `"}`; string(e.Document) != want {
		t.Errorf("%.300s", e.Document)
	}
}
