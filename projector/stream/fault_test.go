package stream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	testbed "github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/stream"
)

// try calls all that does I/O; each must say the same.
func try(t *testing.T, r *stream.Reader, want string) {
	t.Helper()
	_, err := r.Check(t.Context(), projector.ID{}, 0)
	wantReason(t, err, want)
	_, err = r.Read(t.Context(), projector.ID{}, 0, stream.Limit{}, time.Millisecond)
	wantReason(t, err, want)
	wantReason(t, r.Ack(t.Context(), id(1), 1), want)
	wantReason(t, r.DropGroup(t.Context()), want)
}

func TestAWrongPasswordHealsWithItsFile(t *testing.T) {
	s := start(t, testbed.Password("right"))
	s.add(t, 1, 5)
	file := filepath.Join(t.TempDir(), "password")
	r := open(t, contract.Source{Stream: key, From: "0", Redis: contract.Redis{URL: "redis://" + s.Addr(),
		Credentials: &contract.Credentials{SecretName: "redis", Dir: filepath.Dir(file)}}})
	try(t, r, contract.ReasonCredentialsMissing)
	os.WriteFile(file, []byte("wrong"), 0o600)
	try(t, r, contract.ReasonAuthenticationFailed)
	os.WriteFile(file, []byte("right\n"), 0o600)
	if got, _ := drain(t, r, projector.ID{}, 0, stream.Limit{}); len(got) != 5 {
		t.Errorf("%v", got)
	}
}

func TestAnACLSaysWhatIsMissing(t *testing.T) {
	s := start(t)
	s.add(t, 1, 5)
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "username"), []byte("app"), 0o600)
	os.WriteFile(filepath.Join(dir, "password"), []byte("pw"), 0o600)
	r := open(t, contract.Source{Stream: key, From: "0", Redis: contract.Redis{URL: "redis://" + s.Addr(),
		Credentials: &contract.Credentials{SecretName: "redis", Dir: dir}}})
	s.do(t, "ACL SETUSER app on >pw ~other +@all")
	try(t, r, contract.ReasonPermissionDenied)
	s.do(t, "ACL SETUSER app resetkeys ~user_events -@all")
	try(t, r, contract.ReasonPermissionDenied)
	s.do(t, "ACL SETUSER app +xread")
	if _, err := r.Read(t.Context(), projector.ID{}, 0, stream.Limit{}, 0); !strings.Contains(wantReason(t, err, contract.ReasonPermissionDenied).Message, "xinfo") {
		t.Error(err)
	}
	s.do(t, "ACL SETUSER app +xinfo|stream +xgroup") // all that is needed
	if got, last := drain(t, r, projector.ID{}, 0, stream.Limit{}); len(got) != 5 || r.Ack(t.Context(), last.Last, last.Entries) != nil {
		t.Errorf("%v", got)
	}
}

func TestAClosedPortAndAnUnknownHostAreUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for _, addr := range []string{l.Addr().String(), "refold.invalid:6379"} {
		try(t, open(t, contract.Source{Stream: key, From: "0", Redis: contract.Redis{URL: "redis://" + addr}}), contract.ReasonSourceUnreachable)
	}
}

func TestAKeyOfAnotherTypeIsTold(t *testing.T) {
	s := start(t)
	s.do(t, "SET user_events x")
	r := s.reader(t, "0")
	_, err := r.Check(t.Context(), projector.ID{}, -1)
	if f := wantReason(t, err, contract.ReasonWrongType); !f.Permanent {
		t.Error("a person must act")
	}
}

func TestReadingGoesOnAfterARestart(t *testing.T) {
	s := start(t, testbed.AOF())
	s.add(t, 1, 500)
	r := s.reader(t, "0")
	b, err := r.Read(t.Context(), projector.ID{}, 0, stream.Limit{Events: 100}, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Kill()
	for told := 0; told < 3; { // what was fetched ahead may still come
		next, err := r.Read(t.Context(), b.Last, b.Entries, stream.Limit{Events: 100}, 0)
		if err == nil {
			b = next
			continue
		}
		wantReason(t, err, contract.ReasonSourceUnreachable)
		told++
	}
	s.Restart(t)
	// The pool looks once a second whether the server is back.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err = r.Check(t.Context(), b.Last, b.Entries); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, last := drain(t, r, b.Last, b.Entries, stream.Limit{}); int64(len(got)) != 500-b.Entries || last.Entries != 500 {
		t.Errorf("%d events after %d", len(got), b.Entries)
	}
}

func TestAReleasedPrefetchLeavesNothingBehind(t *testing.T) {
	s := start(t)
	s.add(t, 1, 300)
	r := s.reader(t, "0")
	for range 20 { // each leaves a request in flight that nobody waits for
		b, err := r.Read(t.Context(), id(10), 10, stream.Limit{Events: 50}, 0)
		if err != nil || b.Events[0].ID != id(11) {
			t.Fatal(b, err)
		}
		b.Release()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		n := strings.Count(s.do(t, "CLIENT LIST").(string), "name=refold")
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are left", n)
		}
	}
}

func TestLoadingIsToldAndPasses(t *testing.T) {
	s := start(t, testbed.Arg("enable-debug-command", "yes"), testbed.Arg("key-load-delay", "2000"),
		testbed.Arg("loading-process-events-interval-bytes", "1024"), testbed.Arg("rdbcompression", "no"))
	s.add(t, 1, 5)
	for i := range 200 {
		s.redis.Set(t.Context(), fmt.Sprint(i), strings.Repeat("x", 8<<10), 0)
	}
	r := s.reader(t, "0")
	reloaded := make(chan error, 1)
	go func() { reloaded <- s.redis.Do(context.Background(), "DEBUG", "RELOAD").Err() }()
	var err error
	for deadline := time.Now().Add(5 * time.Second); err == nil && time.Now().Before(deadline); {
		_, err = r.Check(t.Context(), id(5), 5)
	}
	if f := wantReason(t, err, contract.ReasonRedisLoading); f.Permanent {
		t.Error("it is not permanent")
	}
	if err := <-reloaded; err != nil {
		t.Fatal(err)
	}
	if got, _ := drain(t, r, projector.ID{}, 0, stream.Limit{}); len(got) != 5 {
		t.Errorf("%v", got)
	}
}

// spoiler stands between reader and server, and cuts or flips what the server
// says after so many bytes.
type spoiler struct {
	net.Listener
	to    string
	after atomic.Int64
	flip  bool
}

func spoil(t *testing.T, to string, flip bool) *spoiler {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &spoiler{Listener: l, to: to, flip: flip}
	s.after.Store(1 << 40)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(client)
		}
	}()
	return s
}

func (s *spoiler) serve(client net.Conn) {
	server, err := net.Dial("tcp", s.to)
	if err != nil {
		client.Close()
		return
	}
	defer server.Close()
	defer client.Close()
	go func() { io.Copy(server, client); server.Close() }()
	buf := make([]byte, 512)
	for {
		n, err := server.Read(buf)
		if left := s.after.Add(-int64(n)) + int64(n); left < int64(n) {
			if !s.flip {
				client.Write(buf[:max(0, left)])
				return
			}
			if left >= 0 {
				buf[left] ^= 0x40
			}
		}
		if _, werr := client.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

func TestSpoiledRepliesAreNeverPassedOn(t *testing.T) {
	s := start(t)
	s.add(t, 1, 200)
	for _, flip := range []bool{false, true} {
		p := spoil(t, s.Addr(), flip)
		src := contract.Source{Stream: key, From: "0", Redis: contract.Redis{URL: "redis://" + p.Addr().String()}}
		for at := int64(0); at < 2500; at += 37 {
			r := open(t, src)
			p.after.Store(at)
			b, err := r.Read(t.Context(), projector.ID{}, 0, stream.Limit{Events: 40}, 0)
			switch f := fault.As(err); {
			case err == nil:
				inOrder(t, b, flip)
				b.Release()
			case f == nil:
				t.Fatal(err)
			case f.Reason == contract.ReasonSourceUnreachable, f.Reason == contract.ReasonProtocolError:
				if f.Permanent {
					t.Errorf("%v is permanent", err)
				}
			case !flip: // a flipped digit of a counter or an ID may look like another log
				t.Errorf("cut at %d: %v", at, err)
			}
			p.after.Store(1 << 40)
			if b, err := r.Read(t.Context(), projector.ID{}, 0, stream.Limit{Events: 40}, 0); err != nil || b.Events[0].ID != id(1) {
				t.Fatalf("it does not recover: %v", err)
			}
			r.Close()
		}
	}
}

// inOrder is all that can be asked of a batch in which a bit of a value may be
// wrong: TCP's checksum and TLS are there against that.
func inOrder(t *testing.T, b *stream.Batch, flip bool) {
	t.Helper()
	last := projector.ID{}
	for i, e := range b.Events {
		if e.ID.Compare(last) <= 0 || !flip && e.ID != id(uint64(i+1)) {
			t.Fatalf("%s after %s", e.ID, last)
		}
		last = e.ID
	}
}

func TestASilentServerIsUnreachableAndTheContextIsObeyed(t *testing.T) {
	s := start(t)
	s.add(t, 1, 5)
	r := s.reader(t, "0")
	if b, err := r.Read(t.Context(), id(5), 5, stream.Limit{}, time.Millisecond); err != nil || len(b.Events) != 0 {
		t.Fatal(err)
	}
	s.Pause()
	defer s.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := r.Read(ctx, id(5), 5, stream.Limit{}, time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
