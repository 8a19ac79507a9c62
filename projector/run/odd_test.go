package run_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector/contract"
)

func TestLargeAndOddEventsComeThroughExactly(t *testing.T) {
	w := newWorld(t)
	large := strings.Repeat("0123456789abcdef", 1<<16)
	wide := []any{"id", "wide", "name", "among many"}
	for i := range 10_000 {
		wide = append(wide, fmt.Sprint("field-", i), i)
	}
	w.add("Created", "id", "large", "name", large)
	w.add("Created", wide...)
	names := map[string]string{
		"large": large, "wide": "among many", "empty": "", "nul": "a\x00b", "a:{b}'\"\n": "x", "crlf": "\r\n$1\r\nx", "юникод": "☃",
	}
	for id, name := range names {
		w.add("Renamed", "id", id, "name", name)
	}
	p := w.start()
	p.awaitTail()
	w.judgeAll()
	for id, want := range names {
		if got := w.client.HGet(t.Context(), keyPrefix+id, "name").Val(); got != want {
			t.Errorf("%q is named %.60q, want %.60q", id, got, want)
		}
	}
}

func TestAnEventWithNoKeyIsSkippedAndCounted(t *testing.T) {
	w := newWorld(t)
	w.contract.Reducer.Key = "event.?id"
	w.burst(50, 1)
	w.add("Ordered", "cents", 1)
	w.add("Ordered", "cents", 1)
	s := w.start().awaitTail()
	if s.Skipped.NoKey != 2 {
		t.Errorf("skipped: %+v", s.Skipped)
	}
	w.judgeAll()
}

func TestJSONEventsAreFolded(t *testing.T) {
	w := newWorld(t)
	w.contract.Source.Format = contract.FormatJSON
	w.contract.Reducer = contract.Reducer{Type: "Rules", Key: "event.user.id", Rules: []contract.Rule{
		{On: []string{"Created"}, Set: map[string]string{"name": "event.user.name"}},
	}}
	for i := range 300 {
		document, err := json.Marshal(map[string]any{"type": "Created", "user": map[string]any{"id": fmt.Sprint(i % 20), "name": fmt.Sprint("user ", i)}})
		if err != nil {
			t.Fatal(err)
		}
		w.add("Created", "payload", document)
	}
	bad := w.add("Created", "payload", `{"user": `)
	p := w.start()
	if s := p.awaitProblem(contract.ReasonEventFailed); s.Problem.EventID != bad || s.Events != 300 {
		t.Errorf("%+v", s)
	}
	want := map[string]map[string]string{}
	for i := 280; i < 300; i++ {
		want[fmt.Sprint(i%20)] = map[string]string{"name": fmt.Sprint("user ", i)}
	}
	if diff := cmp.Diff(want, w.model()); diff != "" {
		t.Error(diff)
	}
}

func TestLittleMemoryFoldsExactly(t *testing.T) {
	w := newWorld(t)
	for seed := range 4 {
		w.burst(10_000, seed*1000)
	}
	p := w.start("--cache-mib=1")
	p.awaitTail()
	w.judgeAll()
}
