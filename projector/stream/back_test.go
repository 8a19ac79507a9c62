package stream_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/stream"
)

func TestTheLogReadBackward(t *testing.T) {
	s := start(t)
	var all []string
	for i := 1; i <= 50; i++ {
		values := []any{"n", i, "", "\xff\x00", "n", strings.Repeat("x", i*1000)}
		if err := s.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: fmt.Sprintf("%d-1", i), Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%d-1 n=%d =%q n=%d", i, i, "\xff\x00", i*1000))
	}
	slices.Reverse(all)
	r := stream.NewReader(s.redis, contract.Source{Stream: key, From: "0"}, "g")
	last := projector.ID{Ms: math.MaxUint64, Seq: math.MaxUint64}
	read := func(from, to projector.ID, count int) (got []string) {
		back := r.Backward(60_000)
		defer back.Close()
		n, _, err := back.Read(t.Context(), from, to, count, func(e *projector.Event) error {
			text := e.ID.String()
			for i, f := range e.Fields {
				value := string(f.Value)
				if i == 2 {
					value = fmt.Sprint(len(f.Value))
				}
				if i == 1 {
					value = fmt.Sprintf("%q", value)
				}
				text += " " + string(f.Name) + "=" + value
			}
			got = append(got, text)
			return nil
		})
		if err != nil || n != len(got) {
			t.Fatalf("%d, %v", n, err)
		}
		return got
	}
	for name, test := range map[string]struct{ got, want []string }{
		"all":                 {read(last, projector.ID{}, 100), all},
		"the newest":          {read(last, projector.ID{}, 3), all[:3]},
		"from and to are in":  {read(projector.ID{Ms: 7, Seq: 1}, projector.ID{Ms: 5, Seq: 1}, 100), all[43:46]},
		"where there is none": {read(projector.ID{Ms: 7}, projector.ID{Ms: 6, Seq: 2}, 100), nil},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	enough := errors.New("enough")
	if n, _, err := r.Backward(0).Read(t.Context(), last, projector.ID{}, 100, func(*projector.Event) error { return enough }); n != 0 || !errors.Is(err, enough) {
		t.Errorf("%d, %v", n, err)
	}
	_, _, err := r.Backward(1000).Read(t.Context(), last, projector.ID{}, 100, func(*projector.Event) error { return nil })
	if f := fault.As(err); f == nil || f.Reason != contract.ReasonEventTooLarge || f.EventID != "50-1" {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Backward(0).Read(ended, last, projector.ID{}, 1, func(*projector.Event) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	other := stream.NewReader(s.redis, contract.Source{Stream: "text", From: "0"}, "g")
	s.redis.Set(t.Context(), "text", "x", 0)
	_, _, err = other.Backward(0).Read(t.Context(), last, projector.ID{}, 1, func(*projector.Event) error { return nil })
	if f := fault.As(err); f == nil || f.Reason != contract.ReasonWrongType {
		t.Error(err)
	}
}

// What is asked for piece by piece comes over one connection.
func TestReadingBackwardKeepsItsConnection(t *testing.T) {
	s := start(t)
	for i := 1; i <= 9; i++ {
		s.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: fmt.Sprintf("%d-0", i), Values: []any{"n", i}})
	}
	received := func() string {
		_, rest, _ := strings.Cut(s.redis.Info(t.Context(), "stats").Val(), "total_connections_received:")
		n, _, _ := strings.Cut(rest, "\r")
		return n
	}
	back := stream.NewReader(s.redis, contract.Source{Stream: key, From: "0"}, "g").Backward(0)
	defer back.Close()
	from, before, read := projector.ID{Ms: 9}, "", 0
	for range 4 {
		n, bytes, err := back.Read(t.Context(), from, projector.ID{}, 2, func(e *projector.Event) error {
			from = e.ID.Prev()
			return nil
		})
		if err != nil || n != 2 || bytes != 4 {
			t.Fatal(n, bytes, err)
		}
		if now := received(); before == "" {
			before = now
		} else if now != before {
			t.Errorf("%s connections, not %s", now, before)
		}
		read += n
	}
	if read != 8 {
		t.Error(read)
	}
}

// An event beyond the bound is told by the length that its value states: its bytes
// are not waited for.
func TestBackwardAnEventBeyondItsBoundIsNotRead(t *testing.T) {
	s := start(t)
	s.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: "1-0", Values: []any{"n", strings.Repeat("x", 64<<20)}})
	r := stream.NewReader(s.redis, contract.Source{Stream: key, From: "0"}, "g")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := r.Backward(1<<20).Read(t.Context(), projector.ID{Ms: 1}, projector.ID{}, 1, func(*projector.Event) error { return nil })
	runtime.ReadMemStats(&after)
	if f := fault.As(err); f == nil || f.Reason != contract.ReasonEventTooLarge || f.EventID != "1-0" {
		t.Error(err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
		t.Errorf("%d bytes were allocated", took)
	}
}
