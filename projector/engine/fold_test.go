package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
)

func testSchema(t testing.TB) *projector.Schema {
	t.Helper()
	s, err := projector.NewSchema([]contract.Field{{Name: "sum", Type: contract.TypeInteger}, {Name: "log", Type: contract.TypeString}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sums adds the event's number to every entity that its type names, as in
// "a,b,c". A number below 0 deletes the entity; "fail" and "panic" do so for
// the entity whose name is the field's.
type sums struct{}

func (sums) Keys(e *projector.Event, keys []string) ([]string, error) {
	switch string(e.Type) {
	case "":
		return nil, projector.ErrUnnamedType
	case "panic":
		panic("in Keys")
	case "fail":
		return nil, errors.New("the key fails")
	case "nobody":
		return keys, nil
	}
	return append(keys, strings.Split(string(e.Type), ",")...), nil
}

func (sums) Reduce(e *projector.Event, key string, s *projector.State) error {
	if v, ok := e.Field("fail"); ok && string(v) == key {
		s.SetAt(0, projector.IntegerValue(-1))
		return errors.New("the event fails")
	}
	if v, ok := e.Field("twice"); ok && string(v) == key && s.At(0).Int() > 1 {
		return errors.New("the event fails at the second turn")
	}
	if v, ok := e.Field("panic"); ok && string(v) == key {
		s.Delete()
		panic("in Reduce")
	}
	n := int64(e.ID.Ms)
	if _, ok := e.Field("delete"); ok {
		s.Delete()
		return nil
	}
	s.SetAt(0, projector.IntegerValue(s.At(0).Int()+n))
	s.SetAt(1, projector.StringValue(fmt.Sprint(s.At(1).Str(), ",", n)))
	return nil
}

// asTyped finds the type already set.
type asTyped struct{}

func (asTyped) Decode(*projector.Event) error { return nil }

// memory is a store in a map.
type memory map[string]*projector.State

func (m memory) load(_ context.Context, keys []string, states []*projector.State) error {
	for i, key := range keys {
		if s := m[key]; s != nil {
			states[i].CopyFrom(s)
			states[i].MarkStored()
		}
	}
	return nil
}

// commit takes over what the lanes of the fold have, and checks what the states
// say of the store.
func (m memory) commit(t interface{ Errorf(string, ...any) }, f *fold, which ...int) readmodel.Checkpoint {
	var changed []readmodel.Entity
	var entries []*entry
	for _, i := range which {
		entries = f.lanes.take(i, &f.at, entries)
	}
	for _, e := range entries {
		changed = append(changed, readmodel.Entity{Key: e.key, State: e.state})
	}
	m.check(t, changed)
	maps.Copy(m, copied(changed))
	for _, e := range changed {
		e.State.MarkStored()
	}
	f.cache.shrink()
	next, _ := f.lanes.checkpoint(1)
	return next
}

func (m memory) check(t interface{ Errorf(string, ...any) }, changed []readmodel.Entity) {
	for _, e := range changed {
		here := m[e.Key]
		if here == nil {
			here = projector.NewState(e.State.Schema())
		}
		if here.Exists() != e.State.InStore() {
			t.Errorf("%s: InStore says %v", e.Key, e.State.InStore())
		}
		for slot := range 2 {
			if here.At(slot).IsSet() != e.State.Stored(slot) || here.At(slot) != e.State.At(slot) && !e.State.ChangedAt(slot) {
				t.Errorf("%s: field %d is %v in the store, %v here, and said to be as it is there", e.Key, slot, here.At(slot), e.State.At(slot))
			}
		}
	}
}

func copied(changed []readmodel.Entity) map[string]*projector.State {
	states := map[string]*projector.State{}
	for _, e := range changed {
		states[e.Key] = projector.NewState(e.State.Schema())
		states[e.Key].CopyFrom(e.State)
	}
	return states
}

// all are the lanes.
func all() (which []int) {
	for i := range readmodel.Lanes {
		which = append(which, i)
	}
	return which
}

func (m memory) sums() map[string]int64 {
	all := map[string]int64{}
	for key, s := range m {
		if s.Exists() {
			all[key] = s.At(0).Int()
		}
	}
	return all
}

func event(ms uint64, touches string, fields ...string) projector.Event {
	e := projector.Event{ID: projector.ID{Ms: ms}, Type: []byte(touches)}
	for i := 0; i < len(fields); i += 2 {
		e.Fields = append(e.Fields, projector.Field{Name: []byte(fields[i]), Value: []byte(fields[i+1])})
	}
	return e
}

// foldAll folds until an error.
func foldAll(f *fold, events []projector.Event, m memory) error {
	for len(events) > 0 {
		n, err := f.some(context.Background(), events, m.load)
		if err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

func TestAnEventThatFailsLeavesNoEffect(t *testing.T) {
	for name, bad := range map[string]projector.Event{
		"its first entity fails":   event(3, "a,b", "fail", "a"),
		"its second entity fails":  event(3, "a,b", "fail", "b"),
		"a new entity fails":       event(3, "a,new", "fail", "new"),
		"its first panics":         event(3, "a,b", "panic", "a"),
		"its second panics":        event(3, "a,b", "panic", "b"),
		"its entity's second turn": event(3, "a,a", "twice", "a"),
		"its key fails":            event(3, "fail"),
		"its key panics":           event(3, "panic"),
	} {
		t.Run(name, func(t *testing.T) {
			m := memory{}
			f := newFold(asTyped{}, sums{}, testSchema(t), 1<<20)
			err := foldAll(f, []projector.Event{event(1, "a"), event(2, "b"), bad, event(4, "a")}, m)
			if got := fault.As(err); got == nil || got.Reason != contract.ReasonEventFailed || got.EventID != "3-0" || !got.Permanent {
				t.Errorf("the error is %v", err)
			}
			if got := f.at; got.Position.Ms != 2 || got.Events != 2 || got.tally.read != 2 {
				t.Errorf("it is at %+v", got)
			}
			m.commit(t, f, all()...)
			if diff := cmp.Diff(map[string]int64{"a": 1, "b": 2}, m.sums()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEventsThatTouchNothingAreSkippedAndCounted(t *testing.T) {
	m := memory{}
	f := newFold(asTyped{}, sums{}, testSchema(t), 1<<20)
	if err := foldAll(f, []projector.Event{event(1, ""), event(2, "nobody"), event(3, "a"), event(4, "")}, m); err != nil {
		t.Fatal(err)
	}
	want := contract.Skipped{UnnamedType: 2, NoKey: 1}
	if got := f.at; got.tally.skipped != want || got.Events != 1 || got.Position.Ms != 4 || got.tally.read != 4 {
		t.Errorf("it is at %+v", got)
	}
}

func TestAnErrorOfLoadingKeepsNothing(t *testing.T) {
	f := newFold(asTyped{}, sums{}, testSchema(t), 1<<20)
	broken := errors.New("away")
	_, err := f.some(t.Context(), []projector.Event{event(1, "a")}, func(context.Context, []string, []*projector.State) error { return broken })
	if !errors.Is(err, broken) || f.cache.index.used != 0 || f.cache.bytes != 0 || f.at.tally.read != 0 {
		t.Errorf("%v; %d cached, %d bytes", err, f.cache.index.used, f.cache.bytes)
	}
}

func TestTheCacheKeepsItsBudget(t *testing.T) {
	m := memory{}
	f := newFold(asTyped{}, sums{}, testSchema(t), 64<<10)
	for i := range 20_000 {
		if err := foldAll(f, []projector.Event{event(uint64(i+1), fmt.Sprint(i%5000))}, m); err != nil {
			t.Fatal(err)
		}
		if f.lanes.dirty >= 60 {
			m.commit(t, f, all()...)
		}
		if f.cache.bytes > f.cache.budget {
			t.Fatalf("%d bytes after %d events", f.cache.bytes, i)
		}
	}
	if f.cache.index.used == 0 || f.cache.index.used != len(f.cache.ring) {
		t.Errorf("%d entities, %d in the ring", f.cache.index.used, len(f.cache.ring))
	}
}

// Whatever is cached, evicted, committed lane by lane or together, forgotten and
// folded again: the store holds the plain fold, each lane's up to its position,
// and all events are counted once.
func TestTheFoldIsThePlainFold(t *testing.T) {
	schema := testSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		m, at, counted := memory{}, readmodel.Checkpoint{}, tally{}
		f := newFold(asTyped{}, sums{}, schema, rapid.SampledFrom([]int64{1, 2000, 1 << 20}).Draw(t, "budget"))
		f.forget(true)
		f.start(at, counted)
		log := rapid.SliceOfN(rapid.Custom(drawEvent), 1, 60).Draw(t, "log")
		for i := range log {
			log[i].ID.Ms = uint64(i + 1)
		}
		for int(at.Position.Ms) < len(log) || at.Lanes != nil {
			if from := int(f.at.Position.Ms); from < len(log) {
				to := rapid.IntRange(from+1, len(log)).Draw(t, "to")
				if err := foldAll(f, log[from:to], m); err != nil {
					t.Fatal(err)
				}
			}
			switch rapid.IntRange(0, 4).Draw(t, "then") {
			case 0:
				at = m.commit(t, f, all()...)
			case 1:
				at = m.commit(t, f, rapid.SliceOfNDistinct(rapid.IntRange(0, readmodel.Lanes-1), 1, 4, rapid.ID).Draw(t, "lanes")...)
			case 2:
				f.forget(false)
				f.start(at, counted)
			}
			_, counted = f.lanes.checkpoint(1)
			if diff := cmp.Diff(plainly(log, at), m.sums()); diff != "" {
				t.Fatal(diff)
			}
		}
		if counted.read != int64(len(log)) || counted.folded != at.Events || counted.folded+counted.skipped.NoKey+counted.skipped.UnnamedType != counted.read {
			t.Errorf("of %d events it counted %+v, %d of them folded", len(log), counted, at.Events)
		}
	})
}

func drawEvent(t *rapid.T) projector.Event {
	touches := rapid.SampledFrom([]string{"a", "b", "c", "a,b", "b,c,d", "", "nobody", "e"}).Draw(t, "touches")
	if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
		return event(0, touches, "delete", "")
	}
	return event(0, touches)
}

// plainly folds each lane up to its position.
func plainly(log []projector.Event, at readmodel.Checkpoint) map[string]int64 {
	all := map[string]int64{}
	for _, e := range log {
		if len(e.Type) == 0 || string(e.Type) == "nobody" {
			continue
		}
		for _, key := range strings.Split(string(e.Type), ",") {
			end := at.Position
			if at.Lanes != nil {
				end = at.Lanes[readmodel.LaneOf(key)].Position
			}
			if e.ID.Compare(end) > 0 {
				continue
			}
			if _, ok := e.Field("delete"); ok {
				delete(all, key)
			} else {
				all[key] += int64(e.ID.Ms)
			}
		}
	}
	return all
}

// slow takes its time over each event.
type slow struct{ sums }

func (s slow) Reduce(e *projector.Event, key string, state *projector.State) error {
	time.Sleep(20 * time.Millisecond)
	return s.sums.Reduce(e, key, state)
}

func TestASlowReducerIsInterruptedAndLosesNothing(t *testing.T) {
	f, m := newFold(asTyped{}, slow{}, testSchema(t), 1<<20), memory{}
	var events []projector.Event
	want := int64(0)
	for i := uint64(1); i <= 40; i++ {
		events = append(events, event(i, "a"))
		want += int64(i)
	}
	steps := 0
	for rest := events; len(rest) > 0; steps++ {
		n, err := f.some(t.Context(), rest, m.load)
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	m.commit(t, f, all()...)
	if steps < 2 {
		t.Error("the loop did not move while 40 slow events were folded")
	}
	if got := m.sums()["a"]; got != want {
		t.Errorf("the sum is %d, want %d", got, want)
	}
}
