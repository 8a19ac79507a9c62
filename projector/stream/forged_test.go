package stream_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/stream"
)

// forger stands between reader and server, and puts a text in the place of
// another in what the server says.
type forger struct {
	net.Listener
	to       string
	forgery  atomic.Pointer[[2]string]
	accepted atomic.Int32
}

func forge(t *testing.T, to string) *forger {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{Listener: l, to: to}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			f.accepted.Add(1)
			go f.serve(client)
		}
	}()
	return f
}

func (f *forger) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", f.to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { io.Copy(server, client); server.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		said := buf[:n]
		if texts := f.forgery.Load(); texts != nil {
			said = bytes.Replace(said, []byte(texts[0]), []byte(texts[1]), 1)
		}
		if _, werr := client.Write(said); err != nil || werr != nil {
			return
		}
	}
}

// addCommon adds entries of the shape that a server of today gives them.
func (s *server) addCommon(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		args := &redis.XAddArgs{Stream: key, ID: fmt.Sprintf("1795412031120-%d", i), Values: []any{"type", "EmailUpdated", "n", i}}
		if err := s.redis.XAdd(t.Context(), args).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAForgedReplyIsNeverFoldedAndTheConnectionDropped(t *testing.T) {
	s := start(t)
	s.addCommon(t, 8)
	entry := func(n int) string {
		return fmt.Sprintf("*2\r\n$15\r\n1795412031120-%d\r\n*4\r\n$4\r\ntype\r\n$12\r\nEmailUpdated\r\n$1\r\nn\r\n$1\r\n%d\r\n", n, n)
	}
	head := "*1\r\n*2\r\n$11\r\nuser_events\r\n*"
	cases := map[string]struct{ from, to, reason string }{
		"an ID that goes back":      {"$15\r\n1795412031120-5", "$15\r\n1795412031120-2", contract.ReasonProtocolError},
		"an ID that is there twice": {"$15\r\n1795412031120-5", "$15\r\n1795412031120-4", contract.ReasonProtocolError},
		"an ID that is none":        {"$15\r\n1795412031120-5", "$15\r\n1795412031120:5", contract.ReasonProtocolError},
		"a reply of another type":   {head, ":1\r\n*2\r\n$11\r\nuser_events\r\n*", contract.ReasonProtocolError},
		"a status for a reply":      {head, "+OK\r\n" + head, contract.ReasonProtocolError},
		"another stream":            {"user_events", "user_evenst", contract.ReasonProtocolError},
		"an entry of another type":  {entry(3), ":3\r\n", contract.ReasonProtocolError},
		"a null entry":              {entry(3), "*-1\r\n", contract.ReasonProtocolError},
		"a value of another type":   {"$12\r\nEmailUpdated\r\n", ":12\r\n", contract.ReasonProtocolError},
		"a length too long":         {"$12\r\nEmailUpdated", "$13\r\nEmailUpdated", contract.ReasonProtocolError},
		"a length too short":        {"$12\r\nEmailUpdated", "$11\r\nEmailUpdated", contract.ReasonProtocolError},
		"a length of another sign":  {"$12\r\nEmailUpdated", "$-2\r\nEmailUpdated", contract.ReasonProtocolError},
		"a field too many":          {"*4\r\n$4\r\ntype", "*6\r\n$4\r\ntype", contract.ReasonProtocolError},
		"a name without a value":    {"*4\r\n$4\r\ntype", "*3\r\n$4\r\ntype", contract.ReasonProtocolError},
		"one entry too many":        {head + "8", head + "9", contract.ReasonProtocolError},
		"one entry too few":         {head + "8", head + "7", contract.ReasonProtocolError},
		"more than was asked for":   {head + "8", head + "65", contract.ReasonProtocolError},
		"an entry taken out":        {head + "8\r\n" + entry(0), head + "7\r\n", contract.ReasonSourceDiverged},
		"no length in the proof":    {"$6\r\nlength", "$6\r\nlengt:", contract.ReasonProtocolError},
		"no counter in the proof":   {"entries-added", "entries-adde$", contract.ReasonProtocolError},
		"no deletions in the proof": {"max-deleted-entry-id", "max-deleted-entry-if", contract.ReasonProtocolError},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := forge(t, s.Addr())
			r := open(t, contract.Source{Stream: key, From: "0", Redis: contract.Redis{URL: "redis://" + f.Addr().String()}})
			f.forgery.Store(&[2]string{c.from, c.to})
			b, err := r.Read(t.Context(), projector.ID{}, 0, stream.Limit{}, 0)
			if said := wantReason(t, err, c.reason); b != nil || said.Permanent != (c.reason == contract.ReasonSourceDiverged) {
				t.Errorf("%+v, %+v", b, said)
			}
			f.forgery.Store(nil)
			b, err = r.Read(t.Context(), projector.ID{}, 0, stream.Limit{}, 0)
			if err != nil || len(b.Events) != 8 {
				t.Fatalf("it does not recover: %v", err)
			}
			if n := f.accepted.Load(); n != 2 {
				t.Errorf("%d connections where the first was to be dropped", n)
			}
		})
	}
}

func TestNoByteOfAnIDOrALengthIsFlippedInSilence(t *testing.T) {
	s := start(t)
	s.addCommon(t, 8)
	f := forge(t, s.Addr())
	r := open(t, contract.Source{Stream: key, From: "0", Redis: contract.Redis{URL: "redis://" + f.Addr().String()}})
	whole := "\r\n*2\r\n$15\r\n1795412031120-5\r\n*4\r\n$4\r\n"
	for at := 2; at < len(whole); at++ {
		for _, bit := range []byte{1, 2, 4, 8, 16, 32, 64, 128} {
			forged := []byte(whole)
			forged[at] ^= bit
			f.forgery.Store(&[2]string{whole, string(forged)})
			b, err := r.Read(t.Context(), projector.ID{}, 0, stream.Limit{}, 0)
			if f := fault.As(err); b != nil || f == nil {
				t.Errorf("%q is let pass: %v", forged, err)
			}
		}
	}
}
