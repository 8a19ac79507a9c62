package stream

import (
	"bytes"
	"fmt"
	"io"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/redisconn"
)

// Info is what the server says of the stream, and what follows from it.
type Info struct {
	Exists       bool
	Length       int64
	EntriesAdded int64        // ever added, -1 when the server does not say
	LastID       projector.ID // last generated
	FirstID      projector.ID // of the first entry there is; zero when there is none
	LastEntryID  projector.ID // of the last entry there is; zero when there is none
	MaxDeletedID projector.ID // the largest ID that was deleted

	History contract.History // from source.from on
	Entries int64            // the position's ordinal, -1 while unknown
}

// removed is how many entries were trimmed or deleted.
func (i Info) removed() int64 { return i.EntriesAdded - i.Length }

// Left is the ID of the first entry there is, or that there can be.
func (i Info) Left() projector.ID {
	if i.Length == 0 {
		return i.LastID.Next()
	}
	return i.FirstID
}

// byteReader is a bytes.Reader or a bufio.Reader.
type byteReader interface {
	io.Reader
	io.ByteReader
}

// readInfo reads the answer to XINFO STREAM, in RESP2 or RESP3. The first and
// the last entry stand in it whole; of them only the IDs are kept, whatever
// their size. A stream that is not there is no error.
func readInfo(r byteReader) (Info, error) {
	p := puller{r: r}
	info := Info{EntriesAdded: -1, Entries: -1}
	kind, n := p.head()
	switch {
	case p.missing():
		return info, nil
	case kind == '*' && n%2 == 0:
		n /= 2
	case kind != '%':
		p.fail("no map where one belongs")
	}
	info.Exists = true
	for i := 0; i < n && p.err == nil; i++ {
		p.member(&info)
	}
	if info.Length < 0 {
		p.fail("a stream of less than no entries")
	}
	if p.seen&always != always || p.seen&counters != 0 && p.seen&counters != counters {
		p.fail("not all that belongs into it")
	}
	if info.EntriesAdded < info.Length {
		info.EntriesAdded = -1 // set by hand to what cannot be
	}
	return info, p.err
}

// members are what is read of it. A name that one bit has changed must not pass
// for a server that does not know it: that would be no proof of anything.
type members uint8

const (
	hasLength members = 1 << iota
	hasLastID
	hasFirst
	hasLast
	hasAdded
	hasDeleted

	always   = hasLength | hasLastID | hasFirst | hasLast
	counters = hasAdded | hasDeleted // since Redis 7
)

// member reads one name and its value.
func (p *puller) member(info *Info) {
	var seen members
	switch name := p.short(); string(name) {
	case "length":
		seen, info.Length = hasLength, p.integer()
	case "entries-added":
		seen, info.EntriesAdded = hasAdded, p.integer()
	case "last-generated-id":
		seen, info.LastID = hasLastID, p.id()
	case "max-deleted-entry-id":
		seen, info.MaxDeletedID = hasDeleted, p.id()
	case "first-entry":
		seen, info.FirstID = hasFirst, p.entryID()
	case "last-entry":
		seen, info.LastEntryID = hasLast, p.entryID()
	default:
		p.skip(0)
	}
	p.seen |= seen
}

// puller reads a small reply piece by piece, and passes over large ones. After
// the first error it reads nothing more.
type puller struct {
	r    byteReader
	buf  [64]byte
	seen members
	err  error
}

func (p *puller) fail(what string) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: in XINFO: %s", errCorrupt, what)
	}
}

// missing takes the error away that says that there is no such stream.
func (p *puller) missing() bool {
	reply, ok := p.err.(redisconn.ServerError) //nolint:errorlint // it was set as it is by head
	return ok && string(reply) == "ERR no such key"
}

// line reads up to the line's end; what is longer than any such line is an error.
func (p *puller) line() []byte {
	const longest = 4 << 10
	line := p.buf[:0]
	for p.err == nil {
		c, err := p.r.ReadByte()
		if err != nil {
			p.err = fmt.Errorf("in the middle of a reply: %w", err)
			break
		}
		if line = append(line, c); bytes.HasSuffix(line, []byte("\r\n")) {
			return line[:len(line)-2]
		}
		if len(line) > longest {
			p.fail("a line that does not end")
		}
	}
	return nil
}

// head reads a type and the number behind it, -1 for null.
func (p *puller) head() (kind byte, n int) {
	line := p.line()
	switch {
	case p.err != nil:
		return 0, 0
	case len(line) == 0:
		p.fail("an empty line")
	case line[0] == '-':
		p.err = redisconn.ServerError(line[1:])
	case string(line) == "_", string(line) == "*-1", string(line) == "$-1":
		return line[0], -1
	case line[0] == '+', line[0] == ',', line[0] == '#', line[0] == '(':
		return line[0], 0
	default:
		return line[0], p.number(line[0], line[1:])
	}
	return 0, 0
}

// number reads a count, or an integer, which alone may be below zero.
func (p *puller) number(kind byte, text []byte) int {
	sign := 1
	if kind == ':' && len(text) > 0 && text[0] == '-' {
		sign, text = -1, text[1:]
	}
	n, rest := number(text)
	if len(rest) > 0 || len(text) == 0 || n > 1<<62 {
		p.fail("a number that is none")
		return 0
	}
	return sign * int(n)
}

func (p *puller) integer() int64 {
	kind, n := p.head()
	if kind != ':' {
		p.fail("no number where one belongs")
	}
	return int64(n)
}

// short reads a string that is never long: a name or an ID. It is valid until
// the next call.
func (p *puller) short() []byte {
	kind, n := p.head()
	if p.err == nil && (kind != '$' || n < 0 || n > len(p.buf)-2) {
		p.fail("no name or ID where one belongs")
	}
	if p.err != nil {
		return nil
	}
	text := p.buf[:n+2]
	if _, err := io.ReadFull(p.r, text); err != nil {
		p.err = fmt.Errorf("in the middle of a reply: %w", err)
	}
	return text[:n]
}

func (p *puller) id() projector.ID {
	text := p.short()
	id, ok := parseID(text)
	if !ok {
		p.fail("an ID that is none")
	}
	return id
}

// entryID reads an entry, of which only the ID is of interest; null is zero.
func (p *puller) entryID() projector.ID {
	kind, n := p.head()
	switch {
	case p.err != nil || n == -1:
		return projector.ID{}
	case kind != '*' || n != 2:
		p.fail("no entry where one belongs")
	}
	id := p.id()
	p.skip(0)
	return id
}

// skip passes over whatever comes.
func (p *puller) skip(depth int) {
	const deepest = 8
	if depth > deepest {
		p.fail("nested too deeply")
	}
	kind, n := p.head()
	switch {
	case p.err != nil || n == -1:
	case kind == '$' || kind == '=' || kind == '!':
		p.pass(int64(n) + 2)
	case kind == '*' || kind == '~' || kind == '>':
		p.skipAll(n, depth)
	case kind == '%':
		p.skipAll(2*n, depth)
	}
}

func (p *puller) skipAll(n, depth int) {
	for i := 0; i < n && p.err == nil; i++ {
		p.skip(depth + 1)
	}
}

func (p *puller) pass(n int64) {
	if _, err := io.CopyN(io.Discard, p.r, n); err != nil {
		p.err = fmt.Errorf("in the middle of a reply: %w", err)
	}
}
