package stream

import "github.com/refold-dev/refold/projector"

// half is an entry of which only the beginning is decoded, because the rest has
// not come yet. A large one is not begun anew with every piece of it.
type half struct {
	open  bool
	id    projector.ID
	first int // of its fields
	left  int // names and values that are not decoded yet
	began int // what Bytes was before it
}

// event decodes the next entry and appends it, or as much of it as there is; it
// then says how many bytes more it wants at least.
func (b *Batch) event() (want int, err error) {
	if !b.half.open {
		want, err = b.begin()
	}
	for want == 0 && err == nil && b.half.left > 0 {
		want, err = b.field()
	}
	if want > 0 || err != nil {
		return want, err
	}
	end := len(b.fields)
	b.Events = append(b.Events, projector.Event{ID: b.half.id, Fields: b.fields[b.half.first:end:end]})
	b.Last, b.half = b.half.id, half{}
	return 0, nil
}

// begin decodes an entry up to its first field.
func (b *Batch) begin() (want int, err error) {
	c := cursor{buf: b.buf, pos: b.pos}
	if c.array() != 2 {
		c.fail("an entry that is no pair")
	}
	id := c.id()
	n := c.array()
	if n%2 != 0 {
		c.fail("a field without a value")
	}
	if c.ok() && id.Compare(b.Last) <= 0 {
		c.fail("an ID that is not after the one before")
	}
	if c.ok() {
		b.half = half{open: true, id: id, first: len(b.fields), left: n, began: b.Bytes}
		b.advance(c.pos)
	}
	return c.want, c.err
}

// field decodes one field of the entry that is open.
func (b *Batch) field() (want int, err error) {
	c := cursor{buf: b.buf, pos: b.pos}
	size := b.Bytes - b.half.began
	if b.most > 0 {
		c.most = max(1, b.pos+b.most-size)
	}
	name := c.bulk()
	value := c.bulk()
	switch {
	case c.far > 0:
		return 0, tooLarge(b.half.id, size+c.far-b.pos, b.most)
	case c.ok():
		b.fields = append(b.fields, projector.Field{Name: name, Value: value})
		b.half.left -= 2
		b.advance(c.pos)
	}
	return c.want, c.err
}

func (b *Batch) advance(pos int) {
	b.Bytes += pos - b.pos
	b.pos = pos
}

func (c *cursor) id() projector.ID {
	const longest = len("$41\r\n18446744073709551615-18446744073709551615\r\n")
	c.most = c.pos + longest
	id, ok := parseID(c.bulk())
	if c.far > 0 {
		c.far, ok = 0, false
	}
	if !ok {
		c.fail("an ID that is none")
	}
	c.most = 0
	return id
}
