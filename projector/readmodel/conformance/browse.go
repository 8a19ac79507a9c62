package conformance

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/readmodel"
)

// browsing are the tests of stores that are a readmodel.Browser.
var browsing = map[string]func(*testing.T, *bench){
	"keys are listed page by page":                             listKeys,
	"keys that have a prefix, whatever that is":                listPrefix,
	"what is there all the while is listed":                    listWhileOthersComeAndGo,
	"a listing ends, though others come and go all the while":  listToTheEnd,
	"revisions are browsed beside each other, in all forms":    browseRevisions,
	"an entity with no field is seen":                          browseBare,
	"what is not Refold's is not seen":                         browseForeign,
	"a revision or a place that there is not":                  browseNothing,
	"how far an entity is folded is its lane's, not another's": lookAtLanes,
}

func (b *bench) browser(t *testing.T, s readmodel.Store) readmodel.Browser {
	t.Helper()
	browser, is := s.(readmodel.Browser)
	if !is {
		t.Skip("the store is no browser")
	}
	return browser
}

// list takes pages until there are no more. Between two of them it calls between.
func (b *bench) list(t *testing.T, s readmodel.Store, revision, prefix string, limit int, between func()) []string {
	t.Helper()
	var keys []string
	for after := ""; ; {
		page, err := b.browser(t, s).Keys(b.ctx, claim.Projection, revision, readmodel.Listing{Prefix: prefix, After: after, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Keys) > limit {
			t.Fatalf("%d keys, of at most %d", len(page.Keys), limit)
		}
		keys = append(keys, page.Keys...)
		if after = page.Next; after == "" {
			return keys
		}
		if between != nil {
			between()
		}
	}
}

// named commits entities whose field s is their key.
func (b *bench) named(t *testing.T, p readmodel.Partition, cp readmodel.Checkpoint, keys []string) {
	t.Helper()
	changed := make([]readmodel.Entity, len(keys))
	for i, key := range keys {
		changed[i] = b.user(t, key, projector.StringValue(key))
	}
	b.commit(t, p, cp, changed...)
}

func numbered(n int, format string) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf(format, i)
	}
	return keys
}

func listKeys(t *testing.T, b *bench) {
	s := b.open(t)
	p, cp := b.claim(t, s, claim)
	if got := b.list(t, s, "r1", "", 10, nil); len(got) != 0 {
		t.Errorf("of an empty model: %q", got)
	}
	want := slices.Concat(numbered(12_000, "%d"), numbered(3000, "user-%d-with-a-long-name"), []string{"\xff", "a b", "\x00", "*", "{x}"})
	b.named(t, p, at(cp, 1), want)
	slices.Sort(want)
	for _, limit := range []int{7, 100, 1000, 1 << 20} {
		got := b.list(t, s, "r1", "", limit, nil)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%d a page: %d keys, not %d\n%.300s", limit, len(got), len(want), diff)
		}
	}
}

func listPrefix(t *testing.T, b *bench) {
	s := b.open(t)
	p, cp := b.claim(t, s, claim)
	keys := []string{"a", "ab", "a*", "a*b", "a[b]", "a[c]", `a\`, `a\b`, "a?", "ax", "b", "\xffa", "\xfe", "é", "è"}
	b.named(t, p, at(cp, 1), keys)
	slices.Sort(keys)
	for _, prefix := range []string{"", "a", "a*", "a[", "a[b", `a\`, "a?", "\xff", "\xc3", "nobody"} {
		var want []string
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		got := b.list(t, s, "r1", prefix, 3, nil)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", prefix, diff)
		}
	}
}

// listWhileOthersComeAndGo: most of the model goes, and comes again, between pages.
func listWhileOthersComeAndGo(t *testing.T, b *bench) {
	s := b.open(t)
	p, cp := b.claim(t, s, claim)
	stay, others := numbered(2000, "stays-%d"), numbered(30_000, "other-%d")
	b.named(t, p, at(cp, 1), stay)
	states := make([]readmodel.Entity, len(others))
	for i, key := range others {
		states[i] = b.user(t, key, projector.StringValue(key))
	}
	b.commit(t, p, at(cp, 2), states...)
	turn, exists := uint64(2), true
	got := b.list(t, s, "r1", "", 300, func() {
		if turn++; turn%12 != 0 {
			return
		}
		for _, e := range states {
			if exists {
				e.State.Delete()
			} else {
				set(e, projector.StringValue(e.Key))
			}
		}
		exists = !exists
		b.commit(t, p, at(cp, turn), states...)
	})
	slices.Sort(got)
	got = slices.DeleteFunc(slices.Compact(got), func(key string) bool { return !strings.HasPrefix(key, "stays") })
	slices.Sort(stay)
	if diff := cmp.Diff(stay, got); diff != "" {
		t.Errorf("%d keys, not %d\n%.300s", len(got), len(stay), diff)
	}
}

// listToTheEnd: between any two pages some entities come, and those that came
// before go, in every lane.
func listToTheEnd(t *testing.T, b *bench) {
	s := b.open(t)
	p, cp := b.claim(t, s, claim)
	stay := numbered(20_000, "stays-%d")
	b.named(t, p, at(cp, 1), stay)
	turn := uint64(1)
	for _, limit := range []int{90, 400, 1000} {
		var here []readmodel.Entity
		pages, most := 0, 4*len(stay)/limit+200
		got := b.list(t, s, "r1", "", limit, func() {
			if pages++; pages > most {
				t.Fatalf("%d pages of %d, and no end", pages, limit)
			}
			for _, e := range here {
				e.State.Delete()
			}
			changed := here
			here = nil
			for _, key := range numbered(200, fmt.Sprintf("%d-%%d-%d", limit, pages)) {
				here = append(here, b.user(t, key, projector.StringValue(key)))
			}
			turn++
			b.commit(t, p, at(cp, turn), append(changed, here...)...)
		})
		slices.Sort(got)
		got = slices.DeleteFunc(slices.Compact(got), func(key string) bool { return !strings.HasPrefix(key, "stays") })
		if diff := cmp.Diff(slices.Sorted(slices.Values(stay)), got); diff != "" {
			t.Errorf("%d a page: %d keys, not %d\n%.300s", limit, len(got), len(stay), diff)
		}
	}
}

// rows reads entities.
func (b *bench) rows(t *testing.T, s readmodel.Store, revision string, keys []string) map[string]map[string]string {
	t.Helper()
	rows := map[string]map[string]string{}
	var order []string
	err := b.browser(t, s).Read(b.ctx, claim.Projection, revision, keys, func(r readmodel.Row) error {
		if order = append(order, r.Key); r.Exists {
			rows[r.Key] = r.Fields
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(keys, order); diff != "" {
		t.Errorf("in another order: %s", diff)
	}
	return rows
}

func browseRevisions(t *testing.T, b *bench) {
	for formA := range b.server.Forms() {
		for formB := range b.server.Forms() {
			r1, r2 := b.pair(t, 60, formA, formB)
			b.wantBrowsed(t, r1)
			b.wantBrowsed(t, r2)
			r2.promote(t)
			b.wantBrowsed(t, r1)
			b.wantBrowsed(t, r2)
			if err := r1.store.Drop(b.ctx, claim.Projection, false); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (b *bench) wantBrowsed(t *testing.T, f *folder) {
	t.Helper()
	upTo := f.at.Position.Ms
	want := f.journal.model(f.c.Revision, upTo)
	maps.DeleteFunc(want, func(_ string, fields map[string]string) bool { return fields == nil })
	keys := b.list(t, f.store, f.c.Revision, "", 9, nil)
	rows := b.rows(t, f.store, f.c.Revision, keys)
	maps.DeleteFunc(rows, func(_ string, fields map[string]string) bool { return len(fields) == 0 })
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("%s: %s", f.c.Revision, diff)
	}
	for key, fields := range want {
		seen, err := b.browser(t, f.store).Look(b.ctx, claim.Projection, []string{f.c.Revision}, key)
		if err != nil {
			t.Fatal(err)
		}
		w := []readmodel.Seen{{Row: readmodel.Row{Key: key, Exists: true, Fields: fields}, Position: projector.ID{Ms: upTo}}}
		if diff := cmp.Diff(w, seen); diff != "" {
			t.Errorf("%s: %s", f.c.Revision, diff)
		}
	}
}

func browseBare(t *testing.T, b *bench) {
	s := b.open(t)
	p, cp := b.claim(t, s, claim)
	b.commit(t, p, at(cp, 1), b.user(t, "bare"))
	want := map[string]map[string]string{"bare": {}}
	if diff := cmp.Diff(want, b.rows(t, s, "r1", []string{"bare", "nobody"})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"bare"}, b.list(t, s, "r1", "", 10, nil)); diff != "" {
		t.Error(diff)
	}
}

func browseForeign(t *testing.T, b *bench) {
	s := b.open(t)
	b.claim(t, s, claim)
	b.server.Plant(t, "42")
	if got := b.list(t, s, "r1", "", 10, nil); len(got) != 0 {
		t.Errorf("listed: %q", got)
	}
	if got := b.rows(t, s, "r1", []string{"42"}); len(got) != 0 {
		t.Errorf("read: %v", got)
	}
	seen, err := b.browser(t, s).Look(b.ctx, claim.Projection, []string{"r1"}, "42")
	if err != nil || seen[0].Exists || seen[0].Fields != nil {
		t.Errorf("seen: %+v, %v", seen, err)
	}
}

func browseNothing(t *testing.T, b *bench) {
	s := b.open(t)
	browser := b.browser(t, s)
	p, cp := b.claim(t, s, claim)
	b.named(t, p, at(cp, 1), []string{"1"})
	_, listed := browser.Keys(b.ctx, claim.Projection, "r9", readmodel.Listing{Limit: 10})
	read := browser.Read(b.ctx, claim.Projection, "r9", []string{"1"}, func(readmodel.Row) error { return nil })
	_, looked := browser.Look(b.ctx, claim.Projection, []string{"r1", "r9"}, "1")
	_, nobodys := browser.Keys(b.ctx, "shop/nobody", "r1", readmodel.Listing{Limit: 10})
	for i, err := range []error{listed, read, looked, nobodys} {
		if !errors.Is(err, readmodel.ErrNoRevision) {
			t.Errorf("%d: %v", i, err)
		}
	}
	for _, place := range []string{"x", "-1.0.0.0", "1.2.3", "0.0.0.0", "1.1.1.1.1", "1.1.1.1 "} {
		if _, err := browser.Keys(b.ctx, claim.Projection, "r1", readmodel.Listing{After: place, Limit: 10}); !errors.Is(err, readmodel.ErrBadPlace) {
			t.Errorf("%q: %v", place, err)
		}
	}
	stop := errors.New("enough")
	if err := browser.Read(b.ctx, claim.Projection, "r1", []string{"1", "2"}, func(readmodel.Row) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

func lookAtLanes(t *testing.T, b *bench) {
	s := b.open(t)
	p, cp := b.claim(t, s, claim)
	next, far := at(cp, 3), "far"
	next.Lanes = new([readmodel.Lanes]readmodel.Mark)
	for lane := range next.Lanes {
		next.Lanes[lane] = next.Mark
	}
	next.Lanes[readmodel.LaneOf(far)].Position.Ms = 9
	b.named(t, p, next, []string{far})
	for key, want := range map[string]uint64{far: 9, "near": 3} {
		seen, err := b.browser(t, s).Look(b.ctx, claim.Projection, []string{"r1"}, key)
		if err != nil || seen[0].Position.Ms != want {
			t.Errorf("%s: %+v, %v", key, seen, err)
		}
	}
}
