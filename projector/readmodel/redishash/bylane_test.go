package redishash

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/refold-dev/refold/projector/readmodel"
)

// The judge is a loop over all lanes.
func TestKeysAreSortedByLane(t *testing.T) {
	var sorted byLane // used again
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.StringN(0, 3, 3), 0, 3*wordsPerCommand).Draw(t, "keys")
		if rapid.Bool().Draw(t, "of one lane") && len(keys) > 0 {
			keys = strings.Split(strings.Repeat("same,", len(keys)), ",")
		}
		var want, got [readmodel.Lanes][]string
		for _, key := range keys {
			lane := readmodel.LaneOf(key)
			want[lane] = append(want[lane], key)
		}
		sorted.sort(keys)
		for lane, indices := range sorted.chunks {
			if len(indices) == 0 || len(indices) > wordsPerCommand {
				t.Fatalf("a command of %d keys", len(indices))
			}
			for _, i := range indices {
				got[lane] = append(got[lane], keys[i])
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}
