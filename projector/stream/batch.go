package stream

import (
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// Batch is the entries after a position, in order and without a gap. Its
// events, with ID and Fields set, are views into its buffer: valid until
// Release.
type Batch struct {
	Events      []projector.Event
	Last        projector.ID     // of the last event; the position itself when empty
	Entries     int64            // ordinal of Last, -1 while unknown
	Tail        projector.ID     // the stream's last generated ID, as of this batch
	TailEntries int64            // entries ever added, as of this batch, -1 while unknown
	History     contract.History // as of this batch
	Bytes       int              // of the reply that held the events

	owner  *Reader
	most   int  // bytes of an entry, 0 for no bound
	kept   int  // bytes of the largest buffer that is kept
	more   bool // there were entries after Last
	buf    []byte
	pos    int // of the first byte in buf that is not decoded
	fields []projector.Field
	half   half
}

const (
	firstBuffer = 64 << 10
	// keptBuffer is the largest buffer that is kept for the next batch: one
	// huge event must not hold its memory for ever.
	keptBuffer  = 8 << 20
	keptFields  = 1 << 18
	keptBatches = 4
)

// Release gives the buffer back; the events are not valid any more, the rest
// of the batch is. It may be called by any goroutine, and again.
func (b *Batch) Release() {
	if b.owner != nil {
		b.owner.keep(memory{b.buf, b.fields, b.Events}, b.kept)
	}
	b.owner, b.buf, b.fields, b.Events = nil, nil, nil, nil
}

// memory is what one batch after another is made of.
type memory struct {
	buf    []byte
	fields []projector.Field
	events []projector.Event
}

func (r *Reader) keep(m memory, largest int) {
	if cap(m.buf) > largest || cap(m.fields) > keptFields {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.free) < keptBatches {
		r.free = append(r.free, m)
	}
}

func (r *Reader) newBatch(position projector.ID) *Batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	var m memory
	if last := len(r.free) - 1; last >= 0 {
		m, r.free = r.free[last], r.free[:last]
	}
	return &Batch{owner: r, kept: keptBuffer, Last: position, Entries: -1, Events: m.events[:0], buf: m.buf[:0], fields: m.fields[:0]}
}

// room makes room for n more bytes, or for some of them: a length is believed up
// to what an entry may have, or is in proportion to what has come already. Events
// keep their views: the old buffer is left to them, and only what is not decoded
// yet moves.
func (b *Batch) room(n int) {
	rest := b.buf[b.pos:]
	n = min(n, max(b.most, keptBuffer, 2*len(rest)))
	if cap(b.buf)-len(b.buf) >= n {
		return
	}
	larger := make([]byte, len(rest), max(firstBuffer, min(2*cap(b.buf), b.kept), len(rest)+n))
	copy(larger, rest)
	b.buf, b.pos = larger, 0
}
