package inspect_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/refold-dev/refold/hack/chaos/history"
	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
)

// The log was trimmed, or entries were deleted from it.
func TestAHistoryThatIsGone(t *testing.T) {
	for name, lose := range map[string]func(w *world) error{
		"trimmed": func(w *world) error { return w.client.XTrimMinID(t.Context(), "user_events", "2000-1").Err() },
		"deleted": func(w *world) error { return w.client.XDel(t.Context(), "user_events", "2000-0").Err() },
		"both": func(w *world) error {
			w.client.XDel(t.Context(), "user_events", "3000-0")
			return w.client.XTrimMinID(t.Context(), "user_events", "2000-1").Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := story(t)
			if err := lose(w); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{api.EntityPath("7", api.History), api.EntityPath("7", api.State), api.StatesPath} {
				w.fails(path, 409, api.ReasonIncomplete, "incomplete=true", "from ")
			}
			got := object[api.Entity](w, api.EntityPath("9", api.State)+"?incomplete=true")
			if !got.Incomplete || got.Fields["spent"] != "11" {
				t.Errorf("%+v", got)
			}
			if info := object[api.Info](w, api.InfoPath); info.Log.History != contract.HistoryIncomplete {
				t.Errorf("%+v", info.Log)
			}
			lines, _ := w.lines(api.LogPath + "?from=2000-1&until=2000-1")
			if diff := cmp.Diff([]string{"2000-1"}, ids(lines)); diff != "" {
				t.Error(diff)
			}
			if lines, _ = w.lines(api.LogPath); int64(len(lines)) != w.client.XLen(t.Context(), "user_events").Val() {
				t.Errorf("%q", ids(lines))
			}
		})
	}
}

func TestAnEmptyLog(t *testing.T) {
	w := story(t)
	w.client.XTrimMaxLen(t.Context(), "user_events", 0)
	w.fails(api.EntityPath("7", api.State), 409, api.ReasonIncomplete)
	w.fails(api.EntityPath("7", api.State)+"?incomplete=true", 404, api.ReasonNoSuchEntity, "the log is empty")
	if lines, end := w.lines(api.LogPath); len(lines) != 0 || end.More {
		t.Errorf("%+v", lines)
	}
	if lines, _ := w.lines(api.LogPath + "?reverse=true"); len(lines) != 0 {
		t.Errorf("%+v", lines)
	}
}

func TestNothingIsSaidOfWhatTheProjectorHasNotFolded(t *testing.T) {
	w := story(t)
	w.add("8000-0", "Ordered", "id", "7", "cents", "many")
	w.add("9000-0", "Renamed", "id", "7", "name", "Eve")
	w.status = func() contract.Partition {
		return contract.Partition{State: contract.StateHalted, Problem: &contract.Problem{Reason: contract.ReasonEventFailed, Message: "no number", Permanent: true, EventID: "8000-0"}}
	}
	_, end := w.lines(api.EntityPath("7", api.History))
	if end.Halted != "8000-0" || end.Entity.Fields["name"] != "Ada" {
		t.Errorf("%+v", end)
	}
	w.fails(api.EntityPath("7", api.State)+"?at=9000-0", 409, contract.ReasonEventFailed, "8000-0", "no number", "Ask for one before it")
	if lines, _ := w.lines(api.LogPath + "?from=8000"); len(lines) != 2 {
		t.Error("the log is not shown")
	}
	// A projector that has not come to it yet does not know.
	w.status = func() contract.Partition { return contract.Partition{State: contract.StateCatchingUp} }
	w.fails(api.EntityPath("7", api.State), 409, contract.ReasonEventFailed, "8000-0", "rule 1 (Ordered)")
}

func TestSourceUntilIsTheEnd(t *testing.T) {
	d := users()
	d.Source.Until = "2000-0"
	w := newWorld(t, d)
	w.add("1000-0", "Created", "id", "7", "name", "Ada")
	w.add("2000-1", "Renamed", "id", "7", "name", "Eve")
	if got := object[api.Entity](w, api.EntityPath("7", api.State)); got.Fields["name"] != "Ada" {
		t.Errorf("%+v", got)
	}
}

func TestNothingWasBeforeSourceFrom(t *testing.T) {
	d := users()
	d.Source.From = "2000-0"
	w := newWorld(t, d)
	w.add("1000-0", "Created", "id", "7", "name", "Ada")
	w.add("2000-0", "Created", "id", "8", "name", "Bob")
	w.fails(api.EntityPath("7", api.State)+"?at=1500", 404, api.ReasonOutsideLog, "source.from 2000-0")
	w.fails(api.EntityPath("7", api.State), 404, api.ReasonNoSuchEntity)
	if lines, _ := w.lines(api.StatesPath + "?at=2000"); len(lines) != 1 || lines[0].Entity.Key != "8" {
		t.Errorf("%+v", lines)
	}
}

// The last state of a history, the state as of now, what the read model holds and a
// fold by code that shares nothing with the projector are all the same.
func TestAllWaysToAnEntityLeadToTheSame(t *testing.T) {
	addr := redis.Start(t).Addr()
	rapid.Check(t, func(rt *rapid.T) {
		h := history.New(rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1)), history.Shape{Pairs: rapid.Bool().Draw(rt, "pairs"), Cold: 5})
		w := newWorldAt(t, addr, h.Contract())
		if err := w.client.FlushAll(t.Context()).Err(); err != nil {
			rt.Fatal(err)
		}
		for _, e := range h.Next(rapid.IntRange(5, 200).Draw(rt, "events")) {
			if err := w.client.XAdd(t.Context(), &goredis.XAddArgs{Stream: history.Stream, ID: e.ID.String(), Values: e.Values}).Err(); err != nil {
				rt.Fatal(err)
			}
		}
		w.fold(h.Contract())
		at := rapid.SampledFrom(h.Keys()).Draw(rt, "key")
		states := map[api.Text]map[string]api.Text{}
		lines, _ := w.lines(api.StatesPath)
		for _, line := range lines {
			states[line.Entity.Key] = line.Entity.Fields
		}
		for _, key := range h.Keys() {
			fields, exists := h.Want(key, h.Last())
			_, is := states[api.Text(key)]
			if is != exists || exists && len(states[api.Text(key)]) != len(fields) {
				rt.Fatalf("%q: exists %v, %v", key, exists, fields)
			}
			for name, text := range fields {
				if exists && states[api.Text(key)][name] != api.Text(text) {
					rt.Fatalf("%q.%s is %q, not %q", key, name, states[api.Text(key)][name], text)
				}
			}
		}
		body, _ := w.body(api.EntityPath(at, api.History))
		if strings.Contains(body, api.ReasonNoSuchEntity) {
			return // no event touched it
		}
		_, end := w.lines(api.EntityPath(at, api.History))
		if diff := cmp.Diff(states[api.Text(at)], end.Entity.Fields); end.Entity.Exists && diff != "" {
			rt.Fatal(diff)
		}
		now := object[api.Entity](w, api.EntityPath(at, api.State))
		if diff := cmp.Diff(*end.Entity, now); diff != "" {
			rt.Fatal(diff)
		}
		if !now.Exists {
			w.fails(api.EntityPath(at), 404, api.ReasonNoSuchEntity)
			return
		}
		stored := object[api.Entity](w, api.EntityPath(at))
		if diff := cmp.Diff(now.Fields, stored.Fields); diff != "" {
			rt.Fatal(diff)
		}
	})
}
