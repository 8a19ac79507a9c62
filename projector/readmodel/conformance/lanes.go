package conformance

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
)

// withLanes spreads the lanes over IDs from the checkpoint's on.
func withLanes(cp readmodel.Checkpoint) readmodel.Checkpoint {
	cp.Lanes = new([readmodel.Lanes]readmodel.Mark)
	for i := range cp.Lanes {
		cp.Lanes[i] = at(cp, cp.Position.Ms+uint64(i*i)).Mark
	}
	cp.Lanes[5].Position.Seq = 1<<64 - 1
	cp.Lanes[6].Entries = -1
	return cp
}

func lanes(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	one := b.user(t, "1", projector.IntegerValue(1))
	for _, want := range []readmodel.Checkpoint{withLanes(at(cp, 3)), withLanes(at(cp, 70)), at(cp, 5000), withLanes(at(cp, 5001))} {
		want.Epoch = cp.Epoch
		set(one, projector.IntegerValue(want.Events))
		b.commit(t, p, want, one)
		got, err := p.Position(b.ctx)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("the position (%v): %s", err, diff)
		}
		next, claimed := b.claim(t, b.open(t), claim)
		want.Epoch++
		want.Published, want.Publication = true, cp.Publication
		if diff := cmp.Diff(want, claimed); diff != "" {
			t.Errorf("as claimed: %s", diff)
		}
		p, cp.Epoch = next, claimed.Epoch
		b.commit(t, p, claimed)
		b.commit(t, p, claimed)
	}
}

// lanesTail commits a lane after another, and then all of them at the tail.
func lanesTail(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	b.commit(t, p, withLanes(at(cp, 3)))
	b.commit(t, p, at(cp, 4000))
	b.commit(t, p, at(cp, 4001))
	got, err := p.Position(b.ctx)
	if diff := cmp.Diff(at(cp, 4001), got); diff != "" || err != nil {
		t.Errorf("the lanes did not go (%v): %s", err, diff)
	}
	if got.Lanes != nil {
		t.Error("the lanes did not go")
	}
}

func claimedEmpty(t *testing.T, b *bench) {
	_, cp := b.claim(t, b.open(t), claim)
	p, again := b.claim(t, b.open(t), claim)
	if !cp.Empty || !again.Empty {
		t.Error("a model without entities is not called empty")
	}
	bare := b.user(t, "bare")
	b.commit(t, p, at(again, 1), bare)
	p, full := b.claim(t, b.open(t), claim)
	if full.Empty {
		t.Error("a model with an entity that has no field is called empty")
	}
	bare.State.Delete()
	b.commit(t, p, at(full, 2), bare)
	if _, cp = b.claim(t, b.open(t), claim); !cp.Empty {
		t.Error("a model whose only entity was deleted is not called empty")
	}
}

func asPrepared(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	e := b.user(t, "1", projector.StringValue("as prepared"), projector.IntegerValue(1))
	prepared := prepare(p, at(cp, 1), e)
	set(e, projector.StringValue("changed meanwhile"))
	e.State.UnsetAt(slotOf(projector.Integer))
	if err := p.Commit(b.ctx, prepared); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"s": "as prepared", "i": "1"}, b.server.Lookup(t, "1")); diff != "" {
		t.Error(diff)
	}
	b.commit(t, p, at(cp, 2), e)
	if diff := cmp.Diff(map[string]string{"s": "changed meanwhile"}, b.server.Lookup(t, "1")); diff != "" {
		t.Error(diff)
	}
}

// preparedAhead lets the fold be two transactions ahead of the commits, with
// entities that come, change and go in between.
func preparedAhead(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	changes, comes, goes := b.user(t, "changes"), b.user(t, "comes"), b.user(t, "goes", projector.IntegerValue(1))
	var prepared []readmodel.Transaction
	for i := range int64(4) {
		set(changes, projector.IntegerValue(i))
		switch i {
		case 1:
			goes.State.Delete()
		case 2:
			set(comes, projector.StringValue("x"))
			set(goes, projector.StringValue("is back"))
		case 3:
			comes.State.Delete()
		}
		prepared = append(prepared, prepare(p, at(cp, uint64(i)+1), changes, comes, goes))
	}
	for i, transaction := range prepared {
		if err := p.Commit(b.ctx, transaction); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"i": fmt.Sprint(i)}, b.server.Lookup(t, "changes")); diff != "" {
			t.Error(diff)
		}
	}
	if got := b.load(t, p, "comes"); got.Exists() {
		t.Error("what came and went is there")
	}
	if diff := cmp.Diff(map[string]string{"s": "is back"}, b.server.Lookup(t, "goes")); diff != "" {
		t.Error(diff)
	}
}

func unchangedEntities(t *testing.T, b *bench) {
	p, cp := b.claim(t, b.open(t), claim)
	e := b.user(t, "1", projector.IntegerValue(1))
	b.commit(t, p, at(cp, 1), e)
	b.server.Plant(t, "1")
	b.commit(t, p, at(cp, 2), e)
	if got := b.server.Lookup(t, "1")["s"]; got != "not ours" {
		t.Errorf("an entity that did not change was written: s = %q", got)
	}
}

// doubtHeals meddles with an entity, which a commit finds out and the next one
// puts right, whatever the entity is by then.
func doubtHeals(t *testing.T, b *bench) {
	for name, then := range map[string]func(readmodel.Entity){
		"the same":       func(readmodel.Entity) {},
		"changed":        func(e readmodel.Entity) { set(e, projector.IntegerValue(3)) },
		"without fields": func(e readmodel.Entity) { e.State.UnsetAt(slotOf(projector.Integer)) },
		"deleted":        func(e readmodel.Entity) { e.State.Delete() },
	} {
		c := claim
		c.Projection = "shop/" + name
		p, cp := b.claim(t, b.open(t), c)
		e := b.user(t, name, projector.IntegerValue(1))
		b.commit(t, p, at(cp, 1), e)
		b.server.Plant(t, name) // the field s
		set(e, projector.IntegerValue(2), projector.StringValue("new"))
		err := b.try(p, at(cp, 2), e)
		var altered *readmodel.AlteredError
		if !errors.As(err, &altered) || !cmp.Equal(altered.Keys, []string{name}) {
			t.Fatalf("%s: want an AlteredError, got %v", name, err)
		}
		wantFault(t, err, contract.ReasonNotOwned, name)
		e.State.UnsetAt(slotOf(projector.String))
		then(e)
		e.State.Doubt()
		b.commit(t, p, at(cp, 3), e)
		var want map[string]string
		if e.State.Get("i").IsSet() {
			want = map[string]string{"i": e.State.Get("i").Text()}
		}
		if diff := cmp.Diff(want, b.server.Lookup(t, name)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if b.load(t, p, name).Exists() != e.State.Exists() {
			t.Errorf("%s: the ledger was not put right", name)
		}
		set(e, projector.IntegerValue(9))
		b.commit(t, p, at(cp, 4), e) // and all goes on
	}
}

func loadBesideCommit(t *testing.T, b *bench) {
	p, cp := b.fill(t, 2000)
	done := make(chan error)
	next := make(chan readmodel.Transaction, 2)
	go func() {
		var failed error
		for transaction := range next {
			failed = errors.Join(failed, p.Commit(b.ctx, transaction))
		}
		done <- failed
	}()
	for i := range 50 {
		next <- prepare(p, at(cp, uint64(i)+2), b.user(t, fmt.Sprint("new", i), projector.IntegerValue(1)))
		for k := range 20 {
			key := fmt.Sprint(i*20 + k)
			if got := b.load(t, p, key).Get("i").Text(); got != key {
				t.Errorf("entity %s holds %q", key, got)
			}
		}
	}
	close(next)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// loadMixed loads entities of all sorts, more than any store asks for at once.
func loadMixed(t *testing.T, b *bench) {
	const n = 35_000
	p, cp := b.claim(t, b.open(t), claim)
	var made []readmodel.Entity
	keys, states := make([]string, n), make([]*projector.State, n)
	for i := range n {
		keys[i], states[i] = fmt.Sprint(i), projector.NewState(b.schema)
		switch i % 3 {
		case 0:
			made = append(made, b.user(t, keys[i], projector.IntegerValue(int64(i)), projector.StringValue(keys[i])))
		case 1:
			made = append(made, b.user(t, keys[i]))
		}
	}
	b.commit(t, p, at(cp, 1), made...)
	if err := p.Load(b.ctx, keys, states); err != nil {
		t.Fatal(err)
	}
	for i, s := range states {
		wanted := s.Exists() == (i%3 != 2) && s.Get("i").IsSet() == (i%3 == 0)
		if !wanted || s.Get("s").Str() != "" && s.Get("s").Str() != keys[i] || s.InStore() != s.Exists() || s.Changed() {
			t.Fatalf("entity %d: exists %t, i %q, s %q", i, s.Exists(), s.Get("i").Text(), s.Get("s").Text())
		}
	}
	const foreign = 18_002
	b.server.Plant(t, keys[foreign])
	for i := range states {
		states[i] = projector.NewState(b.schema)
	}
	wantFault(t, p.Load(b.ctx, keys, states), contract.ReasonNotOwned, keys[foreign])
}
