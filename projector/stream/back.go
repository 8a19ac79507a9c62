package stream

import (
	"context"
	"fmt"
	"strconv"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/redisconn"
)

// Back gives each up to count entries from an ID down to another, the newest
// first, as views that are valid until each returns; it holds one entry at a time,
// of no more than most bytes (0 for any). It proves nothing of what is between
// them: it is for people who look, not for folding. It says how many there were;
// fewer than count is all there is. An error of each ends it.
func (r *Reader) Back(ctx context.Context, from, to projector.ID, count, most int, each func(*projector.Event) error) (n int, err error) {
	wire, err := redisconn.OpenWire(ctx, r.client)
	if err != nil {
		return 0, r.fault(ctx, err)
	}
	defer wire.Close()
	defer wire.During(ctx)()
	err = wire.Send(redisconn.AppendCommand(nil, "XREVRANGE", r.src.Stream, from.String(), to.String(), "COUNT", strconv.Itoa(count)))
	if err != nil {
		return 0, r.fault(ctx, err)
	}
	b := backward{wire: wire, most: most}
	for entries := b.array(); b.err == nil && n < entries; n++ {
		if b.entry(); b.err != nil {
			break
		}
		if err := each(&b.event); err != nil {
			return n, err
		}
	}
	if b.err != nil {
		return n, r.fault(ctx, b.err)
	}
	return n, nil
}

// backward reads entries one by one. After the first error it reads nothing more.
type backward struct {
	wire  *redisconn.Wire
	most  int
	event projector.Event
	text  []byte // of the event
	ends  []int
	err   error
}

// entry reads one entry into event. The wire's text is gone with the next reply:
// the event has a copy.
func (b *backward) entry() {
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
		text := b.bulk()
		if b.most > 0 && len(b.text)+len(text) > b.most && b.err == nil {
			b.err = tooLarge(id, len(b.text)+len(text), b.most)
			return
		}
		b.text = append(b.text, text...)
		b.ends = append(b.ends, len(b.text))
	}
	begin := 0
	for i := 0; i+1 < len(b.ends); i += 2 {
		name, value := b.ends[i], b.ends[i+1]
		b.event.Fields = append(b.event.Fields, projector.Field{Name: b.text[begin:name:name], Value: b.text[name:value:value]})
		begin = value
	}
}

func (b *backward) array() int {
	reply := b.reply('*')
	return int(reply.N)
}

func (b *backward) bulk() []byte { return b.reply('$').Text }

func (b *backward) reply(kind byte) redisconn.Reply {
	if b.err != nil {
		return redisconn.Reply{}
	}
	reply, err := b.wire.Reply()
	if b.err = err; err != nil {
		return reply
	}
	if b.err = reply.Err(); b.err == nil && (reply.Kind != kind || reply.N < 0) {
		b.fail("something else than belongs there")
	}
	return reply
}

func (b *backward) fail(what string) {
	if b.err == nil {
		b.err = fmt.Errorf("%w: in XREVRANGE: %s", errCorrupt, what)
	}
}
