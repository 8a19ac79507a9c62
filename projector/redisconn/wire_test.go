package redisconn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	testbed "github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/redisconn"
)

// wireTo is a wire on which the other end says what it is told, in pieces.
func wireTo(t testing.TB, says []byte, piece int) *redisconn.Wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		cn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = cn.Close() }()
		_, _ = cn.Read(make([]byte, 1<<10)) // the name
		_, _ = io.WriteString(cn, "+OK\r\n")
		_, _ = cn.Read(make([]byte, 1<<10))
		for rest := says; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
			if _, err := cn.Write(rest[:min(piece, len(rest))]); err != nil {
				return
			}
		}
	}()
	client := connect(t, contract.Redis{URL: "redis://" + listener.Addr().String()})
	w, err := redisconn.OpenWire(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	if err := w.Send([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
		t.Fatal(err)
	}
	return w
}

// readAll reads replies until one cannot be read.
func readAll(w *redisconn.Wire) (read []string, err error) {
	for {
		r, err := w.Reply()
		if err != nil {
			return read, err
		}
		read = append(read, fmt.Sprintf("%c%d %.20q", r.Kind, r.N, r.Text))
	}
}

func TestRepliesAreRead(t *testing.T) {
	large := strings.Repeat("x", 3<<20)
	says := "+OK\r\n:-12\r\n$-1\r\n*-1\r\n$0\r\n\r\n*2\r\n$3\r\na\r\n\r\n:7\r\n-ERR no\r\n$" + fmt.Sprint(len(large)) + "\r\n" + large + "\r\n+end\r\n"
	want := []string{`+0 "OK"`, `:-12 ""`, `$-1 ""`, `*-1 ""`, `$0 ""`, `*2 ""`, `$3 "a\r\n"`, `:7 ""`, `-0 "ERR no"`,
		`$3145728 "xxxxxxxxxxxxxxxxxxxx"`, `+0 "end"`}
	for _, piece := range []int{len(says), 1 << 16, 7} {
		if piece == 7 {
			says = strings.Replace(strings.Replace(says, large, "x", 1), "$3145728", "$1", 1)
			want[9] = `$1 "x"`
		}
		got, err := readAll(wireTo(t, []byte(says), piece))
		if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, io.EOF) {
			t.Errorf("in pieces of %d (%v): %s", piece, err, diff)
		}
	}
}

func TestWhatNoRedisSaysIsNotRead(t *testing.T) {
	for _, says := range []string{"\r\n", "?\r\n", ":\r\n", ":1x\r\n", ":-\r\n", "$-2\r\n", "$1\r\nab\r\n", "*x\r\n", ":1\n", "$9999999999999999\r\n", "+" + strings.Repeat("x", 1<<17)} {
		if _, err := readAll(wireTo(t, []byte(says), len(says))); !errors.Is(err, redisconn.ErrBadReply) {
			t.Errorf("%.20q: %v", says, err)
		}
	}
}

func TestOnlyTheSameRepliesAreSkipped(t *testing.T) {
	w := wireTo(t, []byte("+A\r\n+Q\r\n+Q\r\n+QU\r\n+Q\r\n+Q"), 1<<10)
	if _, err := w.Reply(); err != nil {
		t.Fatal(err)
	}
	if n := w.Skip(9, "+Q\r\n"); n != 2 {
		t.Errorf("skipped %d", n)
	}
	if r, err := w.Reply(); err != nil || string(r.Text) != "QU" {
		t.Errorf("%q, %v", r.Text, err)
	}
	if n := w.Skip(1, "+Q\r\n") + w.Skip(0, "+Q\r\n") + w.Skip(1, "+Q\r\n"); n != 1 {
		t.Errorf("skipped %d", n)
	}
	if err := w.Send(nil); !errors.Is(err, redisconn.ErrBadReply) {
		t.Errorf("with a reply that nobody asked for: %v", err)
	}
}

func TestAWireEndsWithItsContext(t *testing.T) {
	s := testbed.Start(t)
	s.Pause()
	defer s.Resume()
	canceled, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	late, done := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer done()
	for want, ctx := range map[string]context.Context{"context canceled": canceled, "i/o timeout": late} {
		s.Resume()
		w, err := redisconn.OpenWire(t.Context(), connect(t, plain(s)))
		if err != nil {
			t.Fatal(err)
		}
		s.Pause()
		release := w.During(ctx)
		began := time.Now()
		err = w.Send([]byte("PING\r\n"))
		if err == nil {
			_, err = w.Reply()
		}
		release()
		if err == nil || !strings.Contains(err.Error(), want) || time.Since(began) > 2*time.Second {
			t.Errorf("want %s, got %v after %s", want, err, time.Since(began))
		}
		w.Close()
	}
}

// pieces is a connection that says what it has in pieces, and then ends.
type pieces struct {
	net.Conn
	rest []byte
	size int
}

func (c *pieces) SetReadDeadline(time.Time) error { return nil }

func (c *pieces) Read(into []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(into, c.rest[:min(c.size, len(c.rest))])
	c.rest = c.rest[n:]
	return n, nil
}

// FuzzReply looks for text that is read without end, or beyond its end.
func FuzzReply(f *testing.F) {
	f.Add([]byte("+OK\r\n:-12\r\n$-1\r\n*-1\r\n$0\r\n\r\n*2\r\n$3\r\na\r\n\r\n:7\r\n-ERR no\r\n"), 3)
	f.Fuzz(func(t *testing.T, says []byte, piece int) {
		w := redisconn.NewWire(&pieces{rest: says, size: max(1, piece%1000)})
		total := 0
		for {
			r, err := w.Reply()
			if err != nil {
				return
			}
			if total += 3 + len(r.Text); total > len(says) || !bytes.Contains(says, r.Text) {
				t.Fatalf("read what was not said: %q", r.Text)
			}
		}
	})
}
