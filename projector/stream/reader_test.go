package stream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	testbed "github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/redisconn"
	"github.com/refold-dev/refold/projector/stream"
)

const (
	key   = "user_events"
	group = "refold:shop/user-profile:7f3k2m9q"
)

// server is a real Redis, a client of the test's own and readers of its stream.
type server struct {
	*testbed.Server
	redis *redis.Client
}

func start(t testing.TB, opts ...testbed.Option) *server {
	t.Helper()
	s := &server{Server: testbed.Start(t, opts...)}
	s.redis = redis.NewClient(&redis.Options{Addr: s.Addr(), Password: s.Password(), MaxRetries: -1})
	t.Cleanup(func() { s.redis.Close() })
	return s
}

func (s *server) reader(t testing.TB, from string) *stream.Reader {
	t.Helper()
	return open(t, contract.Source{Redis: contract.Redis{URL: "redis://" + s.Addr()}, Stream: key, From: from})
}

func open(t testing.TB, src contract.Source) *stream.Reader {
	t.Helper()
	client, err := redisconn.New(redisconn.Source, src.Redis)
	if err != nil {
		t.Fatal(err)
	}
	r := stream.NewReader(client, src, group)
	t.Cleanup(func() { r.Close(); client.Close() })
	return r
}

// do runs one command, written as on a command line.
func (s *server) do(t testing.TB, command string) any {
	t.Helper()
	var args []any
	for _, word := range strings.Fields(command) {
		args = append(args, word)
	}
	got, err := s.redis.Do(t.Context(), args...).Result()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return got
}

// add adds the entries 1-0 … n-0, or those between.
func (s *server) add(t testing.TB, first, last int) {
	t.Helper()
	pipe := s.redis.Pipeline()
	for i := first; i <= last; i++ {
		pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: fmt.Sprintf("%d-0", i), Values: []any{"n", i, "type", "UserCreated"}})
		if i%1000 == 0 || i == last {
			if _, err := pipe.Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func id(ms uint64) projector.ID { return projector.ID{Ms: ms} }

// drain reads from the position to the tail and returns the IDs' milliseconds.
func drain(t testing.TB, r *stream.Reader, after projector.ID, entries int64, limit stream.Limit) (got []uint64, last *stream.Batch) {
	t.Helper()
	for {
		b, err := r.Read(t.Context(), after, entries, limit, 0)
		if err != nil {
			t.Fatalf("after %s: %v", after, err)
		}
		for _, e := range b.Events {
			n, _ := e.Field("n")
			if string(n) != fmt.Sprint(e.ID.Ms) {
				t.Fatalf("event %s holds %q", e.ID, n)
			}
			got = append(got, e.ID.Ms)
		}
		after, entries = b.Last, b.Entries
		end := len(b.Events) == 0
		b.Release()
		if end {
			return got, b
		}
	}
}

func upTo(n uint64) []uint64 {
	var all []uint64
	for i := range n {
		all = append(all, i+1)
	}
	return all
}

func wantReason(t testing.TB, err error, reason string) *fault.Error {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Reason != reason {
		t.Fatalf("got %v, want %s", err, reason)
	}
	if f.Message == "" || f.Remedy == "" {
		t.Errorf("%s says too little: %q, %q", reason, f.Message, f.Remedy)
	}
	return f
}

func TestEverythingIsReadInOrder(t *testing.T) {
	s := start(t)
	const n = 2000
	s.add(t, 1, n)
	for _, limit := range []stream.Limit{{}, {Events: 1}, {Events: 7}, {Bytes: 1}, {Bytes: 3000}} {
		got, last := drain(t, s.reader(t, "0"), projector.ID{}, 0, limit)
		if diff := cmp.Diff(upTo(n), got); diff != "" {
			t.Errorf("%+v: %s", limit, diff)
		}
		if last.Entries != n || last.TailEntries != n || last.Tail != id(n) || last.History != contract.HistoryComplete {
			t.Errorf("%+v: ended with %+v", limit, last)
		}
	}
}

func TestReadingBeginsAfterThePosition(t *testing.T) {
	s := start(t)
	s.add(t, 1, 20)
	got, last := drain(t, s.reader(t, "0"), id(15), 15, stream.Limit{})
	if want := []uint64{16, 17, 18, 19, 20}; !slices.Equal(got, want) || last.Entries != 20 {
		t.Errorf("got %v, ordinal %d", got, last.Entries)
	}
}

func TestAnUnknownOrdinalIsKnownAtTheTail(t *testing.T) {
	s := start(t)
	s.add(t, 1, 200)
	r := s.reader(t, "100")
	info, err := r.Check(t.Context(), id(100).Prev(), -1)
	if err != nil || info.Entries != -1 || info.History != contract.HistoryComplete {
		t.Fatalf("%+v %v", info, err)
	}
	if got, last := drain(t, r, id(100).Prev(), info.Entries, stream.Limit{Events: 30}); len(got) != 101 || last.Entries != 200 {
		t.Errorf("%d events, ordinal %d", len(got), last.Entries)
	}
}

func TestTailingWaitsForTheNextEntry(t *testing.T) {
	s := start(t)
	s.add(t, 1, 1)
	r := s.reader(t, "0")
	time.AfterFunc(100*time.Millisecond, func() {
		s.redis.XAdd(context.Background(), &redis.XAddArgs{Stream: key, ID: "2-0", Values: []any{"n", 2}})
	})
	began := time.Now()
	b, err := r.Read(t.Context(), id(1), 1, stream.Limit{}, 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); len(b.Events) != 1 || b.Last != id(2) || b.Entries != 2 || took > time.Second {
		t.Errorf("%+v after %s", b, took)
	}
	b.Release()
}

func TestAnEmptyTailGivesAnEmptyBatch(t *testing.T) {
	s := start(t)
	s.add(t, 1, 3)
	b, err := s.reader(t, "0").Read(t.Context(), id(3), -1, stream.Limit{}, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Events) != 0 || b.Last != id(3) || b.Entries != 3 || b.Tail != id(3) || b.TailEntries != 3 {
		t.Errorf("%+v", b)
	}
}

func TestCancellingEndsABlockedReadAtOnce(t *testing.T) {
	s := start(t)
	s.add(t, 1, 3)
	r := s.reader(t, "0")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	_, err := r.Read(ctx, id(3), 3, stream.Limit{}, 30*time.Second)
	if !errors.Is(err, context.Canceled) || time.Since(began) > 2*time.Second {
		t.Fatalf("%v after %s", err, time.Since(began))
	}
	if b, err := r.Read(t.Context(), id(1), 1, stream.Limit{}, 0); err != nil || len(b.Events) != 2 {
		t.Errorf("the reader is of no more use: %+v %v", b, err)
	}
}

func TestAReplyThatIsFarTooLargeIsCut(t *testing.T) {
	s := start(t)
	s.add(t, 1, 100)
	huge := strings.Repeat("x", 3<<20)
	for i := 101; i <= 110; i++ {
		s.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: fmt.Sprintf("%d-0", i), Values: []any{"n", i, "v", huge}})
	}
	s.add(t, 111, 120)
	got, last := drain(t, s.reader(t, "0"), projector.ID{}, 0, stream.Limit{Bytes: 64 << 10})
	if diff := cmp.Diff(upTo(120), got); diff != "" || last.Entries != 120 {
		t.Error(diff, last.Entries)
	}
}

func TestOneEventOf64MiBPasses(t *testing.T) {
	s := start(t)
	s.add(t, 1, 1)
	huge := strings.Repeat("0123456789abcdef", 4<<20)
	if err := s.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: "2-0", Values: []any{"n", 2, "v", huge}}).Err(); err != nil {
		t.Fatal(err)
	}
	s.add(t, 3, 3)
	r := s.reader(t, "0")
	b, err := r.Read(t.Context(), id(1), 1, stream.Limit{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := b.Events[0].Field("v"); string(v) != huge {
		t.Errorf("the value has %d bytes", len(v))
	}
	n := len(b.Events)
	b.Release()
	if got, _ := drain(t, r, b.Last, b.Entries, stream.Limit{}); len(got) != 2-n {
		t.Errorf("after it: %v", got)
	}
}

func TestBytesOfAllShapesAreReadAsTheyAre(t *testing.T) {
	s := start(t)
	want := []any{"", "empty name", "nul\x00", "\x00\x01", "bad utf-8", "\xff\xfe", "crlf", "\r\n$5\r\n*-1\r\n", "same", "1", "same", "2", "empty", ""}
	s.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: "1-0", Values: want})
	b, err := s.reader(t, "0").Read(t.Context(), projector.ID{}, 0, stream.Limit{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	for _, f := range b.Events[0].Fields {
		got = append(got, string(f.Name), string(f.Value))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTenThousandFieldsAreRead(t *testing.T) {
	s := start(t)
	var values []any
	for i := range 10_000 {
		values = append(values, fmt.Sprint("f", i), i)
	}
	s.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: "1-0", Values: values})
	b, err := s.reader(t, "0").Read(t.Context(), projector.ID{}, 0, stream.Limit{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if f := b.Events[0].Fields; len(f) != 10_000 || string(f[9999].Name) != "f9999" || string(f[9999].Value) != "9999" {
		t.Errorf("%d fields", len(f))
	}
}

func TestReadingFromAnotherPositionThanWasFetchedAhead(t *testing.T) {
	s := start(t)
	s.add(t, 1, 300)
	r := s.reader(t, "0")
	for _, from := range []uint64{0, 0, 100, 30, 250, 0} {
		b, err := r.Read(t.Context(), id(from), int64(from), stream.Limit{Events: 20}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if b.Events[0].ID != id(from+1) || b.Entries != int64(from)+20 {
			t.Fatalf("after %d came %s, ordinal %d", from, b.Events[0].ID, b.Entries)
		}
		b.Release()
	}
}

func TestAReleasedBatchDoesNotChangeAnother(t *testing.T) {
	s := start(t)
	s.add(t, 1, 300)
	r := s.reader(t, "0")
	var held []*stream.Batch
	after, entries := projector.ID{}, int64(0)
	for range 3 {
		b, err := r.Read(t.Context(), after, entries, stream.Limit{Events: 50}, 0)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, b)
		after, entries = b.Last, b.Entries
	}
	for i, b := range held {
		for j, e := range b.Events {
			if n, _ := e.Field("n"); string(n) != fmt.Sprint(i*50+j+1) {
				t.Fatalf("batch %d event %d holds %q", i, j, n)
			}
		}
	}
}

func TestASmallerLimitHoldsAlsoForWhatWasAskedAhead(t *testing.T) {
	s := start(t)
	s.add(t, 1, 300)
	r := s.reader(t, "0")
	b, err := r.Read(t.Context(), projector.ID{}, 0, stream.Limit{Events: 50}, 0)
	if err != nil {
		t.Fatal(err)
	}
	next, err := r.Read(t.Context(), b.Last, b.Entries, stream.Limit{Events: 10}, 0)
	if err != nil || len(next.Events) != 10 || next.Events[0].ID != id(51) {
		t.Errorf("%+v, %v", next, err)
	}
}

func TestACheckBetweenTwoReadsDisturbsNeither(t *testing.T) {
	s := start(t)
	s.add(t, 1, 300)
	r := s.reader(t, "0")
	after, entries := projector.ID{}, int64(0)
	for range 5 {
		b, err := r.Read(t.Context(), after, entries, stream.Limit{Events: 50}, 0)
		if err != nil || b.Events[0].ID != id(uint64(entries+1)) {
			t.Fatalf("%+v, %v", b, err)
		}
		after, entries = b.Last, b.Entries
		if info, err := r.Check(t.Context(), after, entries); err != nil || info.Entries != entries {
			t.Fatalf("%+v, %v", info, err)
		}
	}
}
