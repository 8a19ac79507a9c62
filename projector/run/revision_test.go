package run_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector/contract"
)

// revision is a world's other contract: of the same log, folded as revised does.
func (w *world) revision(name string) *world {
	r := *w
	r.contract.Revision = name
	r.contract.Reducer.Rules = []contract.Rule{
		{On: []string{"Created"}, When: `event.id != "5"`, Set: map[string]string{"name": "event.name", "at": "time"}},
		{On: []string{"Ordered"}, When: `event.id != "5"`, Add: map[string]string{"orders": "1", "cents": "2 * int(event.cents)"}},
		{On: []string{"Left"}, When: `event.id == "7"`, Delete: true},
	}
	target := *w.contract.ReadModel.RedisHash
	r.contract.ReadModel.RedisHash = &target
	return &r
}

// revised is the fold of that, without the projector's code.
func (w *world) revised(upTo string) map[string]map[string]string {
	w.t.Helper()
	users := map[string]map[string]string{}
	entries, err := w.client.XRange(w.t.Context(), streamName, "-", upTo).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, entry := range entries {
		field := func(name string) string { s, _ := entry.Values[name].(string); return s }
		id := field("id")
		u := users[id]
		if u == nil {
			u = map[string]string{}
		}
		switch typ := field("type"); {
		case id == "" || id == "5":
		case typ == "Created":
			ms, _ := strconv.ParseInt(strings.Split(entry.ID, "-")[0], 10, 64)
			u["name"], u["at"] = field("name"), time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.999Z")
			users[id] = u
		case typ == "Ordered":
			cents, _ := strconv.Atoi(field("cents"))
			plus(u, "orders", "1")
			plus(u, "cents", strconv.Itoa(2*cents))
			users[id] = u
		case typ == "Left" && id == "7":
			delete(users, id)
		}
	}
	return users
}

// plainOf is the plain fold of the revision.
func (w *world) plainOf(upTo string) map[string]map[string]string {
	if w.contract.Revision == "r1" {
		users, _ := w.fold(upTo)
		return users
	}
	return w.revised(upTo)
}

// active is what control says that readers read.
func (w *world) active() string {
	return w.client.HGet(w.t.Context(), "refold:{shop/users}", "active").Val()
}

// place is where the hashes of the revision are.
func (w *world) place() string {
	switch {
	case w.contract.ReadModel.RedisHash.Cutover == contract.CutoverPointer:
		return keyPrefix + "@" + w.contract.Revision + ":"
	case w.active() != w.contract.Revision:
		return "~" + w.contract.Revision + ":" + keyPrefix
	}
	return keyPrefix
}

// judgeRevision compares the revision's hashes with its plain fold, as of one
// moment.
func (w *world) judgeRevision() {
	w.t.Helper()
	w.client.Do(w.t.Context(), "client", "pause", "5000", "write")
	defer w.client.Do(w.t.Context(), "client", "unpause")
	at := w.client.HGet(w.t.Context(), w.positionKey(), "id").Val()
	if at == "" {
		return
	}
	if diff := cmp.Diff(w.plainOf(at), w.hashes()); diff != "" {
		w.t.Errorf("revision %s is not the fold of what lies before %s (-want +got):\n%.1500s", w.contract.Revision, at, diff)
	}
}

func (w *world) positionKey() string { return "refold:{shop/users}:" + w.contract.Revision + ":0" }

func (w *world) hashes() map[string]map[string]string {
	w.t.Helper()
	users, place := map[string]map[string]string{}, w.place()
	keys, err := w.client.Keys(w.t.Context(), place+"*").Result()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, key := range keys {
		if id := strings.TrimPrefix(key, place); !strings.HasPrefix(id, "@") { // of the other revision, and its pointer
			users[id] = w.client.HGetAll(w.t.Context(), key).Val()
		}
	}
	return users
}

// judgeDiff compares a verdict with one of the plain folds.
func (w *world) judgeDiff(active *world, d *contract.Diff) {
	w.t.Helper()
	want := contract.Diff{AtID: d.AtID, ChangedFields: map[string]int64{}}
	was, becomes := active.plainOf(d.AtID), w.plainOf(d.AtID)
	for id, u := range becomes {
		switch old, had := was[id]; {
		case !had:
			want.Added++
		case cmp.Equal(old, u):
			want.Same++
		default:
			want.Changed++
			for _, field := range []string{"name", "at", "orders", "cents"} {
				a, in := u[field]
				if b, was := old[field]; in != was || a != b {
					want.ChangedFields[field]++
				}
			}
		}
	}
	for id := range was {
		if becomes[id] == nil {
			want.Removed++
		}
	}
	got := *d
	got.Digest, got.Sample, got.HeldMillis = "", nil, 0
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("the verdict (-want +got):\n%s", diff)
	}
	if len(d.Sample) == 0 || len(d.Digest) < 16 {
		w.t.Errorf("it says too little: %+v", d)
	}
}

// strays are keys that nothing explains.
func (w *world) strays(allowed ...string) (left []string) {
	w.t.Helper()
	for _, key := range w.keys() {
		if !slices.ContainsFunc(allowed, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
			left = append(left, key)
		}
	}
	slices.Sort(left)
	return left
}

func (w *world) groups() (names []string) {
	w.t.Helper()
	for _, g := range w.client.XInfoGroups(w.t.Context(), streamName).Val() {
		names = append(names, g.Name)
	}
	slices.Sort(names)
	return names
}

// flow appends events until it is stopped, at a rate that a projector keeps up
// with.
func (w *world) flow() (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			case <-time.After(5 * time.Millisecond):
			}
			pipe := w.client.Pipeline()
			for j := range 5 {
				n := i*5 + j
				values := []any{"type", "Ordered", "id", fmt.Sprint(n % 97), "cents", n}
				if n%11 == 0 {
					values = []any{"type", "Left", "id", fmt.Sprint(n % 97)}
				}
				pipe.Do(w.t.Context(), append([]any{"xadd", streamName, "*"}, values...)...)
			}
			_, _ = pipe.Exec(w.t.Context()) // the server may be away
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}
