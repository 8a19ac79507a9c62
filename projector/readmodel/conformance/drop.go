package conformance

import (
	"context"
	"fmt"
	"testing"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
)

// fill claims and commits n entities.
func (b *bench) fill(t *testing.T, n int) (readmodel.Partition, readmodel.Checkpoint) {
	t.Helper()
	p, cp := b.claim(t, b.open(t), claim)
	changed := make([]readmodel.Entity, n)
	for i := range n {
		changed[i] = b.user(t, fmt.Sprint(i), projector.IntegerValue(int64(i)))
	}
	changed = append(changed, b.user(t, "no field set"))
	b.commit(t, p, at(cp, 1), changed...)
	return p, at(cp, 1)
}

func drop(t *testing.T, b *bench) {
	b.server.Plant(t, "foreign")
	was := b.server.Everything(t)
	b.fill(t, 3000)
	if err := b.open(t).Drop(b.ctx, claim.Projection, false); err != nil {
		t.Fatal(err)
	}
	unchanged(t, b, was)
}

func dropKeep(t *testing.T, b *bench) {
	_, cp := b.fill(t, 10)
	was := b.server.Everything(t)
	if err := b.open(t).Drop(b.ctx, claim.Projection, true); err != nil {
		t.Fatal(err)
	}
	unchanged(t, b, was)
	p, got := b.claim(t, b.open(t), claim)
	if got.Position != cp.Position || !b.load(t, p, "3").Exists() {
		t.Errorf("a new Projection does not go on: %+v", got)
	}
}

func dropTwice(t *testing.T, b *bench) {
	b.fill(t, 10)
	for range 2 {
		if err := b.open(t).Drop(b.ctx, claim.Projection, false); err != nil {
			t.Fatal(err)
		}
		unchanged(t, b, map[string]string{})
	}
	_, cp := b.claim(t, b.open(t), claim)
	if cp.Events != 0 {
		t.Errorf("a model made after the drop begins at %+v", cp)
	}
}

func dropFences(t *testing.T, b *bench) {
	p, cp := b.fill(t, 10)
	if err := b.open(t).Drop(b.ctx, claim.Projection, false); err != nil {
		t.Fatal(err)
	}
	if err := b.try(p, at(cp, 2), b.user(t, "x", projector.IntegerValue(1))); err == nil {
		t.Error("a writer went on after the drop")
	}
	unchanged(t, b, map[string]string{})
}

func dropBrokenOff(t *testing.T, b *bench) {
	b.fill(t, 20_000)
	proxy := NewProxy(t, b.server.Addr())
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	broken := make(chan error, 1)
	go func() { broken <- b.server.Open(t, b.schema, proxy).Drop(ctx, claim.Projection, false) }()
	for len(b.server.Everything(t)) > 19_000 && len(broken) == 0 {
		continue // it has begun
	}
	cancel()
	proxy.Cut()
	if err := <-broken; err == nil {
		t.Skip("the drop was done before it could be broken off")
	}
	_, _, err := b.open(t).Claim(b.ctx, claim)
	wantFault(t, err, contract.ReasonReplayNeeded, "not finished")
	if err := b.open(t).Drop(b.ctx, claim.Projection, false); err != nil {
		t.Fatal(err)
	}
	unchanged(t, b, map[string]string{})
}
