package redishash_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/failpoint"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/readmodel/redishash"
)

// revisions are some on one server, of the fields s and t.
type revisions struct {
	*testServer
	t      *testing.T
	schema *projector.Schema
	store  *redishash.Store
}

func newRevisions(t *testing.T) *revisions {
	t.Helper()
	return newRevisionsAt(t, redis.Start(t))
}

func newRevisionsAt(t *testing.T, server *redis.Server) *revisions {
	t.Helper()
	schema, err := projector.NewSchema([]contract.Field{{Name: "s", Type: contract.TypeString}, {Name: "t", Type: contract.TypeString}})
	if err != nil {
		t.Fatal(err)
	}
	r := &revisions{&testServer{addr: server.Addr(), client: client(t, server.Addr())}, t, schema, nil}
	r.store = r.as(contract.CutoverRename)
	return r
}

func (r *revisions) as(cutover string) *redishash.Store {
	return redishash.New(client(r.t, r.addr), r.schema, prefix, cutover)
}

// writer is a claim of a revision.
type writer struct {
	*revisions
	store *redishash.Store
	c     readmodel.Claim
	p     readmodel.Partition
	at    readmodel.Checkpoint
}

func (r *revisions) writer(store *redishash.Store, revision string) *writer {
	return &writer{revisions: r, store: store, c: readmodel.Claim{Projection: users.Projection, Revision: revision, Source: "log"}}
}

func (w *writer) claim() error {
	w.c.Held = w.at.Epoch
	p, at, err := w.store.Claim(w.t.Context(), w.c)
	if err == nil {
		w.p, w.at = p, at
	}
	return err
}

// commit sets the field s of entities at a position.
func (w *writer) commit(ms uint64, text string, keys ...string) error {
	var states []*projector.State
	var changed []readmodel.Entity
	for _, key := range keys {
		s := projector.NewState(w.schema)
		states, changed = append(states, s), append(changed, readmodel.Entity{Key: key, State: s})
	}
	if err := w.p.Load(w.t.Context(), keys, states); err != nil {
		return err
	}
	for _, s := range states {
		s.SetAt(0, projector.StringValue(text))
	}
	next := w.at
	next.Position, next.Events = projector.ID{Ms: ms}, int64(ms)
	err := w.p.Commit(w.t.Context(), w.p.Prepare(changed, next))
	if err == nil {
		w.at = next
	}
	return err
}

// two are a published revision and a candidate, at one position.
func (r *revisions) two() (published, candidate *writer) {
	r.t.Helper()
	published, candidate = r.writer(r.store, "r1"), r.writer(r.as(contract.CutoverRename), "r2")
	for _, w := range []*writer{published, candidate} {
		if err := w.claim(); err != nil {
			r.t.Fatal(err)
		}
		if err := w.commit(5, "old", "1", "2"); err != nil {
			r.t.Fatal(err)
		}
	}
	return published, candidate
}

func wantReason(t *testing.T, err error, reason string, permanent bool, naming string) {
	t.Helper()
	if f := fault.As(err); f == nil || f.Reason != reason || f.Permanent != permanent || !strings.Contains(f.Message, naming) {
		t.Errorf("want %s (permanent %v) that names %q, got %v", reason, permanent, naming, err)
	}
}

func TestAHoldEndsByItselfAndTheComparisonBeginsAgain(t *testing.T) {
	r := newRevisions(t)
	published, candidate := r.two()
	r.store.SetLease(150 * time.Millisecond)
	holds := 0
	r.store.AtStep(func(step string) {
		if step != failpoint.CompareArrived {
			return
		}
		if holds++; holds > 1 {
			return
		}
		// Frozen past the lease: both go on.
		if err := published.commit(6, "new", "1"); !errors.Is(err, readmodel.ErrFenced) {
			t.Errorf("a commit under the hold: %v", err)
		}
		wantReason(t, published.claim(), contract.ReasonHeld, false, "")
		time.Sleep(200 * time.Millisecond)
		for _, w := range []*writer{published, candidate} {
			if err := w.claim(); err != nil {
				t.Errorf("after the lease: %v", err)
			}
			if err := w.commit(6, "new by "+w.c.Revision, "1"); err != nil {
				t.Error(err)
			}
		}
		if r.client.HExists(t.Context(), "refold:{shop/users}", "op").Val() {
			t.Error("the hold that ran out is still there")
		}
	})
	d, err := r.store.Compare(t.Context(), users.Projection, "r2")
	if err != nil {
		t.Fatal(err)
	}
	want := contract.Diff{AtID: "6-0", Same: 1, Changed: 1, ChangedFields: map[string]int64{"s": 1},
		Sample: []contract.DiffSample{{Key: "1", Change: contract.Changed, Fields: []string{"s"}}}, Digest: d.Digest, HeldMillis: d.HeldMillis}
	if diff := cmp.Diff(want, d); diff != "" || holds != 2 {
		t.Errorf("%d holds: %s", holds, diff)
	}
}

func TestAHoldBindsBothToOneID(t *testing.T) {
	r := newRevisions(t)
	published, candidate := r.two()
	if err := published.commit(9, "new", "1"); err != nil {
		t.Fatal(err)
	}
	held := false
	r.store.AtStep(func(step string) {
		if step != failpoint.CompareHeld {
			return
		}
		held = true
		wantReason(t, published.claim(), contract.ReasonHeld, false, "") // it is there
		if err := candidate.commit(8, "x", "1"); !errors.Is(err, readmodel.ErrFenced) {
			t.Errorf("a commit of before the hold: %v", err)
		}
		if err := candidate.claim(); err != nil {
			t.Fatal(err)
		}
		if until := candidate.at.Until; until == nil || until.Ms != 9 {
			t.Errorf("it may fold up to %v", until)
		}
		if err := candidate.commit(9, "new", "1"); err != nil {
			t.Fatal(err)
		}
		wantReason(t, candidate.claim(), contract.ReasonHeld, false, "")
	})
	d, err := r.store.Compare(t.Context(), users.Projection, "r2")
	if err != nil || d.AtID != "9-0" || d.Same != 2 || !held {
		t.Errorf("%+v (%v)", d, err)
	}
	for _, w := range []*writer{published, candidate} {
		if err := w.claim(); err != nil || w.at.Until != nil {
			t.Errorf("after the comparison: %+v (%v)", w.at, err)
		}
	}
}

func TestARevisionThatDoesNotComeUpIsNotCompared(t *testing.T) {
	for name, c := range map[string]struct {
		behind    string
		permanent bool
	}{"the published one has halted": {"r1", true}, "the candidate lags": {"r2", false}} {
		t.Run(name, func(t *testing.T) {
			r := newRevisions(t)
			published, candidate := r.two()
			r.store.SetLease(100 * time.Millisecond)
			ahead := map[string]*writer{"r1": candidate, "r2": published}[c.behind]
			if err := ahead.commit(7, "x", "1"); err != nil {
				t.Fatal(err)
			}
			_, err := r.store.Compare(t.Context(), users.Projection, "r2")
			wantReason(t, err, contract.ReasonNotComparable, c.permanent, c.behind)
			if err := ahead.claim(); err != nil || ahead.at.Until != nil {
				t.Errorf("it is held on: %v", err)
			}
			if c.behind == "r2" {
				_, err = r.store.Promote(t.Context(), users.Projection, "r2")
				wantReason(t, err, contract.ReasonNotComparable, false, "r2")
				if err := ahead.claim(); err != nil || ahead.at.Until != nil {
					t.Errorf("it is held on: %v", err)
				}
			}
		})
	}
}

func TestWhatChangesDuringAComparisonIsComparedAgain(t *testing.T) {
	r := newRevisions(t)
	published, candidate := r.two()
	r.store.AtStep(func(step string) {
		if step != failpoint.CompareTracking && step != failpoint.CompareArrived {
			return
		}
		if step == failpoint.CompareArrived {
			// What must not happen, does: tracking tells even that.
			r.client.HSet(t.Context(), "~r2:user:2", "t", "behind our back")
			r.client.Ping(t.Context())
			return
		}
		for _, w := range []*writer{published, candidate} {
			if err := w.commit(6, "by "+w.c.Revision, "1", "3"); err != nil {
				t.Error(err)
			}
		}
	})
	d, err := r.store.Compare(t.Context(), users.Projection, "r2")
	want := map[string]int64{"s": 2, "t": 1}
	if diff := cmp.Diff(want, d.ChangedFields); diff != "" || err != nil || d.Changed != 3 || d.Same != 0 {
		t.Errorf("%+v (%v)", d, err)
	}
	fresh, err := r.as("").Compare(t.Context(), users.Projection, "r2")
	if err != nil || fresh.Digest != d.Digest {
		t.Errorf("a digest put together is %s, one made at once %s (%v)", d.Digest, fresh.Digest, err)
	}
}

// Without tracking all is compared under the hold; the counts are the same.
func TestAUserWithoutTrackingComparesUnderTheHold(t *testing.T) {
	r := newRevisions(t)
	_, candidate := r.two()
	if err := candidate.commit(5, "other", "1"); err != nil {
		t.Fatal(err)
	}
	tracked, err := r.store.Compare(t.Context(), users.Projection, "r2")
	if err != nil {
		t.Fatal(err)
	}
	rule := []any{"acl", "setuser"}
	for _, word := range strings.Fields("refold on >secret ~* &* +@all -client|tracking") {
		rule = append(rule, word)
	}
	if err := r.client.Do(t.Context(), rule...).Err(); err != nil {
		t.Fatal(err)
	}
	user := goredis.NewClient(&goredis.Options{Addr: r.addr, Username: "refold", Password: "secret", MaxRetries: -1,
		Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}})
	store := redishash.New(user, r.schema, prefix, "")
	t.Cleanup(func() { _ = store.Close() })
	d, err := store.Compare(t.Context(), users.Projection, "r2")
	tracked.HeldMillis, d.HeldMillis = 0, 0
	if diff := cmp.Diff(tracked, d); diff != "" || err != nil || d.Changed != 1 {
		t.Errorf("(%v) %s", err, diff)
	}
	denied, err := r.client.ACLLog(t.Context(), 10).Result()
	if err != nil || len(denied) != 1 {
		t.Errorf("tracking was not refused: %v (%v)", denied, err)
	}
}

func TestSomethingThatIsNotOursStandsWhereThePointerBelongs(t *testing.T) {
	for name, plant := range map[string]func(c *goredis.Client, key string) error{
		"a string": func(c *goredis.Client, key string) error { return c.Set(context.Background(), key, "theirs", 0).Err() },
		"a hash":   func(c *goredis.Client, key string) error { return c.HSet(context.Background(), key, "a", "b").Err() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRevisions(t)
			if err := plant(r.client, "user:@active"); err != nil {
				t.Fatal(err)
			}
			was := r.Everything(t)
			first := r.writer(r.as(contract.CutoverPointer), "r1")
			wantReason(t, first.claim(), contract.ReasonNotOwned, true, "user:@active")
			if diff := cmp.Diff(was, r.Everything(t)); diff != "" {
				t.Error(diff)
			}
			r.two()
			candidate := r.writer(r.as(contract.CutoverPointer), "r3")
			if err := candidate.claim(); err != nil {
				t.Fatal(err)
			}
			if err := candidate.commit(5, "x", "1"); err != nil {
				t.Fatal(err)
			}
			was = r.Everything(t)
			_, err := r.store.Promote(t.Context(), users.Projection, "r3")
			wantReason(t, err, contract.ReasonNotOwned, true, "user:@active")
			if diff := cmp.Diff(was, r.Everything(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestADamagedRevisionIsHealedByAReplay(t *testing.T) {
	r := newRevisions(t)
	published, candidate := r.two()
	state := projector.NewState(r.schema)
	if err := published.p.Load(t.Context(), []string{"1"}, []*projector.State{state}); err != nil {
		t.Fatal(err)
	}
	r.client.Set(t.Context(), "user:1", "somebody's", 0)
	state.SetAt(0, projector.StringValue("missed"))
	err := published.p.Commit(t.Context(), published.p.Prepare([]readmodel.Entity{{Key: "1", State: state}}, published.at))
	wantReason(t, err, contract.ReasonNotOwned, true, "user:1")
	wantReason(t, published.claim(), contract.ReasonNotOwned, true, "user:1")
	r.client.Del(t.Context(), "user:1")
	if err := candidate.commit(6, "new", "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Promote(t.Context(), users.Projection, "r2"); err != nil {
		t.Fatal(err)
	}
	if got := r.Lookup(t, "1"); got["s"] != "new" {
		t.Errorf("readers see %v", got)
	}
	if err := candidate.claim(); err != nil {
		t.Error(err)
	}
	_, err = r.store.Promote(t.Context(), users.Projection, "r1")
	wantReason(t, err, contract.ReasonNotOwned, true, "user:1")
}

// A swap stands until a Job ends it: readers' keys are the new revision's in part.
func TestDuringASwapNobodyWritesAndKeepEndsIt(t *testing.T) {
	r := newRevisions(t)
	published, candidate := r.two()
	ctx, cancel := context.WithCancel(t.Context())
	r.store.AtStep(func(step string) {
		if step == failpoint.PromoteRenaming {
			cancel()
		}
	})
	if _, err := r.store.Promote(ctx, users.Projection, "r2"); err == nil {
		t.Fatal("it was not broken off")
	}
	r.store.AtStep(nil)
	for _, w := range []*writer{published, candidate} {
		if err := w.commit(6, "x", "1"); !errors.Is(err, readmodel.ErrFenced) {
			t.Errorf("a commit during the swap: %v", err)
		}
		wantReason(t, w.claim(), contract.ReasonCuttingOver, false, "")
		wantReason(t, r.store.DropRevision(t.Context(), users.Projection, w.c.Revision, true), contract.ReasonCuttingOver, false, "")
	}
	_, err := r.store.Compare(t.Context(), users.Projection, "r2")
	wantReason(t, err, contract.ReasonCuttingOver, false, "")
	_, err = r.store.Promote(t.Context(), users.Projection, "r1")
	wantReason(t, err, contract.ReasonCuttingOver, false, "")
	if err := r.store.Drop(t.Context(), users.Projection, true); err != nil {
		t.Fatal(err)
	}
	all := r.Everything(t)
	for key := range all {
		if strings.Contains(key, "r1") || strings.HasPrefix(key, "~") {
			t.Errorf("left: %s", key)
		}
	}
	if err := r.writer(r.as(""), "r2").claim(); err != nil || len(r.Lookup(t, "1")) != 1 || len(r.Lookup(t, "2")) != 1 {
		t.Errorf("not whole (%v): %v", err, all)
	}
}

func TestWhatStandsInABareEntitysPlaceIsNotDropped(t *testing.T) {
	r := newRevisions(t)
	published, candidate := r.two()
	for w, place := range map[*writer]string{published: prefix, candidate: "~r2:" + prefix} {
		bare := readmodel.Entity{Key: "bare", State: projector.NewState(r.schema)}
		bare.State.Create()
		if err := w.p.Commit(t.Context(), w.p.Prepare([]readmodel.Entity{bare}, w.at)); err != nil {
			t.Fatal(err)
		}
		r.client.HSet(t.Context(), place+"bare", "theirs", "1")
	}
	for _, drop := range []func() error{
		func() error { return r.store.DropRevision(t.Context(), users.Projection, "r2", false) },
		func() error { return r.store.Drop(t.Context(), users.Projection, false) },
	} {
		if err := drop(); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"user:bare": `"theirs"="1"`, "~r2:user:bare": `"theirs"="1"`}
	if diff := cmp.Diff(want, r.Everything(t)); diff != "" {
		t.Error(diff)
	}
}

// Where an entity was is another revision's now, or nobody's: that is no damage.
func TestALoadAfterTheSwapIsFenced(t *testing.T) {
	r := newRevisions(t)
	published, candidate := r.two()
	if err := errors.Join(published.commit(6, "x", "removed"), candidate.commit(6, "x", "1")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Promote(t.Context(), users.Projection, "r2"); err != nil {
		t.Fatal(err)
	}
	for w, key := range map[*writer]string{published: "removed", candidate: "1"} {
		err := w.p.Load(t.Context(), []string{key}, []*projector.State{projector.NewState(r.schema)})
		if !errors.Is(err, readmodel.ErrFenced) {
			t.Errorf("%s: want ErrFenced, got %v", w.c.Revision, err)
		}
	}
	if err := r.store.DropRevision(t.Context(), users.Projection, "r1", false); err != nil {
		t.Fatal(err)
	}
	if err := published.claim(); !errors.Is(err, readmodel.ErrFenced) {
		t.Errorf("claimed after it was dropped: %v", err)
	}
}

func TestADropDuringASwapLeavesNothing(t *testing.T) {
	for n := range 4 {
		var batches atomic.Int64
		r := newRevisions(t)
		published, candidate := r.two()
		var keys []string
		for i := range 400 {
			keys = append(keys, fmt.Sprint(i))
		}
		if err := errors.Join(published.commit(6, "x", keys[:300]...), candidate.commit(6, "y", keys[100:]...)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		r.store.AtStep(func(step string) {
			if step == failpoint.PromoteRenaming && batches.Add(1) > int64(n) {
				cancel()
			}
		})
		if _, err := r.store.Promote(ctx, users.Projection, "r2"); err == nil {
			t.Fatal("it was not broken off")
		}
		r.store.AtStep(nil)
		if err := r.store.Drop(t.Context(), users.Projection, false); err != nil {
			t.Fatal(err)
		}
		if left := r.Everything(t); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		cancel()
	}
}

// A drop ends a swap that is under way: it would rename behind it.
func TestADropStopsACutover(t *testing.T) {
	r := newRevisions(t)
	r.two()
	r.store.AtStep(func(step string) {
		if step == failpoint.PromoteDecided {
			if err := r.as("").Drop(t.Context(), users.Projection, false); err != nil {
				t.Error(err)
			}
		}
	})
	if _, err := r.store.Promote(t.Context(), users.Projection, "r2"); err == nil {
		t.Error("it went on")
	}
	if left := r.Everything(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What is in the way of a swap that has begun is named, and is not lost.
func TestAForeignKeyThatComesDuringASwap(t *testing.T) {
	r := newRevisions(t)
	_, candidate := r.two()
	if err := candidate.commit(6, "new", "added"); err != nil {
		t.Fatal(err)
	}
	published := r.writer(r.as(""), "r1")
	if err := errors.Join(published.claim(), published.commit(6, "old", "1")); err != nil {
		t.Fatal(err)
	}
	r.store.AtStep(func(step string) {
		if step == failpoint.PromoteDecided {
			r.client.Set(t.Context(), "user:added", "foreign", 0)
		}
	})
	for range 2 {
		_, err := r.store.Promote(t.Context(), users.Projection, "r2")
		wantReason(t, err, contract.ReasonNotOwned, true, "user:added")
		if r.client.Get(t.Context(), "user:added").Val() != "foreign" {
			t.Fatal("it was touched")
		}
		r.store.AtStep(nil)
	}
	r.client.Del(t.Context(), "user:added")
	if _, err := r.store.Promote(t.Context(), users.Projection, "r2"); err != nil {
		t.Fatal(err)
	}
	if got := r.Lookup(t, "added"); got["s"] != "new" {
		t.Errorf("readers see %v", got)
	}
}

func TestARowOfBeforeReplaysIsRead(t *testing.T) {
	r := newRevisions(t)
	first := r.writer(r.store, "r1")
	if err := errors.Join(first.claim(), first.commit(5, "x", "1")); err != nil {
		t.Fatal(err)
	}
	control := "refold:{shop/users}"
	r.client.HSet(t.Context(), control, "ledger:r1:0", prefix)
	if err := first.claim(); err != nil {
		t.Fatal(err)
	}
	want := `{"prefix":"user:","cutover":"Rename","source":"log","fields":["s","t"]}`
	if got := r.client.HGet(t.Context(), control, "ledger:r1:0").Val(); got != want {
		t.Errorf("the row is %s, want %s", got, want)
	}
	other := redishash.New(client(t, r.addr), r.schema, "other:", "")
	wantReason(t, r.writer(other, "r1").claim(), contract.ReasonReplayNeeded, true, prefix)
	wantReason(t, r.writer(r.as(contract.CutoverPointer), "r1").claim(), contract.ReasonReplayNeeded, true, "Rename")
}

// The rights that docs/projector.md names are enough for all of a replay.
func TestTheDocumentedUserMayReplay(t *testing.T) {
	text, err := os.ReadFile("../../../docs/projector.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "ACL SETUSER ")
	line, _, _ := strings.Cut(rest, "\n")
	r := newRevisions(t)
	rule := []any{"acl", "setuser"}
	for _, word := range strings.Fields(line) {
		rule = append(rule, word)
	}
	if err := r.client.Do(t.Context(), rule...).Err(); err != nil {
		t.Fatal(err)
	}
	for _, cutover := range []string{contract.CutoverRename, contract.CutoverPointer} {
		open := func() *redishash.Store {
			user := goredis.NewClient(&goredis.Options{Addr: r.addr, Username: "refold", Password: "secret", MaxRetries: -1,
				Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}})
			store := redishash.New(user, r.schema, prefix, cutover)
			t.Cleanup(func() { _ = store.Close() })
			return store
		}
		jobs := open()
		published, candidate := r.writer(open(), "r1"), r.writer(open(), "r2")
		published.c.Projection, candidate.c.Projection = "shop/user-profile", "shop/user-profile"
		steps := []func() error{
			published.claim, func() error { return published.commit(5, "x", "1") },
			candidate.claim, func() error { return candidate.commit(4, "x", "1", "2") },
			func() error {
				jobs.AtStep(func(step string) {
					if step == failpoint.CompareHeld {
						if err := errors.Join(candidate.claim(), candidate.commit(5, "x", "1")); err != nil {
							t.Errorf("under a hold: %v", err)
						}
					}
				})
				defer jobs.AtStep(nil)
				d, err := jobs.Compare(t.Context(), "shop/user-profile", "r2")
				if d.Added != 1 || d.Same != 1 {
					t.Errorf("compared: %+v", d)
				}
				return err
			},
			func() error { _, err := jobs.Promote(t.Context(), "shop/user-profile", "r2"); return err },
			candidate.claim, published.claim,
			func() error { _, err := jobs.Promote(t.Context(), "shop/user-profile", "r1"); return err },
			func() error { return jobs.DropRevision(t.Context(), "shop/user-profile", "r2", false) },
			func() error { return jobs.Drop(t.Context(), "shop/user-profile", true) },
			func() error { return jobs.Drop(t.Context(), "shop/user-profile", false) },
		}
		for i, step := range steps {
			if err := step(); err != nil {
				t.Fatalf("%s, step %d: %v", cutover, i, err)
			}
		}
		if left := r.Everything(t); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	denied, err := r.client.ACLLog(t.Context(), 100).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range denied {
		if d.Object != "restore" {
			t.Errorf("refused: %+v", d)
		}
	}
}
