package history

import (
	"strconv"
)

const hot = 5

// oddKeys are legal and look as if they were not.
var oddKeys = []string{
	" ", "*", "?[a-z]", `\`, "a:{b}", "{}", `"quoted" 'twice'`, "two\r\nlines", "'; DROP TABLE users; --", "a\x00b",
	"key:with:colons", "~r1:x", "@active", "-1", "\u2603\u202e", "$1\r\nx\r\n", "9007199254740993",
}

// notUTF8 are keys for an expression that is a plain copy.
var notUTF8 = []string{"\xff\xfe", "half a snowman \xe2\x98"}

// keysOf puts the hot ones first.
func keysOf(shape Shape) []string {
	var keys []string
	for i := range hot + shape.Cold {
		keys = append(keys, strconv.Itoa(i))
	}
	keys = append(keys, oddKeys...)
	if !shape.Pairs {
		keys = append(keys, notUTF8...)
	}
	return keys
}

func (h *History) generate() event {
	switch n := h.random.IntN(100); {
	case n < 12:
		return h.generateAs(created)
	case n < 35:
		return h.generateAs(updated)
	case n < 40 && h.shape.Pairs:
		return h.generateAs(moved)
	case n < 84:
		return h.generateAs(counted)
	case n < 87:
		return h.generateAs(emptied)
	case n < 95:
		return h.generateAs(deleted)
	}
	return h.generateAs(noise)
}

func (h *History) generateAs(k kind) event {
	e := event{kind: k, key: h.key(), weight: 1 + h.random.Int64N(1000), part: float64(h.random.IntN(64)) / 4}
	switch k {
	case created:
		e.set(fieldName, h.text())
		e.set(fieldSeen, h.timestamp())
	case updated:
		h.update(&e)
		e.doubled = h.random.IntN(50) == 0
	case moved:
		e.to = h.key()
	}
	return e
}

// update sets some of the fields.
func (h *History) update(e *event) {
	for _, some := range []struct {
		field int
		make  func() value
	}{
		{fieldName, h.text}, {fieldSeen, h.timestamp}, {fieldFlag, h.flag},
		{fieldRatio, h.float}, {fieldBig, h.integer}, {fieldTags, h.tags},
	} {
		if h.random.IntN(3) == 0 {
			e.set(some.field, some.make())
		}
	}
}

// key is one of the hot entities, one of the cold, an odd one, or seldom none.
func (h *History) key() string {
	switch n := h.random.IntN(100); {
	case n < 1:
		return ""
	case n < 40:
		return h.keys[h.random.IntN(hot)]
	case n < 93:
		return h.keys[h.random.IntN(hot+h.shape.Cold)]
	}
	return h.keys[hot+h.shape.Cold+h.random.IntN(len(h.keys)-hot-h.shape.Cold)]
}
