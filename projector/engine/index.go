package engine

import "hash/maphash"

// index finds entries by key. It is open addressing with linear probing, one
// word a place: half a hash, of which the high bits are where the entry belongs,
// and the entry's number. So it grows and closes gaps without a look at entries,
// and a search seldom looks at another entry than its own. D. E. Knuth, The Art
// of Computer Programming, vol. 3, 6.4, algorithms L and R.
type index struct {
	seed   maphash.Seed
	places []uint64 // half a hash, then the entry's number + 1; 0 is free
	shift  int      // 64 − log2(len(places))
	used   int
}

const fewestPlaces = 1 << 10

func newIndex() index {
	return index{seed: maphash.MakeSeed(), places: make([]uint64, fewestPlaces), shift: shiftOf(fewestPlaces)}
}

// half is what of a hash stands in a place.
const half = uint64(1<<32-1) << 32

func (x *index) hash(key string) uint64 { return maphash.String(x.seed, key) }

// home is where an entry of that hash belongs.
func (x *index) home(hash uint64) int { return int(hash >> x.shift) }

// next is the place after i.
func (x *index) next(i int) int { return (i + 1) & (len(x.places) - 1) }

// none is no place.
const none = -1

// first is the first place of an entry that may have the hash, or none.
func (x *index) first(hash uint64) int { return x.from(x.home(hash), hash) }

// after is the next such place after i, or none: seldom asked for.
func (x *index) after(i int, hash uint64) int { return x.from(x.next(i), hash) }

func (x *index) from(i int, hash uint64) int {
	for ; x.places[i] != 0; i = x.next(i) {
		if x.places[i]&half == hash&half {
			return i
		}
	}
	return none
}

// number is that of the entry at a place.
func (x *index) number(place int) int { return int(x.places[place]&^half) - 1 }

// add adds an entry that is not there.
func (x *index) add(hash uint64, number int) {
	if 2*x.used >= len(x.places) {
		x.grow()
	}
	x.used++
	x.put(hash&half | uint64(number+1))
}

func (x *index) put(word uint64) {
	i := x.home(word)
	for x.places[i] != 0 {
		i = x.next(i)
	}
	x.places[i] = word
}

func (x *index) grow() {
	old := x.places
	x.places = make([]uint64, 2*len(old))
	largePages(x.places)
	x.shift--
	for _, word := range old {
		if word != 0 {
			x.put(word)
		}
	}
}

// remove removes an entry that is there, and moves those behind it that belong
// further ahead.
func (x *index) remove(hash uint64, number int) {
	gap := x.home(hash)
	for x.places[gap] != hash&half|uint64(number+1) {
		gap = x.next(gap)
	}
	for i := x.next(gap); x.places[i] != 0; i = x.next(i) {
		if away := (i - x.home(x.places[i])) & (len(x.places) - 1); away >= (i-gap)&(len(x.places)-1) {
			x.places[gap] = x.places[i]
			gap = i
		}
	}
	x.places[gap] = 0
	x.used--
}

func shiftOf(places int) int {
	shift := 64
	for ; places > 1; places /= 2 {
		shift--
	}
	return shift
}
