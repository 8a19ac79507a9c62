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
	fewestMisses = 16
	firstMisses  = 256
	mostMisses   = 10_000
	missShare    = 4
)

// Bounds on one commit: what the server does in one go, and the share of the
// cache that may wait.
const (
	mostDirty      = 20_000
	mostDirtyBytes = 32 * mebibyte
	dirtyShare     = 4
)

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
	pending pending

	dirty      []*entry
	dirtyBytes int64
	misses     int // how many entities may be loaded at once

	// Scratch of one call of some, kept for the next.
	keys    []string
	touched []*entry // by the events in order; plan says where each one's end
	plan    []step
	absent  []*entry
	loads   []string
	states  []*projector.State
	before  []*projector.State // the states before the event that is being folded
	scratch []*projector.State
	entity  []readmodel.Entity
}

// step is what one event touches.
type step struct {
	end    int   // in touched
	reason error // ErrUnnamedType or ErrNoKey for an event that is skipped
}

func newFold(d Decoder, r projector.Reducer, s *projector.Schema, cacheBytes int64) *fold {
	return &fold{decoder: d, reducer: r, cache: newCache(s, cacheBytes), misses: firstMisses}
}

// start sets where the first event comes after.
func (f *fold) start(at readmodel.Checkpoint) { f.pending = pending{next: at} }

// forget drops every state: the store's are to be loaded again.
func (f *fold) forget() {
	f.cache.forget()
	f.dirty, f.dirtyBytes = f.dirty[:0], 0
	f.pending = pending{}
}

// some folds the first n of events, at least one, and loads what it needs for
// them. After an error of an event, which is a fault with its ID, all before
// it is folded and nothing of it.
func (f *fold) some(ctx context.Context, events []projector.Event, load func(context.Context, []string, []*projector.State) error) (n int, err error) {
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

// look finds what the events touch, until enough is missing, it takes too long
// or one of them cannot be folded, which is the error.
func (f *fold) look(events []projector.Event) error {
	began := time.Now()
	f.touched, f.plan, f.absent = f.touched[:0], f.plan[:0], f.absent[:0]
	for i := range events {
		keys, err := f.keysOf(&events[i])
		if err != nil && !errors.Is(err, projector.ErrUnnamedType) && !errors.Is(err, projector.ErrNoKey) {
			return eventFailed(&events[i], err)
		}
		for _, key := range keys {
			f.touched = append(f.touched, f.entry(key))
		}
		f.plan = append(f.plan, step{len(f.touched), err})
		if len(f.absent) >= f.misses || i%lookAtClock == 0 && time.Since(began) > longest {
			return nil
		}
	}
	return nil
}

// keysOf decodes and asks the reducer; a panic of either is an error.
func (f *fold) keysOf(e *projector.Event) (keys []string, err error) {
	defer recovered(&err)
	if err := f.decoder.Decode(e); err != nil {
		return nil, err
	}
	f.keys, err = f.reducer.Keys(e, f.keys[:0])
	if err != nil {
		return nil, err
	}
	if len(f.keys) == 0 {
		return nil, projector.ErrNoKey
	}
	return f.keys, nil
}

func (f *fold) entry(key string) *entry {
	if e := f.cache.get(key); e != nil {
		return e
	}
	e := f.cache.add(key)
	f.absent = append(f.absent, e)
	return e
}

// fetch loads what is missing. What could not be loaded is not known.
func (f *fold) fetch(ctx context.Context, load func(context.Context, []string, []*projector.State) error) error {
	if len(f.absent) == 0 {
		return nil
	}
	f.loads, f.states = f.loads[:0], f.states[:0]
	for _, e := range f.absent {
		f.loads, f.states = append(f.loads, e.key), append(f.states, e.state)
	}
	if err := load(ctx, f.loads, f.states); err != nil {
		f.forget()
		return err
	}
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
	begin, began := 0, time.Now()
	for i := range events {
		e, s := &events[i], f.plan[i]
		if err := f.one(e, f.touched[begin:s.end]); err != nil {
			return i, eventFailed(e, err)
		}
		begin = s.end
		f.pending.count(e.ID, s.reason)
		if i%lookAtClock == 0 && time.Since(began) > longest {
			return i + 1, nil
		}
	}
	return len(events), nil
}

// one folds one event into all that it touches, or into nothing.
func (f *fold) one(e *projector.Event, touched []*entry) (err error) {
	done := 0
	defer func() {
		if err != nil {
			f.undo(touched[:done])
		}
	}()
	defer recovered(&err)
	for i, t := range touched {
		f.keep(i, t)
		done = i + 1
		if err := f.reducer.Reduce(e, t.key, t.state); err != nil {
			return err
		}
		f.weigh(t)
	}
	return nil
}

// weigh counts a dirty entry anew.
func (f *fold) weigh(t *entry) {
	before := t.bytes
	f.dirtyBytes += f.cache.weigh(t) - before
}

// keep makes the change of an entity one that can be undone and committed.
func (f *fold) keep(i int, t *entry) {
	if i == len(f.before) {
		f.before, f.scratch = append(f.before, nil), append(f.scratch, projector.NewState(f.cache.schema))
	}
	if f.cache.keepStored(t) {
		f.dirty = append(f.dirty, t)
		f.dirtyBytes += t.bytes
		f.before[i] = t.stored
		return
	}
	f.scratch[i].CopyFrom(t.state)
	f.before[i] = f.scratch[i]
}

// undo takes the event that is being folded out of the entities again.
func (f *fold) undo(touched []*entry) {
	for i, t := range slices.Backward(touched) {
		t.state.CopyFrom(f.before[i])
		f.weigh(t)
	}
}

// count moves the checkpoint past one event.
func (p *pending) count(id projector.ID, skipped error) {
	if p.read == 0 {
		p.since = time.Now()
	}
	p.read++
	p.next.Position = id
	if p.next.Entries >= 0 {
		p.next.Entries++
	}
	switch {
	case skipped == nil:
		p.folded++
		p.next.Events++
	case errors.Is(skipped, projector.ErrUnnamedType):
		p.skipped.UnnamedType++
	default:
		p.skipped.NoKey++
	}
}

// full says whether enough has come together for a commit.
func (f *fold) full(events int) bool {
	return f.pending.read >= int64(events) || len(f.dirty) >= mostDirty ||
		f.dirtyBytes >= min(mostDirtyBytes, f.cache.budget/dirtyShare)
}

// changed lists what is to be committed; valid until the next call.
func (f *fold) changed() []readmodel.Entity {
	f.entity = f.entity[:0]
	for _, e := range f.dirty {
		f.entity = append(f.entity, readmodel.Entity{Key: e.key, State: e.state, Stored: e.stored})
	}
	return f.entity
}

// committed makes every entity clean.
func (f *fold) committed() {
	for _, e := range f.dirty {
		f.cache.dropStored(e)
	}
	f.dirty, f.dirtyBytes = f.dirty[:0], 0
	f.start(f.pending.next)
	f.cache.shrink()
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
