package history

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func seeded(seed uint64, shape Shape) *History {
	return New(rand.New(rand.NewPCG(seed, 0)), shape)
}

func TestTheSameSeedMakesTheSameHistory(t *testing.T) {
	shape := Shape{Pairs: true, Cold: 100}
	one, two := seeded(1, shape), seeded(1, shape)
	first := one.Next(600)
	if diff := cmp.Diff(first, append(two.Next(200), two.Next(400)...)); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(first, seeded(2, shape).Next(600)) {
		t.Error("another seed makes the same history")
	}
	for i := 1; i < len(first); i++ {
		if first[i-1].ID.Compare(first[i].ID) >= 0 {
			t.Fatalf("%s comes after %s", first[i].ID, first[i-1].ID)
		}
	}
}

// The fold of a few events, worked out by hand.
func TestTheModelFoldsByHand(t *testing.T) {
	h := seeded(1, Shape{Pairs: true})
	at := func(e event) ID { return h.add(e).ID }
	at(event{kind: noise, key: "1", weight: 9})
	at(event{kind: counted, weight: 9}) // no key
	begin := at(event{kind: created, key: "1", weight: 10, part: 0.25, values: []value{{fieldName, "Ada", "Ada"}}})
	both := at(event{kind: moved, key: "1", to: "2", weight: 3})
	at(event{kind: counted, key: "1", weight: 4, part: 0.5})
	at(event{kind: emptied, key: "2"})
	at(event{kind: moved, key: "3", to: "3", weight: 5})
	end := at(event{kind: deleted, key: "1"})

	ada := map[string]string{"events": "1", "weight": "10", "sum": "0.25", "chain": "10", "peak": "10", "name": "Ada"}
	first, _ := h.Want("1", begin)
	ada["at"] = first["at"]
	for name, test := range map[string]struct {
		key    string
		upTo   ID
		want   map[string]string
		exists bool
	}{
		"before the first":        {"1", ID{}, nil, false},
		"created":                 {"1", begin, ada, true},
		"moved to":                {"2", both, map[string]string{"events": "1", "weight": "-3"}, true},
		"emptied":                 {"2", end, map[string]string{}, true},
		"moved to itself, once":   {"3", end, map[string]string{"events": "1", "weight": "5"}, true},
		"deleted":                 {"1", end, map[string]string{}, false},
		"in between, many fields": {"1", ID{end.Ms, end.Seq - 1}, map[string]string{"events": "3", "weight": "17", "sum": "0.75", "chain": "314", "peak": "10", "name": "Ada", "at": first["at"]}, true},
	} {
		got, exists := h.Want(test.key, test.upTo)
		if diff := cmp.Diff(test.want, got); diff != "" || exists != test.exists {
			t.Errorf("%s: exists %t (-want +got):\n%s", name, exists, diff)
		}
	}
	if entries, events, known := h.Count(end); entries != 8 || events != 6 || !known {
		t.Errorf("%d entries, %d events, %t", entries, events, known)
	}
}

func TestWhatIsSettledIsStillKnown(t *testing.T) {
	settled, whole := seeded(3, Shape{Cold: 20}), seeded(3, Shape{Cold: 20})
	settled.Next(400)
	middle := settled.Last()
	settled.Next(200)
	settled.Settle(middle)
	whole.Next(600)
	for _, key := range whole.Keys() {
		for _, id := range []ID{middle, whole.Last()} {
			want, existed := whole.Want(key, id)
			got, exists := settled.Want(key, id)
			if diff := cmp.Diff(want, got); diff != "" || existed != exists {
				t.Errorf("%q at %s: %s", key, id, diff)
			}
		}
	}
}
