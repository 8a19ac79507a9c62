package redishash

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/refold-dev/refold/projector/contract"
)

// Classes of an entity.
const (
	classAbsent = iota // from both
	classSame
	classAdded
	classRemoved
	classChanged

	classBits = 3
)

// mostCounted is how many fields are counted of entities that changed: the first,
// by name, of those that either revision declares.
const mostCounted = 64 - classBits

// record is what one entity contributes; 32 bytes, since there is one of each.
type record struct {
	hash   uint64 // of the key
	digest sum
	what   uint64 // the class, and above it a bit for each field that differs
}

func (r record) class() int { return int(r.what & (1<<classBits - 1)) }

func (r record) differs(field int) bool { return r.what>>(classBits+field)&1 == 1 }

// tally is the sum of records.
type tally struct {
	classes [classChanged + 1]int64
	fields  [mostCounted]int64
	digest  sum
}

func (t *tally) add(r record) {
	t.count(r, 1)
	t.digest.add(r.digest)
}

// take takes back what was added.
func (t *tally) take(r record) {
	t.count(r, -1)
	t.digest.take(r.digest)
}

func (t *tally) count(r record, n int64) {
	t.classes[r.class()] += n
	for i := range t.fields {
		if r.differs(i) {
			t.fields[i] += n
		}
	}
}

// mostFields bounds what a Diff names.
const mostFields = 32

// changedFields are those in which most entities differ.
func (t *tally) changedFields(names []string) map[string]int64 {
	var found []int
	for i := range min(len(names), mostCounted) {
		if t.fields[i] > 0 {
			found = append(found, i)
		}
	}
	slices.SortStableFunc(found, func(a, b int) int { return cmp.Compare(t.fields[b], t.fields[a]) })
	if len(found) == 0 {
		return nil
	}
	counts := map[string]int64{}
	for _, i := range found[:min(len(found), mostFields)] {
		counts[names[i]] = t.fields[i]
	}
	return counts
}

// Bounds of a sample. More are kept than are shown, so that those that turn out
// to be the same in the end leave enough.
const (
	mostSampled     = 20
	sampleKeeps     = 256
	sampleKeyBytes  = 64
	sampleMostNames = 8
)

// sample has the entities that differ with the smallest keys, in their order.
type sample []contract.DiffSample

func (s *sample) find(key string) (int, bool) {
	return slices.BinarySearchFunc(*s, key, func(e contract.DiffSample, key string) int { return strings.Compare(e.Key, key) })
}

// wants says whether an entity that differs would be kept.
func (s *sample) wants(key string) bool {
	return len(*s) < sampleKeeps || key <= (*s)[len(*s)-1].Key
}

func (s *sample) add(e contract.DiffSample) {
	at, there := s.find(e.Key)
	if there {
		(*s)[at] = e
		return
	}
	*s = slices.Insert(*s, at, e)
	*s = (*s)[:min(len(*s), sampleKeeps)]
}

func (s *sample) remove(key string) {
	if at, there := s.find(key); there {
		*s = slices.Delete(*s, at, at+1)
	}
}

// shown is what a Diff has of it.
func (s sample) shown() (shown []contract.DiffSample) {
	for _, e := range s[:min(len(s), mostSampled)] {
		e.Key = shownKey(e.Key)
		shown = append(shown, e)
	}
	return shown
}

// shownKey is valid UTF-8 and not too long.
func shownKey(key string) string {
	key = strings.ToValidUTF8(key, "\uFFFD")
	if len(key) <= sampleKeyBytes {
		return key
	}
	cut := sampleKeyBytes
	for !utf8.RuneStart(key[cut]) {
		cut--
	}
	return key[:cut]
}
