package engine

import (
	"strings"
	"unsafe"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/readmodel"
)

// entry is one entity in memory.
type entry struct {
	key    string
	state  *projector.State
	hash   uint64
	bytes  int64  // as counted in cache.bytes
	sent   uint64 // the last transaction that it is in
	number int32  // in the blocks
	place  int32  // in the ring
	lane   uint8
	used   bool // since the clock's hand passed
	dirty  bool // changed since it was last sent
}

// entryBytes is roughly what an entry costs beside its key and state: its own
// size and the share of the index and of the ring.
const entryBytes = int64(unsafe.Sizeof(entry{})) + 40

// A large entity takes so many times what a room does. To find such ones among
// others so many are looked at in a row.
const (
	largeRooms = 4
	mostLooks  = 4096
)

// The keys of evicted entities may take a share of the budget beside it: with
// 32 MiB of cache they are three million.
const (
	filterShare = 8
	leastFilter = mebibyte
)

// cache holds entities, authoritative while the claim holds. What is clean goes
// when there are more bytes than the budget, what was not used for longest
// about first: second chance, F. J. Corbató, "A paging experiment with the
// Multics system", 1968.
type cache struct {
	budget int64
	bytes  int64
	large  int // entities that are large
	index  index
	rooms  rooms
	ring   []*entry
	hand   int
	// settled is the last transaction of which it is known that it is in the
	// store: entries of later ones stay.
	settled uint64
	// whole says that all that the store holds was here once. An entity that is
	// not, and that was not evicted, then does not exist.
	whole   bool
	evicted filter
	// evictions counts them.
	evictions int64
}

func newCache(schema *projector.Schema, budget int64) *cache {
	return &cache{budget: budget, index: newIndex(), rooms: newRooms(schema)}
}

func (c *cache) hash(key string) uint64 { return c.index.hash(key) }

// get returns nil for an entity that is not in memory. The hash is the key's.
func (c *cache) get(key string, hash uint64) *entry {
	for place := c.index.first(hash); place != none; place = c.index.after(place, hash) {
		if e := c.rooms.entry(c.index.number(place)); e.key == key {
			e.used = true
			return e
		}
	}
	return nil
}

// warm touches the memory of the entities that the hashes may be of: many at
// once, for which the processor can wait together. What it returns says nothing.
func (c *cache) warm(hashes []uint64) (warmth int64) {
	const together = 16
	var places [together]int
	for len(hashes) > 0 {
		n := min(len(hashes), together)
		for i, hash := range hashes[:n] {
			places[i] = c.index.first(hash)
		}
		for _, place := range places[:n] {
			if place != none {
				warmth += c.rooms.entry(c.index.number(place)).bytes
			}
		}
		for _, place := range places[:n] {
			if place != none {
				warmth += c.rooms.entry(c.index.number(place)).warm()
			}
		}
		hashes = hashes[n:]
	}
	return warmth
}

func (e *entry) warm() int64 {
	warmth := e.state.Warm()
	if e.key != "" {
		warmth += int64(e.key[0])
	}
	return warmth
}

// isNew says that an entity which is not in memory is not in the store either.
func (c *cache) isNew(key string) bool { return c.whole && !c.evicted.mayHave(key) }

// add makes an entry for an entity that is not in memory, and that does not
// exist as far as is known. The key is copied.
func (c *cache) add(key string, hash uint64) *entry {
	e := c.rooms.take()
	e.key, e.hash, e.used, e.sent = strings.Clone(key), hash, true, 0
	e.place, e.lane = int32(len(c.ring)), uint8(readmodel.LaneOf(key))
	c.index.add(hash, int(e.number))
	c.ring = append(c.ring, e)
	c.weigh(e)
	return e
}

func (c *cache) remove(e *entry) {
	c.index.remove(e.hash, int(e.number))
	last := len(c.ring) - 1
	c.ring[last].place = e.place
	c.ring[e.place] = c.ring[last]
	c.ring[last] = nil
	c.ring = c.ring[:last]
	c.bytes -= e.bytes
	if c.isLarge(e) {
		c.large--
	}
	e.key, e.bytes, e.dirty = "", 0, false
	e.state.Clear()
	c.rooms.give(e)
}

// weigh counts the entry's bytes anew and returns them.
func (c *cache) weigh(e *entry) int64 {
	bytes := entryBytes + int64(len(e.key)) + e.state.Bytes()
	c.bytes += bytes - e.bytes
	if c.isLarge(e) {
		c.large--
	}
	e.bytes = bytes
	if c.isLarge(e) {
		c.large++
	}
	return bytes
}

// isLarge says whether to let the entity go frees memory: a room stays.
func (c *cache) isLarge(e *entry) bool { return e.bytes > largeRooms*c.rooms.bytes }

// full says that there are more bytes than the budget, wasteful that there are
// with the rooms that stand empty, and that something can be done about it.
func (c *cache) full() bool { return c.bytes > c.budget }
func (c *cache) wasteful() bool {
	return c.large > 0 && c.bytes+int64(len(c.rooms.spare))*c.rooms.bytes > c.budget
}

// shrink lets clean entries go until the budget is kept, or only those are left
// that must stay.
func (c *cache) shrink() {
	for looked := 0; (c.full() || c.wasteful() && looked < mostLooks) && looked < 2*len(c.ring)+1 && len(c.ring) > 0; looked++ {
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		e := c.ring[c.hand]
		if c.mayGo(e) {
			c.evict(e)
			continue
		}
		e.used = false
		c.hand++
	}
}

func (c *cache) mayGo(e *entry) bool {
	switch {
	case e.dirty, e.sent > c.settled:
		return false
	case c.full():
		return !e.used
	}
	return c.isLarge(e)
}

func (c *cache) evict(e *entry) {
	c.evictions++
	if c.whole && e.state.InStore() {
		c.evicted.add(e.key)
		if c.evicted.bytes() > max(leastFilter, c.budget/filterShare) {
			c.whole, c.evicted = false, filter{} // from now on the store is asked
		}
	}
	c.remove(e)
}

// forget lets everything go.
func (c *cache) forget() {
	c.index, c.rooms, c.ring, c.bytes, c.hand = newIndex(), newRooms(c.rooms.schema), nil, 0, 0
	c.large = 0
	c.whole, c.evicted = false, filter{}
}
