package engine

import (
	"strings"
	"unsafe"

	"github.com/refold-dev/refold/projector"
)

// entityOverhead is roughly what an entry costs beside its key and values: the
// entry, the state, the map's and the ring's share.
const entityOverhead = 256

const valueBytes = int64(unsafe.Sizeof(projector.Value{}))

// entry is one entity in memory.
type entry struct {
	key    string
	state  *projector.State // with all that is folded
	stored *projector.State // as it is in the store; nil when state is
	bytes  int64            // as counted in cache.bytes
	used   bool             // since the clock's hand passed
	place  int              // in the ring
}

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
	spare  []*projector.State
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

// add makes an entry for an entity that does not exist, as far as is known. The
// key is copied.
func (c *cache) add(key string) *entry {
	key = strings.Clone(key)
	e := &entry{key: key, state: projector.NewState(c.schema), used: true, place: len(c.ring)}
	c.byKey[key] = e
	c.ring = append(c.ring, e)
	c.weigh(e)
	return e
}

func (c *cache) remove(e *entry) {
	delete(c.byKey, e.key)
	last := len(c.ring) - 1
	c.ring[last].place = e.place
	c.ring[e.place] = c.ring[last]
	c.ring[last] = nil
	c.ring = c.ring[:last]
	c.bytes -= e.bytes
	e.bytes = 0
}

// weigh counts the entry's bytes anew and returns them.
func (c *cache) weigh(e *entry) int64 {
	slots := len(c.schema.Fields())
	bytes := entityOverhead + int64(len(e.key)) + int64(slots)*valueBytes
	for slot := range slots {
		bytes += int64(len(e.state.At(slot).Str()))
	}
	c.bytes += bytes - e.bytes
	e.bytes = bytes
	return bytes
}

// keepStored remembers what is in the store before the entry is changed. It
// says whether it was clean.
func (c *cache) keepStored(e *entry) bool {
	if e.stored != nil {
		return false
	}
	if n := len(c.spare); n > 0 {
		e.stored, c.spare = c.spare[n-1], c.spare[:n-1]
	} else {
		e.stored = projector.NewState(c.schema)
	}
	e.stored.CopyFrom(e.state)
	return true
}

// dropStored makes the entry clean: its state is in the store.
func (c *cache) dropStored(e *entry) {
	e.stored.Delete() // its values are not to be kept alive
	c.spare = append(c.spare, e.stored)
	e.stored = nil
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
		case e.stored != nil, e.used:
			e.used = false
			c.hand++
		default:
			c.remove(e)
		}
	}
}

// forget lets everything go.
func (c *cache) forget() {
	clear(c.byKey)
	c.ring, c.spare, c.bytes, c.hand = nil, nil, 0, 0
}
