package redisconn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// Wire is a connection of our own, for who encodes requests by hand and reads
// replies in place. One exchange at a time is on it; after an error, or with
// replies left unread, it is of no use any more.
type Wire struct {
	cn       net.Conn
	buf      []byte // buf[pos:end] is not read yet
	pos, end int
	ctx      context.Context // of the exchange that is under way
}

const (
	wireBuffer   = 64 << 10
	wireKeeps    = 1 << 20 // a larger buffer is given back when its reply is read
	writeAtOnce  = 1 << 20
	longestLine  = 64 << 10
	longestReply = 1 << 40 // bytes, or elements, that a reply may say it has
)

// OpenWire dials as Dial does.
func OpenWire(ctx context.Context, client *redis.Client) (*Wire, error) {
	cn, err := Dial(ctx, client)
	if err != nil {
		return nil, err
	}
	return newWire(cn), nil
}

func newWire(cn net.Conn) *Wire {
	return &Wire{cn: cn, buf: make([]byte, wireBuffer), ctx: context.Background()}
}

// Close may be called by another goroutine, to end what is under way.
func (w *Wire) Close() { _ = w.cn.Close() }

// During binds what follows to ctx, until release is called: a context that is
// canceled closes the connection, and its deadline is one of the exchange.
func (w *Wire) During(ctx context.Context) (release func()) {
	w.ctx = ctx
	stop := context.AfterFunc(ctx, func() {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			w.Close()
		}
	})
	return func() {
		stop()
		w.ctx = context.Background()
	}
}

// Send writes a request. The server may take WriteTimeout for each MiB of it.
func (w *Wire) Send(request []byte) error {
	if w.pos != w.end {
		return fmt.Errorf("%w: it was not asked for", ErrBadReply)
	}
	w.pos, w.end = 0, 0
	if len(w.buf) > wireKeeps {
		w.buf = make([]byte, wireBuffer)
	}
	return w.SendAhead(request)
}

// SendAhead is Send while replies to earlier requests are still to be read.
func (w *Wire) SendAhead(request []byte) error {
	for len(request) > 0 {
		n := min(len(request), writeAtOnce)
		if err := w.cn.SetWriteDeadline(w.within(WriteTimeout)); err != nil {
			return w.ended(err)
		}
		if _, err := w.cn.Write(request[:n]); err != nil {
			return w.ended(err)
		}
		request = request[n:]
	}
	return nil
}

func (w *Wire) within(timeout time.Duration) time.Time {
	end := time.Now().Add(timeout)
	if deadline, ok := w.ctx.Deadline(); ok && deadline.Before(end) {
		return deadline
	}
	return end
}

// ended names the context's end where that is what closed the connection.
func (w *Wire) ended(err error) error {
	if errors.Is(w.ctx.Err(), context.Canceled) {
		return fmt.Errorf("%w: %w", w.ctx.Err(), err)
	}
	return err
}

// Reply is one reply, or the head of one: the elements of an array are the
// replies that follow.
type Reply struct {
	Kind byte   // '+', '-', ':', '$' or '*'
	N    int64  // the number of ':', the elements of '*'; -1 where '$' and '*' are null
	Text []byte // of '+', '-' and '$'; valid until the next call
}

// Err is a ServerError where the reply is an error.
func (r Reply) Err() error {
	if r.Kind == '-' {
		return ServerError(r.Text)
	}
	return nil
}

// Reply reads the next reply.
func (w *Wire) Reply() (Reply, error) { return w.ReplyUpTo(longestReply) }

// ReplyUpTo is Reply, but a string of more than most bytes is not read: the reply
// says its length, and the wire is of no use any more.
func (w *Wire) ReplyUpTo(most int64) (Reply, error) {
	line, err := w.line()
	if err != nil {
		return Reply{}, err
	}
	r := Reply{Kind: line[0]}
	switch r.Kind {
	case '+', '-':
		r.Text = line[1:]
		return r, nil
	case ':', '$', '*':
		var ok bool
		if r.N, ok = parseInt(line[1:]); !ok || r.Kind != ':' && (r.N < -1 || r.N > longestReply) {
			return Reply{}, fmt.Errorf("%w: a number that is none", ErrBadReply)
		}
	default:
		return Reply{}, fmt.Errorf("%w: it begins with %q", ErrBadReply, r.Kind)
	}
	if r.Kind == '$' && r.N >= 0 && r.N <= most {
		r.Text, err = w.bulk(int(r.N))
	}
	return r, err
}

// Skip passes over up to n replies that are already there and read exactly so,
// with their line ends. It returns how many they were.
func (w *Wire) Skip(n int, line string) (skipped int) {
	for skipped < n && w.end-w.pos >= len(line) && string(w.buf[w.pos:w.pos+len(line)]) == line {
		w.pos += len(line)
		skipped++
	}
	return skipped
}

// line reads up to the line's end; it has at least one byte.
func (w *Wire) line() ([]byte, error) {
	for looked := 0; ; {
		if i := bytes.IndexByte(w.buf[w.pos+looked:w.end], '\n'); i >= 0 {
			line := w.buf[w.pos : w.pos+looked+i]
			w.pos += looked + i + 1
			if line, ok := bytes.CutSuffix(line, []byte("\r")); ok && len(line) > 0 {
				return line, nil
			}
			return nil, fmt.Errorf("%w: a line that is none", ErrBadReply)
		}
		if looked = w.end - w.pos; looked > longestLine {
			return nil, fmt.Errorf("%w: a line that does not end", ErrBadReply)
		}
		if err := w.need(looked + 1); err != nil {
			return nil, err
		}
	}
}

func (w *Wire) bulk(n int) ([]byte, error) {
	if err := w.need(n + 2); err != nil {
		return nil, err
	}
	text := w.buf[w.pos : w.pos+n]
	if w.buf[w.pos+n] != '\r' || w.buf[w.pos+n+1] != '\n' {
		return nil, fmt.Errorf("%w: a string longer than it says", ErrBadReply)
	}
	w.pos += n + 2
	return text, nil
}

// need reads until n bytes are there. The buffer grows with what has come, not
// with what is announced.
func (w *Wire) need(n int) error {
	for w.end-w.pos < n {
		if w.pos > 0 && w.pos+n > len(w.buf) {
			w.end = copy(w.buf, w.buf[w.pos:w.end])
			w.pos = 0
		}
		if w.end == len(w.buf) {
			w.buf = append(w.buf, make([]byte, len(w.buf))...)
		}
		if err := w.cn.SetReadDeadline(w.within(ReadTimeout)); err != nil {
			return w.ended(err)
		}
		got, err := w.cn.Read(w.buf[w.end:])
		w.end += got
		if err != nil && w.end-w.pos < n {
			return w.ended(err)
		}
	}
	return nil
}

// parseInt reads a decimal number; no reply that is counted has more than 18 digits.
func parseInt(text []byte) (n int64, ok bool) {
	digits, negative := bytes.CutPrefix(text, []byte("-"))
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}
