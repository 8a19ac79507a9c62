package engine

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
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

func TestWhatIsEvictedAgainTakesNoMoreMemory(t *testing.T) {
	c := newCache(testSchema(t), 1)
	c.whole = true
	for i := range 300_000 { // three times what the first layer takes
		evictStored(c, fmt.Sprint(i%100))
	}
	if len(c.evicted.layers) != 1 || !c.whole {
		t.Errorf("%d layers, whole: %v", len(c.evicted.layers), c.whole)
	}
}

func TestTheCacheIsNotWholeAnyMoreWhenTooMuchWasEvicted(t *testing.T) {
	c := newCache(testSchema(t), 4<<20)
	c.whole = true
	for i := range 1_000_000 {
		evictStored(c, fmt.Sprint(i))
		if c.evicted.bytes() > c.budget/filterShare || c.bytes != c.evicted.bytes() {
			t.Fatalf("%d bytes of %d are the filter's, %d are counted", c.evicted.bytes(), c.budget, c.bytes)
		}
		if !c.whole && c.isNew("never seen") || c.isNew(fmt.Sprint(i)) {
			t.Fatalf("after %d it takes an entity for new that may be stored", i)
		}
	}
	if c.whole {
		t.Error("it still remembers what was evicted")
	}
}

// evictStored has an entity come and go that the store holds.
func evictStored(c *cache, key string) {
	e := c.add(key, c.hash(key))
	e.state.Create()
	e.state.MarkStored()
	c.evict(e)
}

func TestMemoryThatIsGoneIsNotHeld(t *testing.T) {
	f := newFold(asTyped{}, sums{}, testSchema(t), 1<<20)
	m, c := memory{}, f.cache
	if err := foldAll(f, []projector.Event{event(1, "a,b,c"), event(2, "d")}, m); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(f.keys[:cap(f.keys)], func(key string) bool { return key != "" }) {
		t.Error("a view of the events is held")
	}
	large := c.get("a", c.hash("a"))
	large.state.SetAt(1, projector.StringValue(strings.Repeat("a", 2*mebibyte)))
	f.settle(large)
	large.state.SetAt(1, projector.StringValue(strings.Repeat("b", 2*mebibyte)))
	f.settle(large)
	c.remove(large)
	if got := large.state.Bytes(); got > 1024 {
		t.Errorf("the place of a large entity keeps %d bytes", got)
	}
	if cap(f.holes) > mebibyte {
		t.Errorf("closing holes keeps %d bytes", cap(f.holes))
	}
	f.forget(false)
	if isHeld := func(e *entry) bool { return e != nil }; slices.ContainsFunc(f.touched[:cap(f.touched)], isHeld) ||
		slices.ContainsFunc(f.absent[:cap(f.absent)], isHeld) || cap(f.states) > 0 {
		t.Error("an entity that was forgotten is held, and all that lies beside it")
	}
}

func TestAllMemoryOfAnEntityIsCounted(t *testing.T) {
	for name, fields := range map[string]int{"narrow": 1, "wide": 100} {
		t.Run(name, func(t *testing.T) {
			declared := make([]contract.Field, fields)
			for i := range declared {
				declared[i] = contract.Field{Name: fmt.Sprint(i), Type: contract.TypeString}
			}
			schema, err := projector.NewSchema(declared)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			c := newCache(schema, 1<<40)
			for i := range doubled { // as many as there are rooms
				c.add(fmt.Sprint(i), c.hash(fmt.Sprint(i)))
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if took := int64(after.HeapAlloc) - int64(before.HeapAlloc); c.bytes < took*9/10 || c.bytes > took*12/10 {
				t.Errorf("%d bytes are counted, %d were taken", c.bytes, took)
			}
			runtime.KeepAlive(c)
		})
	}
}
