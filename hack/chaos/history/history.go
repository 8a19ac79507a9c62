// Package history makes random event logs and folds them by hand: the model
// that the torture holds the projector's work against. The fold is written on
// the generator's own typed events, never on what was read back, and shares no
// code with the projector; the contract's types alone are imported. It does no
// I/O and reads no clock: the same seed makes the same history.
package history

import (
	"math/rand/v2"
	"slices"
	"sync"
)

// History is a log that grows and the fold of each of its beginnings. Its
// methods may be called from any goroutine.
type History struct {
	mu       sync.Mutex
	random   *rand.Rand
	shape    Shape
	keys     []string
	last     ID
	ids      []ID    // of every entry ever made
	folded   []int64 // folded[i] events are folded up to and with ids[i]
	entities map[string][]version
}

// Shape is what all events of a history have in common.
type Shape struct {
	Pairs bool // some events touch two entities; the keys are then valid UTF-8
	Cold  int  // entities that are touched seldom
	Bulky bool // texts are of kilobytes: fewer entities fit into a cache
}

// Entry is what is appended to the stream: names and values in turn.
type Entry struct {
	ID     ID
	Values []string
}

// version is an entity right after an event.
type version struct {
	id    ID
	state state
}

// New begins a history.
func New(random *rand.Rand, shape Shape) *History {
	return &History{
		random:   random,
		shape:    shape,
		keys:     keysOf(shape),
		last:     ID{Ms: 1_700_000_000_000 + random.Uint64N(1_000_000_000)},
		entities: map[string][]version{},
	}
}

// Next makes the next n events, folds them into the model and returns them to
// be appended.
func (h *History) Next(n int) []Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = h.add(h.generate())
	}
	return entries
}

// Large is Next for two events that are out of proportion: one with a value of
// so many bytes, one with so many fields. They are about entities that others
// touch, so that what is large goes again.
func (h *History) Large(bytes, fields int) []Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	long := h.generateAs(updated)
	long.values, long.doubled = nil, false
	long.set(fieldName, verbatim(large(bytes)))
	wide := h.generateAs(created)
	wide.padding = fields
	return []Entry{h.add(long), h.add(wide)}
}

// Poison returns an event that no projector can fold. The model knows it
// nowhere: nothing may follow it.
func (h *History) Poison() Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.generateAs(updated)
	e.key, e.values = h.keys[0], nil
	e.set(fieldRatio, verbatim("NaN"))
	h.advance()
	e.id = h.last
	return e.entry()
}

// Last is the ID of the last event that can be folded.
func (h *History) Last() ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ids) == 0 {
		return ID{}
	}
	return h.ids[len(h.ids)-1]
}

// Keys are those of all entities that any event may touch.
func (h *History) Keys() []string { return h.keys }

// Want is the entity as of an ID: its fields as text. It may exist with none.
func (h *History) Want(key string, upTo ID) (fields map[string]string, exists bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	versions := h.entities[key]
	after, _ := slices.BinarySearchFunc(versions, upTo, func(v version, id ID) int {
		if v.id.Compare(id) <= 0 {
			return -1
		}
		return 1
	})
	if after == 0 {
		return nil, false
	}
	at := versions[after-1].state
	return at.texts(), at.exists
}

// Count is how many entries there are up to and with an ID, and how many of
// them are folded and not skipped; false for an ID that no entry has.
func (h *History) Count(upTo ID) (entries, events int64, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, found := slices.BinarySearchFunc(h.ids, upTo, ID.Compare)
	if !found {
		return 0, 0, false
	}
	return int64(i) + 1, h.folded[i], true
}

// Before returns some ID at or before one, for trimming.
func (h *History) Before(upTo ID, share float64) ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, found := slices.BinarySearchFunc(h.ids, upTo, ID.Compare)
	if !found {
		return ID{}
	}
	return h.ids[int(share*float64(i))]
}

// Settle forgets how entities were before an ID: no position goes back there.
func (h *History) Settle(upTo ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, versions := range h.entities {
		keep := len(versions) - 1
		for keep > 0 && versions[keep].id.Compare(upTo) > 0 {
			keep--
		}
		h.entities[key] = slices.Clone(versions[keep:])
	}
}

// add gives an event its ID and folds it.
func (h *History) add(e event) Entry {
	h.advance()
	e.id = h.last
	folded := int64(0)
	if len(h.folded) > 0 {
		folded = h.folded[len(h.folded)-1]
	}
	touched := e.touched()
	if len(touched) > 0 {
		folded++
	}
	for _, key := range touched {
		versions := h.entities[key]
		var now state
		if len(versions) > 0 {
			now = versions[len(versions)-1].state
		}
		now.apply(&e, key)
		h.entities[key] = append(versions, version{e.id, now})
	}
	h.ids, h.folded = append(h.ids, e.id), append(h.folded, folded)
	return e.entry()
}

// advance moves to the next ID: mostly the next of the same millisecond, at
// times far away.
func (h *History) advance() {
	switch n := h.random.IntN(1000); {
	case n < 600 && h.last.Seq < 1<<64-2:
		h.last.Seq++
	case n < 990:
		h.last = ID{Ms: h.last.Ms + 1 + h.random.Uint64N(5)}
	case n < 998:
		h.last = ID{Ms: h.last.Ms + 1, Seq: h.random.Uint64N(1<<64 - 2)}
	default:
		h.last = ID{Ms: h.last.Ms + h.random.Uint64N(1_000_000) + 1}
	}
}
