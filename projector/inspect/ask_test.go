package inspect_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
)

// story is a world in which a little has happened.
func story(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, users())
	w.add("1000-0", "Created", "id", "7", "name", "Ada")
	w.add("2000-0", "Created", "id", "8", "name", "Bob")
	w.add("2000-1", "Ordered", "id", "7", "cents", "5")
	w.add("3000-0", "Ordered", "id", "7", "cents", "0")
	w.add("4000-0", "Seen", "id", "7")
	w.add("5000-0", "Ordered", "id", "7", "cents", "6")
	w.add("6000-0", "Deleted", "id", "8")
	w.add("7000-0", "Moved", "id", "7", "to", "9", "cents", "11")
	w.fold(w.document)
	return w
}

func texts(words ...string) map[string]api.Text {
	fields := map[string]api.Text{}
	for i := 0; i < len(words); i += 2 {
		fields[words[i]] = api.Text(words[i+1])
	}
	return fields
}

func TestInfoSaysWhatThereIsToBeAskedAbout(t *testing.T) {
	w := story(t)
	got := object[api.Info](w, api.InfoPath)
	want := api.Info{
		Projection: "shop/users", Revision: "r1", Contract: "c0ffee", Build: "test", Stream: "user_events",
		State: contract.StateStopped, Published: true, Position: "7000-0",
		Log:       api.Log{Entries: 8, FirstID: "1000-0", LastID: "7000-0", History: contract.HistoryComplete},
		Revisions: []api.Revision{{Name: "r1", Published: true}},
		Reducer:   w.document.Reducer, Fields: w.document.ReadModel.Fields,
		From: "0", Format: contract.FormatFields, Limits: api.Limits{Scans: 2, Follows: 4, Others: 4, FoldBytes: 32 << 20},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnEntityAsItIs(t *testing.T) {
	w := story(t)
	got := object[api.Entity](w, api.EntityPath("7"))
	want := api.Entity{Key: "7", Exists: true, Fields: texts("name", "Ada", "orders", "2", "spent", "0", "tier", "gold"), Position: "7000-0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	w.fails(api.EntityPath("8"), 404, api.ReasonNoSuchEntity, `"8"`, "7000-0", "history")
	w.fails(api.EntityPath("77"), 404, api.ReasonNoSuchEntity, `there is "7"`)
}

func TestTheHistoryOfAnEntity(t *testing.T) {
	w := story(t)
	steps, end := w.lines(api.EntityPath("7", api.History))
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	one := func(text string) *api.Text { return (*api.Text)(&text) }
	want := []api.Line{
		{Step: &api.Step{ID: "1000-0", Time: at(1000), Type: "Created", Created: true, Rules: []int{0}, Changes: []api.Change{{Field: "name", New: one("Ada")}, {Field: "orders", New: one("0")}}}},
		{Step: &api.Step{ID: "2000-1", Time: at(2000), Type: "Ordered", Rules: []int{1}, Changes: []api.Change{{Field: "orders", Old: one("0"), New: one("1")}, {Field: "spent", New: one("5")}}}},
		{Step: &api.Step{ID: "3000-0", Time: at(3000), Type: "Ordered", Rules: []int{}}},
		{Step: &api.Step{ID: "5000-0", Time: at(5000), Type: "Ordered", Rules: []int{1, 2}, Changes: []api.Change{
			{Field: "orders", Old: one("1"), New: one("2")}, {Field: "spent", Old: one("5"), New: one("11")}, {Field: "tier", New: one("gold")}}}},
		{Step: &api.Step{ID: "7000-0", Time: at(7000), Type: "Moved", Rules: []int{5}, Changes: []api.Change{{Field: "spent", Old: one("11"), New: one("0")}}}},
	}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Error(diff)
	}
	wantEnd := api.End{Position: "7000-0", Entries: 8, Lines: 5, Entity: &api.Entity{Key: "7", Exists: true,
		Fields: texts("name", "Ada", "orders", "2", "spent", "0", "tier", "gold"), Position: "7000-0", Changed: "7000-0"}}
	if diff := cmp.Diff(wantEnd, end); diff != "" {
		t.Error(diff)
	}
	if steps, end = w.lines(api.EntityPath("7", api.History) + "?field=tier&field=name&until=5000"); len(steps) != 2 || end.Entity.Fields["spent"] != "11" || end.Position != "5000-0" {
		t.Errorf("%d steps, %+v", len(steps), end)
	}
	if steps, end = w.lines(api.EntityPath("8", api.History)); len(steps) != 2 || end.Entity.Exists || !steps[1].Step.Deleted {
		t.Errorf("%d steps, %+v", len(steps), end)
	}
	w.fails(api.EntityPath("nobody", api.History), 404, api.ReasonNoSuchEntity, "no event up to 7000-0", `"nobody"`)
	w.fails(api.EntityPath("9", api.History)+"?until=6000", 404, api.ReasonNoSuchEntity, "up to 1970-01-01T00:00:06Z")
}

func TestAnEntityAsItWas(t *testing.T) {
	w := story(t)
	for at, want := range map[string]api.Entity{
		"":                          {Exists: true, Fields: texts("name", "Ada", "orders", "2", "spent", "0", "tier", "gold"), Position: "7000-0", Changed: "7000-0"},
		"1000-0":                    {Exists: true, Fields: texts("name", "Ada", "orders", "0"), Position: "1000-0", Changed: "1000-0"},
		"2000-0":                    {Exists: true, Fields: texts("name", "Ada", "orders", "0"), Position: "2000-0", Changed: "1000-0"},
		"2000":                      {Exists: true, Fields: texts("name", "Ada", "orders", "1", "spent", "5"), Position: "2000-1", Changed: "2000-1"},
		"1970-01-01T00:00:02Z":      {Exists: true, Fields: texts("name", "Ada", "orders", "1", "spent", "5"), Position: "2000-1", Changed: "2000-1"},
		"1970-01-01T01:00:05+01:00": {Exists: true, Fields: texts("name", "Ada", "orders", "2", "spent", "11", "tier", "gold"), Position: "5000-0", Changed: "5000-0"},
		"2026-01-01T00:00:00Z":      {Exists: true, Fields: texts("name", "Ada", "orders", "2", "spent", "0", "tier", "gold"), Position: "7000-0", Changed: "7000-0"},
	} {
		path := api.EntityPath("7", api.State)
		if want.Key = "7"; at != "" {
			path += "?at=" + strings.ReplaceAll(at, "+", "%2B")
		}
		if diff := cmp.Diff(want, object[api.Entity](w, path)); diff != "" {
			t.Errorf("at %s: %s", at, diff)
		}
	}
	if got := object[api.Entity](w, api.EntityPath("8", api.State)); got.Exists || got.Changed != "6000-0" {
		t.Errorf("%+v", got)
	}
	w.fails(api.EntityPath("9", api.State)+"?at=6500", 404, api.ReasonNoSuchEntity, "no event up to")
	w.fails(api.EntityPath("7", api.State)+"?at=999", 404, api.ReasonOutsideLog, "before the log", "1000-0 (1970-01-01T00:00:01Z) to 7000-0")
	w.fails(api.EntityPath("7", api.State)+"?at=2999-01-01T00:00:00Z", 404, api.ReasonOutsideLog, "future", "7000-0")
	body, response := w.body(api.EntityPath("7", api.State), "Accept", api.StreamType)
	if response.Header.Get("Content-Type") != api.StreamType || strings.Count(body, "\n") != 2 || !strings.Contains(body, `{"entity":{"key":"7"`) {
		t.Errorf("as a stream: %v: %s", response.Header, body)
	}
}

func TestAllEntitiesAsTheyWere(t *testing.T) {
	w := story(t)
	lines, end := w.lines(api.StatesPath + "?at=5000-0")
	want := []api.Line{{Entity: &api.Entity{Key: "7", Exists: true, Fields: texts("name", "Ada", "orders", "2", "spent", "11", "tier", "gold")}},
		{Entity: &api.Entity{Key: "8", Exists: true, Fields: texts("name", "Bob", "orders", "0")}}}
	if diff := cmp.Diff(want, lines); diff != "" || end.Position != "5000-0" || end.Entries != 6 {
		t.Errorf("%s %+v", diff, end)
	}
	if lines, _ = w.lines(api.StatesPath + "?prefix=9"); len(lines) != 1 || lines[0].Entity.Fields["spent"] != "11" {
		t.Errorf("%+v", lines)
	}
	var keys []string
	for part := 1; part <= 3; part++ {
		lines, _ := w.lines(fmt.Sprintf("%s?part=%d/3", api.StatesPath, part))
		for _, line := range lines {
			keys = append(keys, string(line.Entity.Key))
		}
	}
	slices.Sort(keys)
	if diff := cmp.Diff([]string{"7", "9"}, keys); diff != "" {
		t.Error(diff)
	}
}

// ids are the events' of some lines.
func ids(lines []api.Line) (ids []string) {
	for _, line := range lines {
		ids = append(ids, line.Event.ID)
	}
	return ids
}

func TestTheLog(t *testing.T) {
	w := story(t)
	all := []string{"1000-0", "2000-0", "2000-1", "3000-0", "4000-0", "5000-0", "6000-0", "7000-0"}
	reversed := slices.Clone(all)
	slices.Reverse(reversed)
	for query, want := range map[string][]string{
		"":                                   all,
		"?reverse=true":                      reversed,
		"?reverse":                           reversed,
		"?key=7":                             {"1000-0", "2000-1", "3000-0", "5000-0", "7000-0"},
		"?key=9":                             {"7000-0"},
		"?key=nobody":                        nil,
		"?type=Ordered&type=Seen":            {"2000-1", "3000-0", "4000-0", "5000-0"},
		"?type=Ordered&key=7&reverse=true":   {"5000-0", "3000-0", "2000-1"},
		"?from=2000-1&until=4000":            {"2000-1", "3000-0", "4000-0"},
		"?from=1970-01-01T00:00:02Z&until=3": nil,
		"?from=2000&until=5000-0&limit=2":    {"2000-0", "2000-1"},
		"?from=2000&until=5000-0&limit=2&reverse=true": {"5000-0", "4000-0"},
		"?until=500":                 nil,
		"?from=2026-01-01T00:00:00Z": nil,
		"?from=7000-0":               {"7000-0"},
	} {
		if query == "?from=1970-01-01T00:00:02Z&until=3" {
			w.fails(api.LogPath+query, 400, api.ReasonBadRequest)
			continue
		}
		lines, end := w.lines(api.LogPath + query)
		if diff := cmp.Diff(want, ids(lines)); diff != "" || end.More != strings.Contains(query, "limit") {
			t.Errorf("%s: %s %+v", query, diff, end)
		}
	}
	w.fails(api.LogPath+"?from=2999-01-01T00:00:00Z", 404, api.ReasonOutsideLog, "future")
	lines, _ := w.lines(api.LogPath + "?from=4000&limit=4")
	want := []api.Line{
		{Event: &api.Event{ID: "4000-0", Time: time.UnixMilli(4000).UTC(), Type: "Seen", Skipped: "no rule names the event's type",
			Fields: []api.Field{{Name: "type", Value: "Seen"}, {Name: "id", Value: "7"}}}},
		{Event: &api.Event{ID: "7000-0", Time: time.UnixMilli(7000).UTC(), Type: "Moved", Keys: []api.Text{"7", "9"},
			Fields: []api.Field{{Name: "type", Value: "Moved"}, {Name: "id", Value: "7"}, {Name: "to", Value: "9"}, {Name: "cents", Value: "11"}}}},
	}
	if diff := cmp.Diff(want, []api.Line{lines[0], lines[3]}); diff != "" {
		t.Error(diff)
	}
}

func TestDocumentsAreShownAsTheyWereWritten(t *testing.T) {
	d := users()
	d.Source.Format, d.Source.PayloadField, d.Reducer.Key = contract.FormatJSON, "doc", "event.id"
	w := newWorld(t, d)
	w.add("1-0", "Created", "trace", "x", "doc", `{"id": "7", "name":"<script>alert(1)</script>", "n": 12345678901234567890.10}`)
	w.add("2-0", "Created", "doc", `{"id": 7`)
	w.add("3-0", "Created", "other", "\xff<b>")
	body, _ := w.body(api.LogPath)
	for _, words := range []string{
		`"document":{"id":"7","name":"\u003cscript\u003ealert(1)\u003c/script\u003e","n":12345678901234567890.10}`,
		`{"name":"trace","value":"x"}`, `"keys":["7"]`, `{"name":"doc","value":"{\"id\": 7"}`, `"problem":"the field \"doc\" is not one JSON object`,
		`{"name":"other","value":{"base64":"/zxiPg=="}}`,
	} {
		if !strings.Contains(body, words) {
			t.Errorf("%s is not in %s", words, body)
		}
	}
	if strings.ContainsAny(body, "<>") || strings.Count(body, "\n") != 4 {
		t.Error(body)
	}
}

func TestWhateverBytesThereAreStayThose(t *testing.T) {
	d := users()
	d.Reducer.Key = "event.id"
	w := newWorld(t, d)
	keys := []string{"\xff\x00", "<img src=x onerror=alert(1)>", "a/b", ".", "..", "/", "%2F", "a?b#c", "☃", "*", strings.Repeat("k", 1000)}
	huge := strings.Repeat("<&\u2028\x01", 1<<18)
	for i, key := range keys {
		w.add(fmt.Sprintf("%d-0", i+1), "Created", "id", key, "name", key+huge[:i*100])
	}
	w.add("99-0", "Created", "id", "huge", "name", huge)
	w.fold(d)
	for i, key := range keys {
		if got := object[api.Entity](w, api.EntityPath(key)); string(got.Key) != key || string(got.Fields["name"]) != key+huge[:i*100] {
			t.Errorf("%q is %q", key, got.Key)
		}
		steps, end := w.lines(api.EntityPath(key, api.History))
		if len(steps) != 1 || end.Entity.Fields["name"] != *steps[0].Step.Changes[0].New || string(*steps[0].Step.Changes[0].New) != key+huge[:i*100] {
			t.Errorf("%q: %d steps", key, len(steps))
		}
	}
	body, _ := w.body(api.EntityPath("huge", api.History))
	if strings.ContainsAny(body, "<>&") {
		t.Error("HTML is not escaped")
	}
	if got := object[api.Entity](w, api.EntityPath("huge", api.State)); string(got.Fields["name"]) != huge {
		t.Error("a large value is another one")
	}
	listed := object[api.Keys](w, api.EntitiesPath+"?limit=1000")
	if len(listed.Keys) != len(keys)+1 || listed.Next != "" || !slices.Contains(listed.Keys, api.Text("\xff\x00")) {
		t.Errorf("%q", listed.Keys)
	}
	if got := object[api.Keys](w, api.EntitiesPath+"?prefix=%FF"); len(got.Keys) != 1 {
		t.Errorf("%q", got.Keys)
	}
}

func TestKeysArePaged(t *testing.T) {
	w := newWorld(t, users())
	pipe := w.client.Pipeline()
	for i := range 2500 {
		pipe.XAdd(t.Context(), &goredis.XAddArgs{Stream: "user_events", Values: []any{"type", "Created", "id", fmt.Sprint(i), "name", "x"}})
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.fold(w.document)
	seen := map[api.Text]bool{}
	for after, pages := "", 0; ; pages++ {
		page := object[api.Keys](w, api.EntitiesPath+"?after="+after)
		if len(page.Keys) > 100 || pages > 200 {
			t.Fatalf("page %d has %d keys", pages, len(page.Keys))
		}
		for _, key := range page.Keys {
			seen[key] = true
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if len(seen) != 2500 {
		t.Errorf("%d keys", len(seen))
	}
}
