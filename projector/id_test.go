package projector

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func anyID() *rapid.Generator[ID] {
	// The edges are where a carry goes wrong.
	part := rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, math.MaxUint64 - 1, math.MaxUint64}))
	return rapid.Custom(func(t *rapid.T) ID { return ID{part.Draw(t, "ms"), part.Draw(t, "seq")} })
}

func TestParseID(t *testing.T) {
	for text, want := range map[string]ID{
		"0":                 {},
		"0-0":               {},
		"1795412031120":     {Ms: 1795412031120},
		"1795412031120-356": {1795412031120, 356},
		"007-08":            {7, 8},
		"18446744073709551615-18446744073709551615": {math.MaxUint64, math.MaxUint64},
	} {
		if got, err := ParseID(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", "1-", "-1", "1-2-3", "+1-0", "1-+1", " 1-0", "1_0", "0x1", "1-0\n", "18446744073709551616", "$", ">", "*", strings.Repeat("9", 10_000)} {
		if got, err := ParseID(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		} else if len(err.Error()) > 200 {
			t.Errorf("a message of %d bytes", len(err.Error()))
		}
	}
}

func TestParseStart(t *testing.T) {
	for text, want := range map[string]ID{
		"0": {}, "5-3": {5, 3},
		"1970-01-01T00:00:00Z":         {},
		"2026-11-23T05:33:51.12Z":      {Ms: 1795412031120},
		"2026-11-23T06:33:51.12+01:00": {Ms: 1795412031120},
		"2026-11-23T05:33:51.1209999Z": {Ms: 1795412031120},
	} {
		if got, err := ParseStart(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "2026-11-23", "1969-12-31T23:59:59Z", "1-", "-1-0"} {
		if got, err := ParseStart(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestIDsAreOrderedAsTheirNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyID().Draw(t, "a"), anyID().Draw(t, "b")
		want := slices.Compare([]uint64{a.Ms, a.Seq}, []uint64{b.Ms, b.Seq})
		if got := a.Compare(b); got != want || b.Compare(a) != -want {
			t.Fatalf("%v to %v: %d, back %d; want %d", a, b, got, b.Compare(a), want)
		}
	})
}

func TestNextAndPrevAreNeighbours(t *testing.T) {
	last := ID{math.MaxUint64, math.MaxUint64}
	rapid.Check(t, func(t *rapid.T) {
		id := anyID().Draw(t, "id")
		if next := id.Next(); id != last && (next.Compare(id) != 1 || next.Prev() != id) {
			t.Fatalf("after %v comes %v, before which comes %v", id, next, next.Prev())
		}
		if prev := id.Prev(); id != (ID{}) && (prev.Compare(id) != -1 || prev.Next() != id) {
			t.Fatalf("before %v comes %v, after which comes %v", id, prev, prev.Next())
		}
	})
	if last.Next() != last || (ID{}).Prev() != (ID{}) {
		t.Error("the ends are not their own neighbours")
	}
}

func FuzzParseID(f *testing.F) {
	for _, seed := range []string{"0-0", "1795412031120-356", "5", "-", "1-", "+1-1", "18446744073709551616-0", "1-2-3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseID(text)
		if err != nil {
			return
		}
		if again, err := ParseID(id.String()); err != nil || again != id {
			t.Errorf("%q is %v, whose text is read as %v (%v)", text, id, again, err)
		}
		if strings.Trim(text, "-0123456789") != "" {
			t.Errorf("%q was read as %v", text, id)
		}
	})
}
