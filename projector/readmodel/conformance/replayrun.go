package conformance

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/readmodel"
)

// dies runs an act that dies after some reply of the server, and then one that
// does not: after each of the first replies, each of the last, and some between.
func dies(t *testing.T, b *bench, forms [2]int, act func(readmodel.Store, context.Context) error, check func(*testing.T, *folder, *folder)) {
	const each, between = 12, 30
	replies := dieAfter(t, b, forms, 1<<30, act, check)
	for i := range replies {
		if i < each || replies-i <= each || i%max(1, replies/between) == 0 {
			dieAfter(t, b, forms, i, act, check)
		}
	}
}

// dieAfter says how many replies there were.
func dieAfter(t *testing.T, b *bench, forms [2]int, after int, act func(readmodel.Store, context.Context) error, check func(*testing.T, *folder, *folder)) int {
	t.Helper()
	r1, r2 := b.pair(t, 60, forms[0], forms[1])
	proxy := NewProxy(t, b.server.Addr())
	proxy.DieAfter(after)
	first := act(b.server.OpenAs(t, b.schema, proxy, forms[1]), b.ctx)
	left := int(proxy.left.Load())
	if err := act(b.server.OpenAs(t, b.schema, nil, forms[1]), b.ctx); err != nil {
		t.Fatalf("after %d replies (%v): %v", after, first, err)
	}
	check(t, r1, r2)
	if t.Failed() {
		t.Fatalf("it died after %d replies: %v", after, first)
	}
	if err := r1.store.Drop(b.ctx, claim.Projection, false); err != nil {
		t.Fatal(err)
	}
	unchanged(t, b, map[string]string{})
	return after - left
}

// readDuringPromote: each entity is read whole, of the old revision or of the new
// one, and never again of the old one; with a pointer that is so of all together.
func readDuringPromote(t *testing.T, b *bench) {
	for _, form := range []int{0, 2} {
		if form >= b.server.Forms() {
			continue
		}
		t.Run(fmt.Sprint(form), func(t *testing.T) {
			const entities = 20_000
			fill := func(revision string) *folder {
				f := b.folder(t, newJournal(1), revision, form)
				if err := f.claim(); err != nil {
					t.Fatal(err)
				}
				changed := make([]readmodel.Entity, entities)
				for i := range changed {
					changed[i] = b.user(t, fmt.Sprint(i), projector.StringValue(revision), projector.IntegerValue(int64(revision[1])))
				}
				b.commit(t, f.p, at(f.at, 1), changed...)
				return f
			}
			fill("r1")
			r2 := fill("r2")
			reads, stop := make(chan int), make(chan struct{})
			go func() { reads <- readAll(t, b, form, entities, stop) }()
			r2.promote(t)
			close(stop)
			if n := <-reads; n == 0 {
				t.Error("nothing was read meanwhile")
			}
			for i := range entities {
				if got := b.server.LookupAs(t, form, fmt.Sprint(i)); got["s"] != "r2" {
					t.Fatalf("entity %d is %v", i, got)
				}
			}
			if err := r2.store.Drop(b.ctx, claim.Projection, false); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// readAll reads entities in turn until stop, and counts them.
func readAll(t *testing.T, b *bench, form, entities int, stop <-chan struct{}) (reads int) {
	whole := map[string]map[string]string{"r1": {"s": "r1", "i": fmt.Sprint('1')}, "r2": {"s": "r2", "i": fmt.Sprint('2')}}
	seen := map[int]string{}
	for {
		for i := 0; i < entities; i += 7 {
			select {
			case <-stop:
				return reads
			default:
			}
			got := b.server.LookupAs(t, form, fmt.Sprint(i))
			reads++
			revision := got["s"]
			if !maps.Equal(got, whole[revision]) {
				t.Errorf("entity %d was read as %v", i, got)
				return reads
			}
			of := i
			if form == 2 {
				of = 0 // all together
			}
			if seen[of] == "r2" && revision == "r1" {
				t.Errorf("entity %d went back", i)
				return reads
			}
			seen[of] = revision
		}
	}
}
