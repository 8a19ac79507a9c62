package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
)

// Bounds on how many entities are loaded at once, and what share of the cache
// they may take: how large they are is known only afterwards.
const (
	fewestMisses = 1
	firstMisses  = 4
	mostMisses   = 10_000
	missShare    = 4
)

// chunk is how many events are looked at before they are folded, while nothing
// has to be loaded for them: few enough to stay in the processor's cache.
const chunk = 64

// longest is how long some may take, so that a slow reducer neither looks like a
// loop that hangs nor keeps the process from ending; the clock is looked at
// every so many events.
const (
	longest     = 200 * time.Millisecond
	lookAtClock = 16
)

// fold holds the states and folds events into them. All of an event is folded
// or nothing. It is used by one goroutine at a time.
type fold struct {
	decoder Decoder
	reducer projector.Reducer
	cache   *cache
	at      mark  // all events up to here are folded
	lanes   lanes // and not all of that is sent
	misses  int   // how many entities may be loaded at once
	loaded  int64 // entities, ever

	// Scratch of one call of some, kept for the next.
	keys    []string // that the events touch in order; plan says where each one's end
	hashes  []uint64
	touched []*entry // as keys
	plan    []step
	absent  []*entry // to be loaded
	loads   []string
	states  []*projector.State
	saved   []projector.Saved // what the event that is being folded has touched
	done    int               // how much of it
	holes   []byte
	warmth  int64 // of no use, but that the compiler thinks so
}

// step is what one event touches.
type step struct {
	end    int   // in keys
	reason error // ErrUnnamedType or ErrNoKey for an event that is skipped
}

// load is a way to the store.
type load func(ctx context.Context, keys []string, states []*projector.State) error

func newFold(d Decoder, r projector.Reducer, s *projector.Schema, cacheBytes int64) *fold {
	return &fold{decoder: d, reducer: r, cache: newCache(s, cacheBytes), misses: firstMisses}
}

// start sets where the first event comes after. Nothing may be unsent.
func (f *fold) start(at readmodel.Checkpoint, counted tally) {
	f.at = mark{at.Mark, counted}
	f.lanes.start(at, counted)
}

// forget drops every state: the store's are to be loaded again, unless it is
// empty. One that scratch still names would keep all memory around it.
func (f *fold) forget(empty bool) {
	f.cache.forget()
	f.cache.whole = empty
	f.lanes.forget()
	f.touched, f.absent, f.states = nil, nil, nil
}

// some folds the first n of events, at least one, and loads what it needs for
// them. After an error of an event, which is a fault with its ID, all before
// it is folded and nothing of it.
func (f *fold) some(ctx context.Context, events []projector.Event, load load) (n int, err error) {
	f.keys, f.touched, f.plan, f.absent = f.keys[:0], f.touched[:0], f.plan[:0], f.absent[:0]
	defer func() { clear(f.keys) }() // views of the events
	failed := f.look(events)
	if err := f.fetch(ctx, load); err != nil {
		return 0, err
	}
	n, err = f.reduce(events[:len(f.plan)])
	if err != nil {
		return n, err
	}
	f.cache.shrink()
	if n < len(f.plan) {
		return n, nil
	}
	return n, failed
}

// look finds what the events touch, chunk by chunk until it is enough, or one of
// them cannot be folded, which is the error.
func (f *fold) look(events []projector.Event) error {
	began := time.Now()
	for {
		rest := events[len(f.plan):]
		err := f.findKeys(rest[:min(len(rest), chunk, f.misses)])
		f.findEntries()
		missing := len(f.absent)
		if err != nil || missing == 0 || missing >= f.misses || len(f.plan) == len(events) || time.Since(began) > longest {
			return err
		}
	}
}

// findKeys asks for the keys of a chunk of events, as far as there is time.
func (f *fold) findKeys(events []projector.Event) (err error) {
	began, first := time.Now(), len(f.plan)
	defer func() {
		if err != nil {
			err = eventFailed(&events[len(f.plan)-first], err)
		}
	}()
	defer recovered(&err)
	for i := range events {
		before := len(f.keys)
		keys, err := f.keysOf(&events[i], f.keys[before:])
		if err != nil && !errors.Is(err, projector.ErrUnnamedType) && !errors.Is(err, projector.ErrNoKey) {
			return err
		}
		f.keys = append(f.keys[:before], keys...)
		f.plan = append(f.plan, step{len(f.keys), err})
		if i%lookAtClock == 0 && time.Since(began) > longest {
			return nil
		}
	}
	return nil
}

func (f *fold) keysOf(e *projector.Event, keys []string) ([]string, error) {
	if err := f.decoder.Decode(e); err != nil {
		return nil, err
	}
	keys, err := f.reducer.Keys(e, keys)
	if err == nil && len(keys) == 0 {
		return nil, projector.ErrNoKey
	}
	return keys, err
}

// findEntries finds the entities of the keys that were found last.
func (f *fold) findEntries() {
	keys := f.keys[len(f.touched):]
	f.hashes = f.hashes[:0]
	for _, key := range keys {
		f.hashes = append(f.hashes, f.cache.hash(key))
	}
	f.warmth += f.cache.warm(f.hashes)
	for i, key := range keys {
		f.touched = append(f.touched, f.entry(key, f.hashes[i]))
	}
}

func (f *fold) entry(key string, hash uint64) *entry {
	if e := f.cache.get(key, hash); e != nil {
		return e
	}
	isNew := f.cache.isNew(key)
	e := f.cache.add(key, hash)
	if !isNew {
		f.absent = append(f.absent, e)
	}
	return e
}

// fetch loads what is missing. What could not be loaded is not known.
func (f *fold) fetch(ctx context.Context, load load) error {
	if len(f.absent) == 0 {
		return nil
	}
	f.loads, f.states = f.loads[:0], f.states[:0]
	for _, e := range f.absent {
		f.loads, f.states = append(f.loads, e.key), append(f.states, e.state)
	}
	if err := load(ctx, f.loads, f.states); err != nil {
		f.forget(false)
		return err
	}
	f.loaded += int64(len(f.absent))
	var bytes int64
	for _, e := range f.absent {
		bytes += f.cache.weigh(e)
	}
	f.adapt(bytes / int64(len(f.absent)))
	return nil
}

// adapt sets how many entities of that size may be loaded at once.
func (f *fold) adapt(entityBytes int64) {
	fit := f.cache.budget / missShare / entityBytes
	f.misses = int(min(max(fit, fewestMisses), mostMisses, int64(2*f.misses)))
}

// reduce folds events as planned, as many as there is time for and at least one.
func (f *fold) reduce(events []projector.Event) (n int, err error) {
	began, begin := time.Now(), 0
	defer func() {
		if err != nil {
			f.undo(&events[n], f.touched[begin:])
			err = eventFailed(&events[n], err)
		}
	}()
	defer recovered(&err)
	for ; n < len(events); n++ {
		e, s := &events[n], &f.plan[n]
		f.done = 0
		if err := f.one(e, f.touched[begin:s.end]); err != nil {
			return n, err
		}
		begin, f.done = s.end, 0
		f.count(e.ID, s.reason)
		if n%lookAtClock == 0 && time.Since(began) > longest {
			return n + 1, nil
		}
	}
	return n, nil
}

// one folds one event into all that it touches.
func (f *fold) one(e *projector.Event, touched []*entry) error {
	for i, t := range touched {
		if f.lanes.has(t.lane, e.ID) {
			continue
		}
		if i >= len(f.saved) {
			f.saved = append(f.saved, make([]projector.Saved, i+1-len(f.saved))...)
		}
		t.state.Save(&f.saved[i])
		f.done = i + 1
		if err := f.reducer.Reduce(e, t.key, t.state); err != nil {
			return err
		}
	}
	for _, t := range touched {
		f.settle(t)
	}
	return nil
}

// settle takes over an entity after all of an event is folded.
func (f *fold) settle(t *entry) {
	if !t.state.Changed() {
		return
	}
	if f.holes = t.state.Settle(f.holes); cap(f.holes) > mebibyte {
		f.holes = nil // of a huge entity
	}
	f.lanes.touch(t)
	before := t.bytes
	f.lanes.bytes += f.cache.weigh(t) - before
}

// undo takes the event that is being folded out of the entities again: the last
// first, for a reducer may name one twice though it should not.
func (f *fold) undo(e *projector.Event, touched []*entry) {
	for i, t := range slices.Backward(touched[:f.done]) {
		if !f.lanes.has(t.lane, e.ID) {
			t.state.Undo(&f.saved[i])
		}
	}
}

// doubt makes entities ones that are written whole.
func (f *fold) doubt(keys []string) {
	for _, key := range keys {
		if t := f.cache.get(key, f.cache.hash(key)); t != nil {
			t.state.Doubt()
			f.lanes.touch(t)
		}
	}
}

// count moves past one event.
func (f *fold) count(id projector.ID, skipped error) {
	f.at.tally.read++
	f.at.Position = id
	if f.at.Entries >= 0 {
		f.at.Entries++
	}
	switch {
	case skipped == nil:
		f.at.tally.folded++
		f.at.Events++
	case errors.Is(skipped, projector.ErrUnnamedType):
		f.at.tally.skipped.UnnamedType++
	default:
		f.at.tally.skipped.NoKey++
	}
	if len(f.lanes.ahead) > 0 {
		f.lanes.pass(&f.at)
	}
}

// recovered makes a panic of foreign code an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the reducer panicked: %v", p)
	}
}

// eventFailed is the fault of an event that cannot be folded.
func eventFailed(e *projector.Event, err error) error {
	if f := fault.As(err); f != nil && f.EventID != "" {
		return f
	}
	return &fault.Error{
		Reason:    contract.ReasonEventFailed,
		Message:   err.Error(),
		Remedy:    "correct the reducer, and create the Projection again where its fold changes; nothing after this event is folded until then",
		Permanent: true,
		EventID:   e.ID.String(),
		Err:       err,
	}
}
