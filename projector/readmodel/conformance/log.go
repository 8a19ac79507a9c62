package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
)

// journal is a log that has no end, and what each revision makes of it. Event i
// is of entity i mod len(keys).
type journal struct{ keys []string }

func newJournal(entities int) *journal {
	j := &journal{keys: []string{"a:b", "{x}", "{", "a\nb\r\n", "\x00", "\xff", "*", "[a]?", "a b", "%s", "☃", "~r9:user:1", "~", strings.Repeat("k", 300)}}
	for i := len(j.keys); i < entities; i++ {
		j.keys = append(j.keys, fmt.Sprint("k", i))
	}
	return j
}

// shape is what event i leaves of its entity: there is none, one without a field,
// or one with fields. Revisions agree on some entities and not on others.
func (j *journal) shape(revision string, i uint64) (exists bool, fields map[string]string) {
	k, r := i%uint64(len(j.keys)), uint64(revision[len(revision)-1])
	switch choice := (k*5 + i/uint64(len(j.keys)) + r*(k%4)) % 8; {
	case choice == 0:
		return false, nil
	case choice == 1:
		return true, nil
	case choice%2 == 0:
		fields = map[string]string{"s": fmt.Sprint("v", i)}
	default:
		fields = map[string]string{"i": fmt.Sprint(i)}
	}
	if k%3 == 0 {
		fields["n"] = fmt.Sprint(r)
	}
	return true, fields
}

// last is the last event of entity k up to event to; 0 for none.
func (j *journal) last(k int, to uint64) uint64 {
	n := uint64(len(j.keys))
	if back := (to + n - uint64(k)) % n; back < to {
		return to - back
	}
	return 0
}

// model is what readers see of a revision that is folded up to event to.
func (j *journal) model(revision string, to uint64) map[string]map[string]string {
	m := map[string]map[string]string{}
	for k, key := range j.keys {
		if i := j.last(k, to); i > 0 {
			if _, fields := j.shape(revision, i); len(fields) > 0 {
				m[key] = fields
			}
		}
	}
	return m
}

// folder is an engine of few lines: it folds one revision of a journal.
type folder struct {
	*bench
	journal *journal
	store   readmodel.Store
	c       readmodel.Claim

	p    readmodel.Partition
	at   readmodel.Checkpoint
	held int64
}

func (b *bench) folder(t *testing.T, j *journal, revision string, form int) *folder {
	t.Helper()
	c := claim
	c.Revision, c.Source = revision, "redis://log events"
	return &folder{bench: b, journal: j, store: b.server.OpenAs(t, b.schema, nil, form), c: c}
}

func (f *folder) claim() (err error) {
	f.c.Held = f.held
	if f.p, f.at, err = f.store.Claim(f.ctx, f.c); err == nil {
		f.held = f.at.Epoch
	}
	return err
}

// step folds and commits up to event to, or to the bound of the claim.
func (f *folder) step(to uint64) error {
	if f.at.Until != nil {
		to = min(to, f.at.Until.Ms)
	}
	var changed []readmodel.Entity
	var keys []string
	var states []*projector.State
	for k, key := range f.journal.keys {
		if i := f.journal.last(k, to); i > f.at.Position.Ms {
			s := projector.NewState(f.schema)
			keys, states = append(keys, key), append(states, s)
			changed = append(changed, readmodel.Entity{Key: key, State: s})
		}
	}
	if err := f.p.Load(f.ctx, keys, states); err != nil {
		return err
	}
	for _, e := range changed {
		f.apply(e, to)
	}
	next := at(f.at, to)
	next.Until = nil
	if err := f.p.Commit(f.ctx, prepare(f.p, next, changed...)); err != nil {
		return err
	}
	next.Published, next.Until = f.at.Published, f.at.Until
	f.at = next
	return nil
}

// apply leaves of an entity what its last event does.
func (f *folder) apply(e readmodel.Entity, to uint64) {
	k := 0
	for f.journal.keys[k] != e.Key {
		k++
	}
	exists, fields := f.journal.shape(f.c.Revision, f.journal.last(k, to))
	if !exists {
		e.State.Delete()
		return
	}
	e.State.Create()
	for slot, field := range f.schema.Fields() {
		text, is := fields[field.Name]
		if !is {
			e.State.UnsetAt(slot)
			continue
		}
		v, err := projector.ParseText(field.Kind, text)
		if err != nil {
			panic(err)
		}
		e.State.SetAt(slot, v)
	}
}

// to claims and folds up to an event, or fails the test.
func (f *folder) to(t *testing.T, to uint64) {
	t.Helper()
	for f.p == nil || f.at.Position.Ms < to {
		err := f.turn(to)
		if err != nil {
			t.Fatalf("%s: %v", f.c.Revision, err)
		}
	}
}

// turn is one turn of an engine's loop: after a fault the partition is claimed
// again. It fails as the engine would stop.
func (f *folder) turn(to uint64) error {
	if f.p == nil {
		err := f.claim()
		if reason := fault.As(err); reason != nil && !reason.Permanent {
			time.Sleep(2 * time.Millisecond)
			return nil
		}
		return err
	}
	if f.at.Until != nil && f.at.Position.Ms >= f.at.Until.Ms {
		f.p = nil // until it is told otherwise
		return nil
	}
	if f.at.Position.Ms >= to {
		return nil
	}
	err := f.step(to)
	if errors.Is(err, readmodel.ErrFenced) || err != nil && fault.As(err) != nil && !fault.As(err).Permanent {
		f.p = nil
		var altered *readmodel.AlteredError
		if errors.As(err, &altered) {
			return err
		}
		return nil
	}
	return err
}

func reasonOf(err error) string {
	if f := fault.As(err); f != nil {
		return f.Reason
	}
	return ""
}

// run folds on, as the log grows, until ctx ends.
func (f *folder) run(ctx context.Context, tip *atomic.Uint64) error {
	f.p = nil
	for ctx.Err() == nil {
		if err := f.turn(tip.Load()); err != nil {
			return fmt.Errorf("%s: %w", f.c.Revision, err)
		}
		time.Sleep(100 * time.Microsecond)
	}
	return nil
}

// wantReaders fails unless readers see exactly the fold.
func (f *folder) wantReaders(t *testing.T, form int, to uint64) {
	t.Helper()
	want := f.journal.model(f.c.Revision, to)
	for _, key := range f.journal.keys {
		got := f.server.LookupAs(t, form, key)
		if fmt.Sprint(got) != fmt.Sprint(want[key]) {
			t.Errorf("%s at %d: readers see %q as %v, want %v", f.c.Revision, to, key, got, want[key])
		}
	}
}

// wantLoaded fails unless a new claim of the revision has exactly the fold.
func (f *folder) wantLoaded(t *testing.T, form int, to uint64) {
	t.Helper()
	p, cp := f.bench.claim(t, f.server.OpenAs(t, f.schema, nil, form), readmodel.Claim{Projection: f.c.Projection, UID: f.c.UID, Revision: f.c.Revision, Source: f.c.Source})
	if cp.Position.Ms != to {
		t.Errorf("%s is at %d, want %d", f.c.Revision, cp.Position.Ms, to)
	}
	want := f.journal.model(f.c.Revision, to)
	for k, key := range f.journal.keys {
		s := f.load(t, p, key)
		exists, _ := f.journal.shape(f.c.Revision, f.journal.last(k, to))
		if i := f.journal.last(k, to); i == 0 {
			exists = false
		}
		got := map[string]string{}
		for slot, field := range f.schema.Fields() {
			if v := s.At(slot); v.IsSet() {
				got[field.Name] = v.Text()
			}
		}
		if s.Exists() != exists || len(got) != len(want[key]) || len(got) > 0 && fmt.Sprint(got) != fmt.Sprint(want[key]) {
			t.Errorf("%s at %d: %q is loaded as %v (%v), want %v (%v)", f.c.Revision, to, key, got, s.Exists(), want[key], exists)
		}
	}
	f.p = nil // fenced, by the claim of another process
}
