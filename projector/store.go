package projector

import "unsafe"

// InStore says whether the store knows the entity, be it without any field.
func (s *State) InStore() bool { return s.inStore }

// Stored says whether the store holds a value of the field.
func (s *State) Stored(slot int) bool { return s.slots[slot].stored }

// ChangedAt says whether the field may be another in the store than here.
func (s *State) ChangedAt(slot int) bool { return s.slots[slot].changed }

// Changed says whether the entity may be another in the store than here.
func (s *State) Changed() bool { return s.changed }

// Doubted says that it is not known what the store holds of the entity: all of
// it is to be written, whatever Stored and ChangedAt say.
func (s *State) Doubted() bool { return s.doubted }

// Doubt makes all of the entity one that is to be written.
func (s *State) Doubt() { s.doubted, s.changed = true, true }

// MarkStored says that the store holds the entity as it is now.
func (s *State) MarkStored() {
	for i := range s.slots {
		t := &s.slots[i]
		t.stored, t.changed = t.kind != Unset, false
	}
	s.inStore, s.changed, s.doubted = s.exists, false, false
}

// mostKept is how many bytes of text a state keeps that is nobody's.
const mostKept = 1 << 10

// Clear makes s an entity that does not exist and that no store knows; it keeps
// the memory, but for a large text's.
func (s *State) Clear() {
	if cap(s.text) > mostKept {
		s.text = nil
	}
	clear(s.slots)
	s.text, s.live = s.text[:0], 0
	s.exists, s.inStore, s.changed, s.doubted = false, false, false, false
}

// Saved is a State at one moment, for Undo. Its zero value is ready for use and
// may be used again.
type Saved struct {
	slots                           []Slot
	text                            int
	live                            uint32
	exists, inStore, changed, doubt bool
}

// Save remembers the state, for Undo, until Settle is called.
func (s *State) Save(into *Saved) {
	into.slots = append(into.slots[:0], s.slots...)
	into.text, into.live = len(s.text), s.live
	into.exists, into.inStore, into.changed, into.doubt = s.exists, s.inStore, s.changed, s.doubted
}

// Undo makes the state what it was when it was saved.
func (s *State) Undo(to *Saved) {
	copy(s.slots, to.slots)
	s.text, s.live = s.text[:to.text], to.live
	s.exists, s.inStore, s.changed, s.doubted = to.exists, to.inStore, to.changed, to.doubt
}

// Least bytes of holes that are worth closing.
const leastHoles = 48

// Most bytes that a state may have beside its text: a large one is worth a piece
// of memory of the right size.
const mostUnused = 64 << 10

// Settle ends an event: it closes the holes in the text when they are many.
// Views that At gave end here. It returns scratch, which may have grown.
func (s *State) Settle(scratch []byte) []byte {
	if len(s.text)-int(s.live) < leastHoles+int(s.live/2) {
		return scratch
	}
	return s.closeHoles(scratch[:0])
}

func (s *State) closeHoles(scratch []byte) []byte {
	for i := range s.slots {
		if t := &s.slots[i]; t.hasText() {
			begin := len(scratch)
			scratch = append(scratch, s.text[t.num:t.num+int64(t.size)]...)
			t.num = int64(begin)
		}
	}
	if cap(s.text) > 4*(len(scratch)+leastHoles) || cap(s.text)-len(scratch) > mostUnused {
		s.text = nil // it was far larger once, or is so large that its growth counts
	}
	s.text = append(s.text[:0], scratch...)
	return scratch
}

// Warm reads a little of all of the state's memory, so that it is near when it
// is needed. What it returns says nothing.
func (s *State) Warm() int64 {
	warmth := int64(0)
	if len(s.slots) > 0 {
		warmth = s.slots[0].num + s.slots[len(s.slots)-1].num
	}
	if len(s.text) > 0 {
		warmth += int64(s.text[0]) + int64(s.text[len(s.text)-1])
	}
	return warmth
}

const (
	stateBytes = int64(unsafe.Sizeof(State{}))
	slotBytes  = int64(unsafe.Sizeof(Slot{}))
)

// Bytes is the memory that the state takes.
func (s *State) Bytes() int64 {
	return stateBytes + int64(len(s.slots))*slotBytes + int64(cap(s.text))
}
