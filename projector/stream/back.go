package stream

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/redisconn"
)

// Backward reads a stream the newest first. It proves nothing of what is between
// entries: it is for people who look, not for folding. It is for one goroutine.
type Backward struct {
	reader *Reader
	most   int
	wire   *redisconn.Wire // nil when there is none
	event  projector.Event
	text   []byte // of the event
	ends   []int
	err    error // of what is being read; after the first nothing more is
}

// Backward begins such a reading, of events of no more than most bytes (0 for
// any). It keeps one connection from the first Read to its Close.
func (r *Reader) Backward(most int) *Backward { return &Backward{reader: r, most: most} }

// Bound sets how large the events of the next Read may be.
func (b *Backward) Bound(most int) { b.most = most }

// Close hangs up.
func (b *Backward) Close() {
	if b.wire != nil {
		b.wire.Close()
		b.wire = nil
	}
}

// Read gives each up to count entries from an ID down to another, as views that
// are valid until each returns; it holds one entry at a time. It says how many
// there were, fewer than count is all there is, and how many bytes they had. An
// error of each ends it. An event that is too large is not read.
func (b *Backward) Read(ctx context.Context, from, to projector.ID, count int, each func(*projector.Event) error) (n, bytes int, err error) {
	if b.wire == nil {
		if b.wire, err = redisconn.OpenWire(ctx, b.reader.client); err != nil {
			return 0, 0, b.reader.fault(ctx, err)
		}
	}
	defer b.wire.During(ctx)()
	b.err = b.wire.Send(redisconn.AppendCommand(nil, "XREVRANGE", b.reader.src.Stream, from.String(), to.String(), "COUNT", strconv.Itoa(count)))
	for entries := b.array(); b.err == nil && n < entries; n++ {
		if b.entry(); b.err != nil {
			break
		}
		if err := each(&b.event); err != nil {
			b.Close() // there is more of the answer on it
			return n, bytes, err
		}
		bytes += len(b.text)
	}
	if b.err != nil {
		b.Close()
		return n, bytes, b.reader.fault(ctx, b.err)
	}
	return n, bytes, nil
}

// entry reads one entry into event. The wire's text is gone with the next reply:
// the event has a copy.
func (b *Backward) entry() {
	if b.array() != 2 {
		b.fail("an entry that is no pair")
	}
	id, ok := parseID(b.bulk())
	if !ok {
		b.fail("an ID that is none")
	}
	fields := b.array()
	if fields%2 != 0 {
		b.fail("a field without a value")
	}
	b.event = projector.Event{ID: id, Fields: b.event.Fields[:0]}
	b.text, b.ends = b.text[:0], b.ends[:0]
	for i := 0; i < fields && b.err == nil; i++ {
		b.text = append(b.text, b.field(id)...)
		b.ends = append(b.ends, len(b.text))
	}
	begin := 0
	for i := 0; i+1 < len(b.ends); i += 2 {
		name, value := b.ends[i], b.ends[i+1]
		b.event.Fields = append(b.event.Fields, projector.Field{Name: b.text[begin:name:name], Value: b.text[name:value:value]})
		begin = value
	}
}

// field reads a name or a value, if there is room for it.
func (b *Backward) field(id projector.ID) []byte {
	if b.most == 0 {
		return b.bulk()
	}
	room := b.most - len(b.text)
	reply := b.reply('$', int64(room))
	if b.err == nil && reply.N > int64(room) {
		b.err = tooLarge(id, len(b.text)+int(reply.N), b.most)
	}
	return reply.Text
}

func (b *Backward) array() int { return int(b.reply('*', 0).N) }

func (b *Backward) bulk() []byte { return b.reply('$', math.MaxInt64).Text }

func (b *Backward) reply(kind byte, most int64) redisconn.Reply {
	if b.err != nil {
		return redisconn.Reply{}
	}
	reply, err := b.wire.ReplyUpTo(most)
	if b.err = err; err != nil {
		return reply
	}
	if b.err = reply.Err(); b.err == nil && (reply.Kind != kind || reply.N < 0) {
		b.fail("something else than belongs there")
	}
	return reply
}

func (b *Backward) fail(what string) {
	if b.err == nil {
		b.err = fmt.Errorf("%w: in XREVRANGE: %s", errCorrupt, what)
	}
}
