package conformance

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
)

func dropPublished(t *testing.T, b *bench) {
	r1, r2 := b.pair(t, 30, 0, 0)
	was := b.server.Everything(t)
	err := r1.store.DropRevision(b.ctx, claim.Projection, "r1", false)
	wantFault(t, err, contract.ReasonNotOwned, "r1")
	unchanged(t, b, was)
	if err := r1.store.DropRevision(b.ctx, claim.Projection, "r1", true); err != nil {
		t.Fatal(err)
	}
	wantNone(t, b, "r1")
	r2.wantLoaded(t, 0, 90)
	// In place: the next one builds where readers look.
	r3 := b.folder(t, r1.journal, "r3", 0)
	r3.to(t, 50)
	if !r3.at.Published {
		t.Error("the next revision is not published")
	}
	r3.wantReaders(t, 0, 50)
	for range 2 {
		if err := r1.store.DropRevision(b.ctx, claim.Projection, "r1", true); err != nil {
			t.Errorf("dropped again: %v", err)
		}
	}
	r3.wantReaders(t, 0, 50)
}

func droppedIsFenced(t *testing.T, b *bench) {
	_, r2 := b.pair(t, 30, 0, 0)
	if err := b.open(t).DropRevision(b.ctx, claim.Projection, "r2", false); err != nil {
		t.Fatal(err)
	}
	was := b.server.Everything(t)
	if err := r2.step(95); err == nil {
		t.Error("a writer went on after the drop")
	}
	wantFenced(t, r2.claim())
	unchanged(t, b, was)
}

func dropKeepOne(t *testing.T, b *bench) {
	r1, r2 := b.pair(t, 60, 0, 0)
	r3 := b.folder(t, r1.journal, "r3", 0)
	r3.to(t, 10)
	r2.promote(t)
	if err := b.open(t).Drop(b.ctx, claim.Projection, true); err != nil {
		t.Fatal(err)
	}
	wantNone(t, b, "r1")
	wantNone(t, b, "r3")
	r2.wantReaders(t, 0, 180)
	r2.wantLoaded(t, 0, 180)
}

func listRevisions(t *testing.T, b *bench) {
	if got, err := b.open(t).Revisions(b.ctx, claim.Projection); len(got) > 0 || err != nil {
		t.Errorf("of nothing: %v (%v)", got, err)
	}
	_, r2 := b.pair(t, 30, 0, 0)
	r2.promote(t)
	got, err := b.open(t).Revisions(b.ctx, claim.Projection)
	want := []readmodel.Revision{{Name: "r2", Source: r2.c.Source, Published: true}, {Name: "r1", Source: r2.c.Source}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(%v) %s", err, diff)
	}
}
