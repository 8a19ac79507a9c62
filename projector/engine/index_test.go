package engine

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// The index is a map, whatever collides: hashes are drawn from a handful.
func TestTheIndexIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, there := newIndex(), map[int]uint64{}
		hashes := rapid.SliceOfN(rapid.Uint64(), 1, 8).Draw(t, "hashes")
		hashes = append(hashes, 0, 1<<32, ^uint64(0), ^uint64(0)-1<<40) // homes at both ends
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				hash, number := rapid.SampledFrom(hashes).Draw(t, "hash"), len(there)
				for there[number] != 0 {
					number++
				}
				if _, taken := there[number]; !taken {
					there[number] = hash
					x.add(hash, number)
				}
			},
			"remove": func(t *rapid.T) {
				for number, hash := range there {
					delete(there, number)
					x.remove(hash, number)
					return
				}
			},
			"": func(t *rapid.T) {
				if x.used != len(there) {
					t.Fatalf("%d in the index, want %d", x.used, len(there))
				}
				for number, hash := range there {
					if !finds(&x, hash, number) {
						t.Fatalf("entry %d of hash %x is not found", number, hash)
					}
				}
			},
		})
	})
}

func finds(x *index, hash uint64, number int) bool {
	for place := x.first(hash); place != none; place = x.after(place, hash) {
		if x.number(place) == number {
			return true
		}
	}
	return false
}

func TestTheIndexGrows(t *testing.T) {
	x := newIndex()
	const n = 10 * fewestPlaces
	for i := range n {
		x.add(x.hash(fmt.Sprint(i)), i)
	}
	for i := range n {
		if !finds(&x, x.hash(fmt.Sprint(i)), i) {
			t.Fatalf("entry %d is lost", i)
		}
	}
	if 2*x.used > len(x.places) {
		t.Errorf("%d of %d places are used", x.used, len(x.places))
	}
}

func TestTheFilterForgetsNoneAndSeldomInvents(t *testing.T) {
	var f filter
	if f.mayHave("a") {
		t.Error("an empty filter has something")
	}
	const n = 300_000 // two layers
	for i := range n {
		f.add(fmt.Sprint("in", i))
	}
	invented := 0
	for i := range n {
		if !f.mayHave(fmt.Sprint("in", i)) {
			t.Fatalf("key %d is forgotten", i)
		}
		if f.mayHave(fmt.Sprint("out", i)) {
			invented++
		}
	}
	if len(f.layers) < 2 || invented > n/25 {
		t.Errorf("%d of %d keys are invented, in %d layers", invented, n, len(f.layers))
	}
}
