package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
)

// replays are the tests of revisions beside each other.
var replays = map[string]func(*testing.T, *bench){
	"a replay, a rollback and what is dropped, in all forms": replayLife,
	"readers see nothing of what is only compared":           compareIsUnseen,
	"a promotion that dies at any step is gone on with":      promoteDies,
	"a drop of a revision that dies at any step goes on":     dropRevisionDies,
	"two promotions at once":                                 promoteTwice,
	"comparing and publishing while both fold on":            replayUnderWriters,
	"a reader sees whole entities during a promotion":        readDuringPromote,
	"a foreign key where an entity would be published":       promoteForeign,
	"a revision that is behind is not published":             promoteBehind,
	"the published revision is not dropped by mistake":       dropPublished,
	"a revision that was dropped is not made anew":           droppedIsFenced,
	"dropping with keep leaves the published revision alone": dropKeepOne,
	"revisions are listed":                                   listRevisions,
	"entities that readers do not see do not count":          compareBare,
}

// pair is a published revision and a candidate.
func (b *bench) pair(t *testing.T, entities, formA, formB int) (published, candidate *folder) {
	t.Helper()
	j := newJournal(entities)
	published, candidate = b.folder(t, j, "r1", formA), b.folder(t, j, "r2", formB)
	tip := uint64(3 * entities)
	published.to(t, tip)
	candidate.to(t, tip/2)
	candidate.to(t, tip)
	return published, candidate
}

// wantDiff judges a comparison by the models.
func wantDiff(t *testing.T, j *journal, from, to string, at uint64, got contract.Diff) {
	t.Helper()
	a, b := j.model(from, at), j.model(to, at)
	want := contract.Diff{AtID: fmt.Sprintf("%d-0", at), ChangedFields: map[string]int64{}}
	var sample []contract.DiffSample
	keys := slices.Clone(j.keys)
	slices.Sort(keys)
	for _, key := range keys {
		was, is := a[key], b[key]
		e := contract.DiffSample{Key: strings.ToValidUTF8(key, "\uFFFD")}
		e.Key = e.Key[:min(len(e.Key), 64)]
		switch {
		case was == nil && is == nil:
			continue
		case was == nil:
			want.Added++
			e.Change = contract.Added
		case is == nil:
			want.Removed++
			e.Change = contract.Removed
		case maps.Equal(was, is):
			want.Same++
			continue
		default:
			want.Changed++
			e.Change = contract.Changed
			for _, f := range []string{"b", "i", "j", "n", "s", "t"} {
				value, had := was[f]
				if now, has := is[f]; now != value || had != has {
					want.ChangedFields[f]++
					e.Fields = append(e.Fields, f)
				}
			}
		}
		if len(sample) < 20 {
			sample = append(sample, e)
		}
	}
	if want.Changed == 0 {
		want.ChangedFields = nil
	}
	want.Sample, want.Digest, want.HeldMillis = sample, got.Digest, got.HeldMillis
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the comparison of %s with %s:\n%s", from, to, diff)
	}
	if len(got.Digest) != 32 {
		t.Errorf("the digest is %q", got.Digest)
	}
}

func (f *folder) compare(t *testing.T) contract.Diff {
	t.Helper()
	d, err := f.store.Compare(f.ctx, f.c.Projection, f.c.Revision)
	if err != nil {
		t.Fatalf("compare: %v", err)
	}
	return d
}

func (f *folder) promote(t *testing.T) contract.Cutover {
	t.Helper()
	c, err := f.store.Promote(f.ctx, f.c.Projection, f.c.Revision)
	if err != nil {
		t.Fatalf("promote %s: %v", f.c.Revision, err)
	}
	return c
}

// replayLife: r2 is built beside r1, compared, published, rolled back, dropped.
func replayLife(t *testing.T, b *bench) {
	for formA := range b.server.Forms() {
		for formB := range b.server.Forms() {
			t.Run(fmt.Sprintf("%d to %d", formA, formB), func(t *testing.T) { oneReplay(t, b, formA, formB) })
		}
	}
}

func oneReplay(t *testing.T, b *bench, formA, formB int) {
	r1, r2 := b.pair(t, 60, formA, formB)
	r1.wantReaders(t, formA, 180)
	first := r2.compare(t)
	wantDiff(t, r1.journal, "r1", "r2", 180, first)
	if again := r2.compare(t); again.Digest != first.Digest {
		t.Errorf("the digest changes by itself: %s, %s", first.Digest, again.Digest)
	}
	got := r2.promote(t)
	if got.From != "r1" || got.To != "r2" {
		t.Errorf("promoted: %+v", got)
	}
	r2.wantReaders(t, formB, 180)
	for _, f := range []*folder{r1, r2} {
		wantFenced(t, f.step(181)) // where it wrote is another revision's now
		f.p = nil
		f.to(t, 200)
	}
	if r1.at.Published || !r2.at.Published {
		t.Error("the claims do not say which is published")
	}
	r2.wantReaders(t, formB, 200)
	r1.wantLoaded(t, formA, 200)
	back := r1.compare(t)
	wantDiff(t, r1.journal, "r2", "r1", 200, back)
	if back.Digest == first.Digest {
		t.Error("two models have one digest")
	}
	r1.promote(t)
	r1.wantReaders(t, formA, 200)
	r2.wantLoaded(t, formB, 200)
	if err := r2.store.DropRevision(b.ctx, claim.Projection, "r2", false); err != nil {
		t.Fatal(err)
	}
	r1.wantReaders(t, formA, 200)
	wantNone(t, b, "r2")
	r1.held = 0
	r1.p = nil
	r1.to(t, 230)
	r1.wantReaders(t, formA, 230)
	if err := r1.store.Drop(b.ctx, claim.Projection, false); err != nil {
		t.Fatal(err)
	}
	unchanged(t, b, map[string]string{})
}

// wantNone fails if anything is left of a revision.
func wantNone(t *testing.T, b *bench, revision string) {
	t.Helper()
	for key, content := range b.server.Everything(t) {
		if strings.Contains(key, revision) || strings.Contains(key, claim.Projection) && strings.Contains(content, revision) {
			t.Errorf("left of %s: %q: %s", revision, key, content)
		}
	}
}

func compareIsUnseen(t *testing.T, b *bench) {
	r1, r2 := b.pair(t, 40, 0, 0)
	was := b.server.Everything(t)
	r2.compare(t)
	is := b.server.Everything(t)
	for key := range is {
		if strings.Contains(key, claim.Projection) {
			delete(was, key) // epochs
			delete(is, key)
		}
	}
	if diff := cmp.Diff(was, is); diff != "" {
		t.Error(diff)
	}
	for _, f := range []*folder{r1, r2} {
		f.p = nil
		f.to(t, 130) // nothing holds them
	}
}

// promoteDies cuts all connections of a promotion after each of its replies.
func promoteDies(t *testing.T, b *bench) {
	for _, forms := range [][2]int{{0, 0}, {0, 1}, {2, 2}, {0, 2}, {3, 0}} {
		if max(forms[0], forms[1]) >= b.server.Forms() {
			continue
		}
		t.Run(fmt.Sprint(forms), func(t *testing.T) {
			dies(t, b, forms, func(s readmodel.Store, ctx context.Context) error {
				_, err := s.Promote(ctx, claim.Projection, "r2")
				return err
			}, func(t *testing.T, r1, r2 *folder) {
				r2.wantReaders(t, forms[1], 180)
				r1.wantLoaded(t, forms[0], 180)
				r2.wantLoaded(t, forms[1], 180)
			})
		})
	}
}

func dropRevisionDies(t *testing.T, b *bench) {
	dies(t, b, [2]int{0, 0}, func(s readmodel.Store, ctx context.Context) error {
		return s.DropRevision(ctx, claim.Projection, "r2", false)
	}, func(t *testing.T, r1, _ *folder) {
		wantNone(t, b, "r2")
		r1.wantReaders(t, 0, 180)
		r1.wantLoaded(t, 0, 180)
	})
}

func promoteTwice(t *testing.T, b *bench) {
	r1, r2 := b.pair(t, 3000, 0, 0)
	done := make(chan error, 3)
	for range cap(done) {
		s := b.open(t)
		go func() {
			_, err := s.Promote(b.ctx, claim.Projection, "r2")
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil && reasonOf(err) != contract.ReasonCuttingOver {
			t.Error(err)
		}
	}
	r2.promote(t) // as the Job that failed is run again
	r2.wantReaders(t, 0, 9000)
	r1.wantLoaded(t, 0, 9000)
}

// runAll folds on in the background, on a log that grows; stop ends it.
func runAll(t *testing.T, tip *atomic.Uint64, folders ...*folder) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, len(folders)+1)
	go func() {
		for ctx.Err() == nil {
			tip.Add(3)
			time.Sleep(300 * time.Microsecond)
		}
		ended <- nil
	}()
	for _, f := range folders {
		go func() { ended <- f.run(ctx, tip) }()
	}
	return func() {
		t.Helper()
		cancel()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
}

// replayUnderWriters compares and publishes back and forth while both fold on.
func replayUnderWriters(t *testing.T, b *bench) {
	for _, forms := range [][2]int{{0, 0}, {2, 2}, {1, 2}} {
		if max(forms[0], forms[1]) >= b.server.Forms() {
			continue
		}
		t.Run(fmt.Sprint(forms), func(t *testing.T) {
			r1, r2 := b.pair(t, 300, forms[0], forms[1])
			form := map[*folder]int{r1: forms[0], r2: forms[1]}
			var tip atomic.Uint64
			tip.Store(900)
			stop := sync.OnceFunc(runAll(t, &tip, r1, r2))
			defer stop()
			from, to := r1, r2
			for range 4 {
				d := to.compare(t)
				id, err := projector.ParseID(d.AtID)
				if err != nil {
					t.Fatal(err)
				}
				wantDiff(t, r1.journal, from.c.Revision, to.c.Revision, id.Ms, d)
				to.promote(t)
				from, to = to, from
			}
			stop()
			for _, f := range []*folder{r1, r2} {
				f.p = nil
				f.to(t, tip.Load())
				f.wantLoaded(t, form[f], tip.Load())
			}
			from.wantReaders(t, form[from], tip.Load())
			if err := r1.store.Drop(b.ctx, claim.Projection, false); err != nil {
				t.Fatal(err)
			}
			unchanged(t, b, map[string]string{})
		})
	}
}

func promoteForeign(t *testing.T, b *bench) {
	r1, r2 := b.pair(t, 30, 0, 0)
	p, cp := r2.p, r2.at
	b.commit(t, p, at(cp, 91), b.user(t, "new", projector.IntegerValue(1)))
	b.commit(t, r1.p, at(r1.at, 91))
	b.server.Plant(t, "new")
	was := b.server.Everything(t)
	_, err := r2.store.Promote(b.ctx, claim.Projection, "r2")
	wantFault(t, err, contract.ReasonNotOwned, "new")
	unchanged(t, b, was)
	b.commit(t, r1.p, at(r1.at, 92)) // nothing holds it
}

// promoteBehind: readers would go back in time.
func promoteBehind(t *testing.T, b *bench) {
	r1, r2 := b.pair(t, 30, 0, 0)
	r1.to(t, 99)
	done := make(chan error, 1)
	go func() {
		_, err := r2.store.Promote(b.ctx, claim.Projection, "r2")
		done <- err
	}()
	for r2.at.Until == nil { // it is told how far it is to come
		r2.p = nil
		if err := r2.turn(90); err != nil {
			t.Fatal(err)
		}
	}
	if r2.at.Until.Ms != 99 {
		t.Errorf("it may fold up to %s", r2.at.Until)
	}
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	r2.to(t, 99)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r2.wantReaders(t, 0, 99)
}

// compareBare: a hash with no field is no hash, and a revision of another log has
// no ID in common.
func compareBare(t *testing.T, b *bench) {
	r1, r2 := b.folder(t, newJournal(1), "r1", 0), b.folder(t, newJournal(1), "r2", 0)
	r2.c.Source = "redis://log others"
	x := projector.IntegerValue(1)
	for f, changed := range map[*folder][]readmodel.Entity{
		r1: {b.user(t, "both bare"), b.user(t, "now bare", x), b.user(t, "was bare")},
		r2: {b.user(t, "both bare"), b.user(t, "now bare"), b.user(t, "was bare", x)},
	} {
		if f == r2 {
			continue
		}
		if err := f.claim(); err != nil {
			t.Fatal(err)
		}
		b.commit(t, f.p, at(f.at, 1), changed...)
	}
	if err := r2.claim(); err != nil {
		t.Fatal(err)
	}
	b.commit(t, r2.p, at(r2.at, 7), b.user(t, "both bare"), b.user(t, "now bare"), b.user(t, "was bare", x))
	want := contract.Diff{Added: 1, Removed: 1, Sample: []contract.DiffSample{{Key: "now bare", Change: contract.Removed}, {Key: "was bare", Change: contract.Added}}}
	got := r2.compare(t)
	got.Digest, got.HeldMillis = "", 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	r2.promote(t)
	for key, want := range map[string]map[string]string{"both bare": nil, "now bare": nil, "was bare": {"i": "1"}} {
		if diff := cmp.Diff(want, b.server.Lookup(t, key)); diff != "" {
			t.Errorf("%q: %s", key, diff)
		}
	}
	if err := r1.claim(); err != nil {
		t.Fatal(err)
	}
	if !b.load(t, r1.p, "both bare").Exists() || b.load(t, r1.p, "now bare").Get("i").Int() != 1 {
		t.Error("the old revision is not whole")
	}
	if errors.Is(r1.claim(), readmodel.ErrFenced) {
		t.Error("it is fenced")
	}
}
