package stream_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/stream"
)

// XINFO shows the first and the last entry whole, XREAD the one at the position.
func TestCheckNeedsNoMemoryForHugeEntries(t *testing.T) {
	s := start(t)
	for i, id := range []string{"1-0", "2-0", "3-0"} {
		value := strings.Repeat("x", 32<<20)
		if err := s.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: id, Values: []any{"n", i, "v", value}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	r := s.reader(t, "0")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := r.Check(t.Context(), id(2), 2)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 4 {
		t.Errorf("it took %d MiB", mib)
	}
	if b, err := r.Read(t.Context(), id(2), 2, stream.Limit{}, 0); err != nil || len(b.Events) != 1 {
		t.Errorf("%v", err)
	}
}

func TestAnEventBeyondItsBoundIsNotReadIntoMemory(t *testing.T) {
	const most = 8 << 20
	cases := map[string]struct {
		values []any
		mib    uint64 // allocated by both attempts together
	}{
		"one value of 64 MiB": {[]any{"n", 3, "v", strings.Repeat("x", 64<<20)}, 1},
		"a million fields":    {slices.Repeat([]any{"name", "a value of thirty bytes or so."}, 1_000_000), 200},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.add(t, 1, 2)
			if err := s.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: "3-0", Values: c.values}).Err(); err != nil {
				t.Fatal(err)
			}
			s.add(t, 4, 5)
			r := s.reader(t, "0")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b, err := r.Read(t.Context(), projector.ID{}, 0, stream.Limit{Most: most}, 0)
			if err != nil || b.Last != id(2) {
				t.Fatalf("the events before it: %+v, %v", b, err)
			}
			for range 2 {
				_, err = r.Read(t.Context(), b.Last, b.Entries, stream.Limit{Most: most}, 0)
				if f := wantReason(t, err, contract.ReasonEventTooLarge); !f.Permanent || f.EventID != "3-0" {
					t.Errorf("%+v", f)
				}
			}
			runtime.ReadMemStats(&after)
			if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > c.mib {
				t.Errorf("it took %d MiB", got)
			}
			if b, err := r.Read(t.Context(), b.Last, b.Entries, stream.Limit{Most: 128 << 20}, 0); err != nil || b.Events[0].ID != id(3) {
				t.Errorf("with more memory: %v", err)
			}
		})
	}
}
