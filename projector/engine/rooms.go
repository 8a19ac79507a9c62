package engine

import (
	"math/bits"
	"unsafe"

	"github.com/refold-dev/refold/projector"
)

// room is an entity's memory. A fold goes from one entity to any other: what
// belongs to one lies together, and in large pages, so that the processor has
// little to look for.
type room struct {
	entry entry
	state projector.State
	slots [narrow]projector.Slot
}

// narrow is how many fields fit into a room; a wider entity's are beside it.
const narrow = 8

// Bytes of text that an entity has room for, by its fields of text.
const (
	textAField = 40
	mostText   = 192
)

// Rooms are built in blocks, each twice the one before until they are megabytes.
const (
	firstBlock   = 64
	doublings    = 7
	largestBlock = firstBlock << doublings
	doubled      = firstBlock * (1<<doublings - 1) // rooms in the blocks before the first largest
)

// rooms makes entries and takes them back.
type rooms struct {
	schema *projector.Schema
	bytes  int64 // of one
	blocks [][]room
	built  int
	spare  []*entry
}

func newRooms(schema *projector.Schema) rooms {
	r := rooms{schema: schema}
	r.bytes = int64(unsafe.Sizeof(room{})) + int64(r.textBytes())
	return r
}

func (r *rooms) take() *entry {
	if len(r.spare) == 0 {
		r.build()
	}
	last := len(r.spare) - 1
	e := r.spare[last]
	r.spare = r.spare[:last]
	return e
}

func (r *rooms) give(e *entry) { r.spare = append(r.spare, e) }

// entry is that of a number.
func (r *rooms) entry(number int) *entry {
	if number < doubled {
		block := bits.Len(uint(number/firstBlock+1)) - 1
		return &r.blocks[block][number-firstBlock*(1<<block-1)].entry
	}
	number -= doubled
	return &r.blocks[doublings+number/largestBlock][number%largestBlock].entry
}

func (r *rooms) build() {
	n := firstBlock << min(len(r.blocks), doublings)
	block, text := make([]room, n), make([]byte, n*r.textBytes())
	largePages(block)
	largePages(text)
	for i := range block {
		room, at := &block[i], i*r.textBytes()
		room.state.Init(r.schema, r.slots(room), text[at:at:at+r.textBytes()])
		room.entry.state, room.entry.number = &room.state, int32(r.built+i)
		r.spare = append(r.spare, &room.entry)
	}
	r.blocks = append(r.blocks, block)
	r.built += n
}

func (r *rooms) slots(room *room) []projector.Slot {
	if fields := len(r.schema.Fields()); fields > narrow {
		return make([]projector.Slot, fields)
	}
	return room.slots[:]
}

func (r *rooms) textBytes() int {
	bytes := 0
	for _, f := range r.schema.Fields() {
		if f.Kind == projector.String || f.Kind == projector.JSON || f.Kind == projector.Timestamp {
			bytes += textAField
		}
	}
	return min(bytes, mostText)
}
