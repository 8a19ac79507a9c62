package redishash

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
)

func TestLanesAreReadAsTheyWereWritten(t *testing.T) {
	mark := rapid.Custom(func(t *rapid.T) readmodel.Mark {
		return readmodel.Mark{
			Position: projector.ID{Ms: rapid.Uint64().Draw(t, "ms"), Seq: rapid.Uint64().Draw(t, "seq")},
			Entries:  rapid.Int64Min(-1).Draw(t, "entries"), Events: rapid.Int64Min(0).Draw(t, "events"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := new([readmodel.Lanes]readmodel.Mark)
		for i := range want {
			want[i] = mark.Draw(t, "mark")
		}
		got, err := parseLanes(string(appendLanes(nil, want)), projector.ID{})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%v: %s", err, diff)
		}
	})
}

func TestLanesThatRefoldDidNotWriteAreNotOwned(t *testing.T) {
	good := strings.Repeat("5-0/5/5 ", readmodel.Lanes)
	good = good[:len(good)-1]
	for lanes, well := range map[string]bool{
		"": true, good: true, good + " ": false, good + " 5-0/5/5": false, good[8:]: false, "x": false,
		strings.Replace(good, "5-0/5/5", "4-18446744073709551615/5/5", 1): false,
		strings.Replace(good, "5-0/5/5", "5-0/5", 1):                      false,
		strings.Replace(good, "5-0/5/5", "5-0/5/5/5", 1):                  false,
		strings.Replace(good, "5-0/5/5", "5-x/5/5", 1):                    false,
		strings.Replace(good, "5-0/5/5", "5-0//5", 1):                     false,
	} {
		_, err := parsePosition("key", map[string]string{"id": "5-0", "epoch": "1", "entries": "5", "events": "5", "lanes": lanes})
		if f := fault.As(err); well != (err == nil) || !well && (f == nil || f.Reason != contract.ReasonNotOwned) {
			t.Errorf("%q: %v", lanes, err)
		}
	}
}

func FuzzLanes(f *testing.F) {
	f.Add(string(appendLanes(nil, &[readmodel.Lanes]readmodel.Mark{3: {Entries: math.MaxInt64}})))
	f.Fuzz(func(_ *testing.T, text string) { _, _ = parseLanes(text, projector.ID{}) })
}
