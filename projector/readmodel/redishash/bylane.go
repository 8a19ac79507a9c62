package redishash

import "github.com/refold-dev/refold/projector/readmodel"

// byLane puts keys in the order of their lanes. Its memory is used again.
type byLane struct {
	lanes []uint8              // of each key
	order []int32              // indices of keys
	ends  [readmodel.Lanes]int // where each lane ends in order
}

// sort keeps the order of a lane's keys.
func (b *byLane) sort(keys []string) {
	b.lanes, b.ends = b.lanes[:0], [readmodel.Lanes]int{}
	for _, key := range keys {
		lane := readmodel.LaneOf(key)
		b.lanes = append(b.lanes, uint8(lane))
		b.ends[lane]++
	}
	at := 0
	for lane, n := range b.ends {
		b.ends[lane] = at // where it begins: it is moved on below
		at += n
	}
	if cap(b.order) < len(keys) {
		b.order = make([]int32, len(keys))
	}
	b.order = b.order[:len(keys)]
	for i, lane := range b.lanes {
		b.order[b.ends[lane]] = int32(i)
		b.ends[lane]++
	}
}

// chunks gives a lane and some of its keys, as many as one command names.
func (b *byLane) chunks(yield func(lane int, indices []int32) bool) {
	begin := 0
	for lane, end := range b.ends {
		for begin < end {
			next := min(end, begin+wordsPerCommand)
			if !yield(lane, b.order[begin:next]) {
				return
			}
			begin = next
		}
	}
}
