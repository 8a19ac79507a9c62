package engine

import "hash/maphash"

// filter remembers keys: it never forgets one, and seldom takes another for one
// that it has. B. H. Bloom, "Space/time trade-offs in hash coding with allowable
// errors", 1970; grown by adding larger ones: P. S. Almeida et al., "Scalable
// Bloom filters", 2007. Its zero value is empty.
type filter struct {
	seed   maphash.Seed
	layers []layer
}

type layer struct {
	bits []uint64
	left int // keys that it still takes
}

const (
	firstLayer = 1 << 20 // bits
	bitsAKey   = 10
	probes     = 7 // of 10 bits a key: one in a hundred is taken for another
)

func (f *filter) add(key string) {
	last := len(f.layers) - 1
	if last < 0 || f.layers[last].left == 0 {
		f.grow()
		last++
	}
	l := &f.layers[last]
	l.left--
	l.each(maphash.String(f.seed, key), func(word *uint64, bit uint64) bool {
		*word |= bit
		return true
	})
}

func (f *filter) grow() {
	if len(f.layers) == 0 {
		f.seed = maphash.MakeSeed()
	}
	bits := firstLayer << len(f.layers)
	f.layers = append(f.layers, layer{make([]uint64, bits/64), bits / bitsAKey})
}

// mayHave says no only of keys that were not added.
func (f *filter) mayHave(key string) bool {
	if len(f.layers) == 0 {
		return false
	}
	hash := maphash.String(f.seed, key)
	for i := range f.layers {
		if f.layers[i].each(hash, func(word *uint64, bit uint64) bool { return *word&bit != 0 }) {
			return true
		}
	}
	return false
}

// each visits the key's bits until visit says no, and says whether it never did.
func (l *layer) each(hash uint64, visit func(word *uint64, bit uint64) bool) bool {
	step := hash>>32 | 1
	for range probes {
		at := hash % uint64(len(l.bits)*64)
		if !visit(&l.bits[at/64], 1<<(at%64)) {
			return false
		}
		hash += step
	}
	return true
}

// bytes is the memory that the filter takes.
func (f *filter) bytes() (n int64) {
	for i := range f.layers {
		n += int64(len(f.layers[i].bits)) * 8
	}
	return n
}
