package engine

import (
	"strings"
	"unsafe"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/readmodel"
)

// entry is one entity in memory.
type entry struct {
	key   string
	state *projector.State
	bytes int64  // as counted in cache.bytes
	sent  uint64 // the last transaction that it is in
	place int    // in the ring
	lane  uint8
	used  bool // since the clock's hand passed
	dirty bool // changed since it was last sent
}

// entryBytes is roughly what an entry costs beside its key and state: its own
// size and the map's and the ring's share.
const entryBytes = int64(unsafe.Sizeof(entry{})) + 48

// block is how many entries are made in one piece.
const block = 256

// cache holds entities, authoritative while the claim holds. What is clean goes
// when there are more bytes than the budget, what was not used for longest
// about first: second chance, F. J. Corbató, "A paging experiment with the
// Multics system", 1968.
type cache struct {
	schema *projector.Schema
	budget int64
	bytes  int64
	byKey  map[string]*entry
	ring   []*entry
	hand   int
	spare  []*entry
	// settled is the last transaction of which it is known that it is in the
	// store: entries of later ones stay.
	settled uint64
	// whole says that all that the store holds was here once. An entity that is
	// not, and that was not evicted, then does not exist.
	whole   bool
	evicted filter
}

func newCache(schema *projector.Schema, budget int64) *cache {
	return &cache{schema: schema, budget: budget, byKey: map[string]*entry{}}
}

// get returns nil for an entity that is not in memory.
func (c *cache) get(key string) *entry {
	e := c.byKey[key]
	if e != nil {
		e.used = true
	}
	return e
}

// isNew says that an entity which is not in memory is not in the store either.
func (c *cache) isNew(key string) bool { return c.whole && !c.evicted.mayHave(key) }

// add makes an entry for an entity that does not exist, as far as is known. The
// key is copied.
func (c *cache) add(key string) *entry {
	if len(c.spare) == 0 {
		c.makeSpare()
	}
	last := len(c.spare) - 1
	e := c.spare[last]
	c.spare = c.spare[:last]
	key = strings.Clone(key)
	*e = entry{key: key, state: e.state, used: true, place: len(c.ring), lane: uint8(readmodel.LaneOf(key))}
	c.byKey[key] = e
	c.ring = append(c.ring, e)
	c.weigh(e)
	return e
}

func (c *cache) makeSpare() {
	entries, states := make([]entry, block), projector.NewStates(c.schema, block)
	for i := range entries {
		entries[i].state = &states[i]
		c.spare = append(c.spare, &entries[i])
	}
}

func (c *cache) remove(e *entry) {
	delete(c.byKey, e.key)
	last := len(c.ring) - 1
	c.ring[last].place = e.place
	c.ring[e.place] = c.ring[last]
	c.ring[last] = nil
	c.ring = c.ring[:last]
	c.bytes -= e.bytes
	e.key = ""
	e.state.Clear()
	c.spare = append(c.spare, e)
}

// weigh counts the entry's bytes anew and returns them.
func (c *cache) weigh(e *entry) int64 {
	bytes := entryBytes + int64(len(e.key)) + e.state.Bytes()
	c.bytes += bytes - e.bytes
	e.bytes = bytes
	return bytes
}

// shrink lets clean entries go until the budget is kept, or only those are left
// that must stay.
func (c *cache) shrink() {
	for looked := 0; c.bytes > c.budget && looked < 2*len(c.ring)+1 && len(c.ring) > 0; looked++ {
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		e := c.ring[c.hand]
		switch {
		case e.dirty, e.sent > c.settled, e.used:
			e.used = false
			c.hand++
		default:
			c.evict(e)
		}
	}
}

func (c *cache) evict(e *entry) {
	if c.whole && e.state.InStore() {
		c.evicted.add(e.key)
	}
	c.remove(e)
}

// forget lets everything go.
func (c *cache) forget() {
	clear(c.byKey)
	c.ring, c.spare, c.bytes, c.hand = nil, nil, 0, 0
	c.whole, c.evicted = false, filter{}
}
