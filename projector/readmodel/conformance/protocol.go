package conformance

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
)

func startsWhereTold(t *testing.T, b *bench) {
	c := claim
	c.Start = projector.ID{Ms: 7, Seq: 3}
	_, got := b.claim(t, b.open(t), c)
	want := readmodel.Checkpoint{Mark: readmodel.Mark{Position: c.Start, Entries: -1}, Epoch: 1, Empty: true, Published: true, Publication: got.Publication}
	if diff := cmp.Diff(want, got); diff != "" || got.Publication <= 0 {
		t.Errorf("publication %d; %s", got.Publication, diff)
	}
}

func goesOn(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	b.commit(t, p, at(cp, 5), b.user(t, "1", projector.IntegerValue(1)))
	c := claim
	c.UID, c.Start = "u-2", projector.ID{Ms: 99} // made again: the same name and revision adopt the model
	_, got := b.claim(t, b.open(t), c)
	want := at(cp, 5)
	want.Epoch++
	want.Published, want.Publication = true, cp.Publication
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func fenced(t *testing.T, b *bench) {
	old, cp := b.claim(t, b.open(t), claim)
	b.commit(t, old, at(cp, 1), b.user(t, "1", projector.IntegerValue(1)))
	b.claim(t, b.open(t), claim)
	was := b.server.Everything(t)
	wantFenced(t, b.try(old, at(cp, 2), b.user(t, "2", projector.IntegerValue(2))))
	unchanged(t, b, was)
}

// fencedByItsMaker: the entity that an old claim would make is there already, made
// by the successor. That is no foreign key.
func fencedByItsMaker(t *testing.T, b *bench) {
	old, cp := b.claim(t, b.open(t), claim)
	b.commit(t, old, at(cp, 1), b.user(t, "1", projector.IntegerValue(1)))
	successor, next := b.claim(t, b.open(t), claim)
	b.commit(t, successor, at(next, 2), b.user(t, "2", projector.IntegerValue(2)))
	was := b.server.Everything(t)
	wantFenced(t, b.try(old, at(cp, 2), b.user(t, "2", projector.IntegerValue(2))))
	unchanged(t, b, was)
}

func twoWriters(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	for round := range uint64(5) {
		p1, cp1 := b.claim(t, one, claim)
		p2, cp2 := b.claim(t, two, claim)
		wantFenced(t, b.try(p1, at(cp1, 100)))
		b.commit(t, p2, at(cp2, round))
		wantFenced(t, b.try(p1, at(cp1, 101)))
		got, err := p1.Position(b.ctx)
		if err != nil || got.Position.Ms != round || got.Epoch != cp2.Epoch {
			t.Fatalf("the position is %+v (%v), want %d of epoch %d", got, err, round, cp2.Epoch)
		}
	}
}

func neverTakesBack(t *testing.T, b *bench) {
	first, second := b.open(t), b.open(t)
	_, cp := b.claim(t, first, claim)
	again := claim
	again.Held = cp.Epoch
	_, cp = b.claim(t, first, again) // nobody came between
	p, held := b.claim(t, second, claim)
	again.Held = cp.Epoch
	_, _, err := first.Claim(b.ctx, again)
	wantFenced(t, err)
	b.commit(t, p, at(held, 1))
}

func lostClaim(t *testing.T, b *bench) {
	proxy := NewProxy(t, b.server.Addr())
	s := b.server.Open(t, b.schema, proxy)
	_, cp := b.claim(t, s, claim)
	again := claim
	again.Held = cp.Epoch
	for range 3 { // whichever of the claim's replies it is
		proxy.LoseNextReply()
		_, _, _ = s.Claim(b.ctx, again)
		proxy.Cut()
	}
	p, cp := b.claimPatiently(t, s, again)
	b.commit(t, p, at(cp, 1))
}

// claimPatiently claims until the store has new connections.
func (b *bench) claimPatiently(t *testing.T, s readmodel.Store, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint) {
	t.Helper()
	for {
		p, cp, err := s.Claim(b.ctx, c)
		if err == nil {
			return p, cp
		}
		if errors.Is(err, readmodel.ErrFenced) || b.ctx.Err() != nil {
			t.Fatalf("claim: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
}

func lostReply(t *testing.T, b *bench) {
	proxy := NewProxy(t, b.server.Addr())
	p, cp := b.claim(t, b.server.Open(t, b.schema, proxy), claim)
	proxy.LoseNextReply()
	// An entity that is stored already: the commit is its one round trip.
	err := b.try(p, at(cp, 9))
	if !errors.Is(err, readmodel.ErrOutcomeUnknown) {
		t.Fatalf("want ErrOutcomeUnknown, got %v", err)
	}
	got, err := b.position(p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(at(cp, 9), got); diff != "" {
		t.Error(diff)
	}
}

// position asks until the store has new connections.
func (b *bench) position(p readmodel.Partition) (cp readmodel.Checkpoint, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	for {
		if cp, err = p.Position(ctx); err == nil || ctx.Err() != nil {
			return cp, err
		}
		time.Sleep(time.Millisecond)
	}
}

func allOrNothing(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	b.server.Plant(t, "z") // the last of many
	was := b.server.Everything(t)
	one := projector.IntegerValue(1)
	if err := b.try(p, at(cp, 1), b.user(t, "a", one), b.user(t, "b", one), b.user(t, "z", one)); err == nil {
		t.Fatal("it was not refused")
	}
	unchanged(t, b, was)
}

func foreignLedger(t *testing.T, b *bench) {
	b.server.PlantLedger(t, claim.Projection)
	was := b.server.Everything(t)
	s := b.open(t)
	_, _, err := s.Claim(b.ctx, claim)
	wantFault(t, err, contract.ReasonNotOwned, claim.Projection)
	if err := s.Drop(b.ctx, claim.Projection, false); err != nil {
		t.Errorf("drop: %v", err)
	}
	unchanged(t, b, was)
}

func besidePublished(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	b.commit(t, p, at(cp, 1), b.user(t, "1", projector.IntegerValue(1)))
	was := b.server.Lookup(t, "1")
	other := claim
	other.Revision = "r2"
	candidate, from := b.claim(t, b.open(t), other)
	if from.Published || !from.Empty || from.Events != 0 {
		t.Errorf("the candidate begins at %+v", from)
	}
	b.commit(t, candidate, at(from, 1), b.user(t, "1", projector.IntegerValue(2)))
	if diff := cmp.Diff(was, b.server.Lookup(t, "1")); diff != "" {
		t.Errorf("readers see the candidate:\n%s", diff)
	}
	b.commit(t, p, at(cp, 2)) // the published one goes on
}

func givesWay(t *testing.T, b *bench) {
	b.claim(t, b.open(t), claim)
	other := claim
	other.Revision = "r2"
	p, cp := b.claim(t, b.open(t), other)
	b.commit(t, p, at(cp, 1), b.user(t, "1", projector.IntegerValue(1)))
	if err := b.open(t).Drop(b.ctx, claim.Projection, false); err != nil {
		t.Fatal(err)
	}
	unchanged(t, b, map[string]string{})
}

func gaveWay(t *testing.T, b *bench) {
	old, cp := b.claim(t, b.open(t), claim)
	other := claim
	other.Revision = "r2"
	b.claim(t, b.open(t), other)
	was := b.server.Everything(t)
	wantFenced(t, b.try(old, at(cp, 1), b.user(t, "1", projector.IntegerValue(1))))
	unchanged(t, b, was)
}

func partitions(t *testing.T, b *bench) {
	s := b.open(t)
	second := claim
	second.Partition = 1
	p0, cp0 := b.claim(t, s, claim)
	p1, cp1 := b.claim(t, s, second)
	b.commit(t, p0, at(cp0, 1), b.user(t, "a", projector.IntegerValue(1)))
	b.commit(t, p1, at(cp1, 2), b.user(t, "b", projector.IntegerValue(1)))
	b.commit(t, p0, at(cp0, 3))
	got, err := p1.Position(b.ctx)
	if err != nil || got != at(cp1, 2) {
		t.Errorf("partition 1 is at %+v (%v)", got, err)
	}
}
