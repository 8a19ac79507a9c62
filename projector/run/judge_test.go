package run_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
)

// judge compares the read model with a fold of its own, over the events up to
// the ledger's position. It shares no code with the projector.
func (w *world) judge() {
	w.t.Helper()
	ledger, err := w.client.HGetAll(w.t.Context(), position).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	want, events := w.fold(ledger["id"])
	if diff := cmp.Diff(want, w.model()); diff != "" {
		w.t.Errorf("the read model is not the fold of what lies before %s (-want +got):\n%s", ledger["id"], diff)
	}
	if ledger["events"] != strconv.Itoa(events) {
		w.t.Errorf("the ledger counts %s events, want %d", ledger["events"], events)
	}
	w.judgeKeys(want)
}

// judgeAll also wants that nothing is left to fold.
func (w *world) judgeAll() {
	w.t.Helper()
	if id, tail := w.client.HGet(w.t.Context(), position, "id").Val(), w.tail(); id != tail {
		w.t.Errorf("folded up to %s, want %s", id, tail)
	}
	w.judge()
}

// judgeLive judges while a projector works, as of one moment.
func (w *world) judgeLive() {
	w.t.Helper()
	w.client.Do(w.t.Context(), "client", "pause", "5000", "write")
	defer w.client.Do(w.t.Context(), "client", "unpause")
	w.judgeIfClaimed()
}

// fold is a plain loop over the stream.
func (w *world) fold(upTo string) (users map[string]map[string]string, events int) {
	w.t.Helper()
	users = map[string]map[string]string{}
	entries, err := w.client.XRange(w.t.Context(), streamName, "-", upTo).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, entry := range entries {
		field := func(name string) string { s, _ := entry.Values[name].(string); return s }
		id := field("id")
		if field("type") == "Ignored" || id == "" {
			continue
		}
		events++
		if field("type") == "Left" {
			delete(users, id)
			continue
		}
		u := users[id]
		if u == nil {
			u = map[string]string{}
			users[id] = u
		}
		switch field("type") {
		case "Created":
			ms, _ := strconv.ParseInt(strings.Split(entry.ID, "-")[0], 10, 64)
			u["name"], u["at"] = field("name"), time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.999Z")
		case "Renamed":
			u["name"] = field("name")
		case "Ordered":
			plus(u, "orders", "1")
			plus(u, "cents", field("cents"))
		}
	}
	return users, events
}

func plus(u map[string]string, name, n string) {
	a, _ := strconv.Atoi(u[name])
	b, _ := strconv.Atoi(n)
	u[name] = strconv.Itoa(a + b)
}

// model is every hash as applications read it.
func (w *world) model() map[string]map[string]string {
	w.t.Helper()
	users := map[string]map[string]string{}
	keys, err := w.client.Keys(w.t.Context(), keyPrefix+"*").Result()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, key := range keys {
		users[strings.TrimPrefix(key, keyPrefix)] = w.client.HGetAll(w.t.Context(), key).Val()
	}
	return users
}

// judgeKeys wants the key sets to name what is there.
func (w *world) judgeKeys(users map[string]map[string]string) {
	w.t.Helper()
	listed, want := map[string]bool{}, map[string]bool{}
	for lane := range 64 {
		for _, key := range w.client.SMembers(w.t.Context(), fmt.Sprint(position, ":keys:", lane)).Val() {
			listed[key] = true
		}
	}
	for key := range users {
		want[key] = true
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		w.t.Errorf("the key sets (-want +got):\n%s", diff)
	}
}
