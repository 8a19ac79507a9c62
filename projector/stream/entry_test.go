package stream_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

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
