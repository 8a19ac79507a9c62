package stream

import (
	"bytes"
	"fmt"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/redisconn"
)

// The answer to XREAD, in RESP2 and in RESP3:
//
//	*1 *2 $stream *n entry…     %1 $stream *n entry…     *-1, $-1 or _ for nothing
//	entry: *2 $id *2m ($name $value)…
//
// Decoding is in place and can stop anywhere: a step that meets the end of the
// buffer changes nothing and says how many bytes it wants at least. It never
// allocates by what a count in the reply says, only by what is there.

// cursor walks over the bytes. Once want, far or err is set nothing more is read.
type cursor struct {
	buf  []byte
	pos  int
	most int // up to where strings may go, 0 for anywhere
	far  int // where a string would end that goes beyond; it is not waited for
	want int
	err  error
}

func (c *cursor) ok() bool { return c.want == 0 && c.far == 0 && c.err == nil }

func (c *cursor) fail(what string) {
	if c.ok() {
		c.err = fmt.Errorf("%w: %s", errCorrupt, what)
	}
}

// maxLength is the longest bulk string and the largest count that is believed:
// Redis' own limits are below.
const maxLength = 1 << 32

// head reads the type of what comes and the number behind it, -1 for null.
func (c *cursor) head() (kind byte, n int) {
	if !c.ok() {
		return 0, 0
	}
	buf := c.buf[c.pos:]
	if len(buf) < 3 {
		c.want = 3 - len(buf)
		return 0, 0
	}
	kind = buf[0]
	if n, i := digits(buf[1:]); i > 0 {
		if i++; i+1 >= len(buf) {
			c.want = i + 2 - len(buf)
			return 0, 0
		}
		if buf[i] == '\r' && buf[i+1] == '\n' && n <= maxLength {
			c.pos += i + 2
			return kind, n
		}
	}
	return c.rareHead(kind)
}

// digits reads a number's digits and says how many bytes they were; it stops
// where the number is too large to be true.
func digits(buf []byte) (n, length int) {
	for i, d := range buf {
		if d < '0' || d > '9' || n > maxLength {
			return n, i
		}
		n = n*10 + int(d-'0')
	}
	return n, len(buf)
}

// rareHead reads nulls and error replies.
func (c *cursor) rareHead(kind byte) (byte, int) {
	const longest = 64 << 10
	line, _, whole := bytes.Cut(c.buf[c.pos:], []byte("\r\n"))
	switch text := string(line[:min(len(line), 4)]); {
	case !whole && len(line) < longest:
		c.want = 1
	case !whole:
		c.fail("a line that does not end")
	case kind == '-':
		c.err = redisconn.ServerError(line[1:])
	case text == "_", text == "*-1", text == "$-1":
		c.pos += len(line) + 2
		return kind, -1
	default:
		c.fail("a length that is none")
	}
	return kind, 0
}

// array reads an array's head; null is not one.
func (c *cursor) array() int {
	kind, n := c.head()
	if c.ok() && (kind != '*' || n < 0) {
		c.fail("not an array where one belongs")
	}
	return n
}

// bulk reads a bulk string; it is a view.
func (c *cursor) bulk() []byte {
	kind, n := c.head()
	if !c.ok() {
		return nil
	}
	if kind != '$' || n < 0 {
		c.fail("not a string where one belongs")
		return nil
	}
	end := c.pos + n
	if c.most > 0 && end+2 > c.most {
		c.far = end + 2
		return nil
	}
	if missing := end + 2 - len(c.buf); missing > 0 {
		c.want = missing
		return nil
	}
	if c.buf[end] != '\r' || c.buf[end+1] != '\n' {
		c.fail("a string that does not end where it should")
		return nil
	}
	view := c.buf[c.pos:end:end]
	c.pos = end + 2
	return view
}

// opening decodes what stands before the first entry: how many there are.
func (b *Batch) opening(stream string) (n, want int, err error) {
	c := cursor{buf: b.buf, pos: b.pos}
	kind, streams := c.head()
	if c.ok() && streams != -1 {
		n = c.oneStream(kind, streams, stream)
	}
	if c.ok() {
		b.advance(c.pos)
	}
	return n, c.want, c.err
}

func (c *cursor) oneStream(kind byte, streams int, stream string) int {
	if (kind != '*' && kind != '%') || streams != 1 {
		c.fail("not one stream")
	}
	if kind == '*' && c.array() != 2 {
		c.fail("a stream that is no pair")
	}
	if name := c.bulk(); c.ok() && string(name) != stream {
		c.fail("another stream than was asked for")
	}
	return c.array()
}

// parseID reads a stream ID as the server writes it.
func parseID(text []byte) (id projector.ID, ok bool) {
	ms, rest := number(text)
	if len(rest) < 2 || len(rest) == len(text) || rest[0] != '-' {
		return projector.ID{}, false
	}
	seq, rest := number(rest[1:])
	return projector.ID{Ms: ms, Seq: seq}, len(rest) == 0
}

// number reads the decimal 64-bit number in front; what it could not read is
// the rest.
func number(text []byte) (n uint64, rest []byte) {
	for i, d := range text {
		digit := uint64(d - '0')
		if digit > 9 {
			return n, text[i:]
		}
		if n > (1<<64-1)/10 || n*10 > 1<<64-1-digit {
			return n, text
		}
		n = n*10 + digit
	}
	return n, nil
}
