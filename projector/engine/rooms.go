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
	text   int // bytes of it in a room
	blocks [][]room
	texts  [][]byte // of the blocks
	built  int
	spare  []*entry
}

func newRooms(schema *projector.Schema) rooms { return rooms{schema: schema, text: textBytes(schema)} }

// besideState is the memory of an entry beside what its state counts and its key:
// the rest of the room, and roughly its share of the index and of the ring.
func besideState(schema *projector.Schema) int64 {
	const share = 40
	bytes := share + int64(unsafe.Sizeof(room{})) - int64(unsafe.Sizeof(projector.State{}))
	if fields := len(schema.Fields()); fields <= narrow {
		bytes -= int64(fields) * int64(unsafe.Sizeof(projector.Slot{}))
	}
	return bytes
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

// give takes an entry back. What its state has outgrown its room with goes.
func (r *rooms) give(e *entry) {
	block, place := find(int(e.number))
	e.state.Clear(r.textOf(r.texts[block], place))
	r.spare = append(r.spare, e)
}

// entry is that of a number.
func (r *rooms) entry(number int) *entry {
	block, place := find(number)
	return &r.blocks[block][place].entry
}

// find says in which block the room of a number is, and where in it.
func find(number int) (block, place int) {
	if number < doubled {
		block = bits.Len(uint(number/firstBlock+1)) - 1
		return block, number - firstBlock*(1<<block-1)
	}
	number -= doubled
	return doublings + number/largestBlock, number % largestBlock
}

func (r *rooms) textOf(texts []byte, place int) []byte {
	at := place * r.text
	return texts[at : at : at+r.text]
}

func (r *rooms) build() {
	n := firstBlock << min(len(r.blocks), doublings)
	block, text := make([]room, n), make([]byte, n*r.text)
	largePages(block)
	largePages(text)
	for i := range block {
		room := &block[i]
		room.state.Init(r.schema, r.slots(room), r.textOf(text, i))
		room.entry.state, room.entry.number = &room.state, int32(r.built+i)
		r.spare = append(r.spare, &room.entry)
	}
	r.blocks, r.texts = append(r.blocks, block), append(r.texts, text)
	r.built += n
}

func (r *rooms) slots(room *room) []projector.Slot {
	if fields := len(r.schema.Fields()); fields > narrow {
		return make([]projector.Slot, fields)
	}
	return room.slots[:]
}

func textBytes(schema *projector.Schema) int {
	bytes := 0
	for _, f := range schema.Fields() {
		if f.Kind == projector.String || f.Kind == projector.JSON || f.Kind == projector.Timestamp {
			bytes += textAField
		}
	}
	return min(bytes, mostText)
}
