package stream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/redisconn"
)

// errCut: the reply is far larger than was aimed at, and was not read to its
// end.
var errCut = errors.New("the reply is too large")

// wire is a connection of our own, from which replies are read straight into
// the batch's buffer. One exchange at a time is on it.
type wire struct {
	cn    net.Conn
	asked request // of which the answers are not read yet; of nothing: zero
	text  []byte
	rest  *bufio.Reader // for the second answer
	wait  time.Duration // how long the server may be silent
	due   time.Time     // until when it may be, as the connection knows it
}

// request is for so many entries after an ID.
type request struct {
	after projector.ID
	count int
}

func openWire(ctx context.Context, client *redis.Client) (*wire, error) {
	cn, err := redisconn.Dial(ctx, client)
	if err != nil {
		return nil, err
	}
	return &wire{cn: cn, rest: bufio.NewReader(nil)}, nil
}

// close may be called by another goroutine, to end what is under way.
func (w *wire) close() { _ = w.cn.Close() }

// ask sends both requests at once. A server that blocks on the first answers
// the second right after it.
func (w *wire) ask(stream string, what request, block time.Duration) error {
	words := []string{"XREAD", "COUNT", strconv.Itoa(what.count)}
	if block > 0 {
		// BLOCK 0 would be for ever.
		words = append(words, "BLOCK", strconv.FormatInt(max(1, block.Milliseconds()), 10))
	}
	words = append(words, "STREAMS", stream, what.after.String())
	w.text = redisconn.AppendCommand(w.text[:0], words...)
	w.text = redisconn.AppendCommand(w.text, "XINFO", "STREAM", stream)
	w.asked = what
	return w.send(max(0, block))
}

// call sends one request and returns its answer, to be read to its end.
func (w *wire) call(words ...string) (byteReader, error) {
	w.text = redisconn.AppendCommand(w.text[:0], words...)
	w.rest.Reset(w)
	return w.rest, w.send(0)
}

// send sends the text. The server may block so long before it answers.
func (w *wire) send(block time.Duration) error {
	w.wait, w.due = redisconn.ReadTimeout+block, time.Time{}
	if err := w.cn.SetWriteDeadline(time.Now().Add(redisconn.WriteTimeout)); err != nil {
		return err
	}
	_, err := w.cn.Write(w.text)
	return err
}

// entries reads the first answer. It returns errCut, with at least one event
// decoded, rather than hold more than most bytes.
func (w *wire) entries(b *Batch, stream string, count, most int) error {
	n, err := w.opening(b, stream)
	if err != nil {
		return err
	}
	if n > count {
		return fmt.Errorf("%w: %d entries where %d were asked for", errCorrupt, n, count)
	}
	for b.swift(n); len(b.Events) < n; b.swift(n) {
		want, err := b.event()
		switch {
		case errors.Is(err, errTooLarge) && len(b.Events) > 0:
			return errCut
		case err != nil:
			return err
		}
		if want == 0 {
			continue
		}
		if len(b.Events) > 0 && b.Bytes+len(b.buf)-b.pos+want > most {
			return errCut
		}
		if err := w.fill(b, want); err != nil {
			return err
		}
	}
	return nil
}

func (w *wire) opening(b *Batch, stream string) (int, error) {
	for {
		n, want, err := b.opening(stream)
		if err != nil || want == 0 {
			return n, err
		}
		if err := w.fill(b, want); err != nil {
			return 0, err
		}
	}
}

// fill reads at least want bytes more, and as many as there are and fit.
func (w *wire) fill(b *Batch, want int) error {
	b.room(want)
	for want > 0 {
		if len(b.buf) == cap(b.buf) {
			b.room(want)
		}
		n, err := w.Read(b.buf[len(b.buf):cap(b.buf)])
		b.buf = b.buf[:len(b.buf)+n]
		want -= n
		if err != nil && want > 0 {
			return fmt.Errorf("in the middle of a reply: %w", err)
		}
	}
	return nil
}

// Read lets the server be silent for no longer than it may, or a second more: a
// deadline costs too much to be set anew for every piece of a reply.
func (w *wire) Read(p []byte) (int, error) {
	if least := time.Now().Add(w.wait); least.After(w.due) {
		w.due = least.Add(time.Second)
		if err := w.cn.SetReadDeadline(w.due); err != nil {
			return 0, err
		}
	}
	return w.cn.Read(p)
}

// info reads the second answer, of which the buffer may hold a part already.
// It ends there: nothing else was asked for.
func (w *wire) info(b *Batch) (Info, error) {
	read := bytes.NewReader(b.buf[b.pos:])
	w.rest.Reset(io.MultiReader(read, w))
	info, err := readInfo(w.rest)
	w.asked = request{}
	if err == nil && (w.rest.Buffered() > 0 || read.Len() > 0) {
		err = fmt.Errorf("%w: there is more than was asked for", errCorrupt)
	}
	return info, err
}
