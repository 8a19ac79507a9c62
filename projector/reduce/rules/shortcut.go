package rules

import "github.com/refold-dev/refold/projector"

// shortcut is what most rules do with most entries, in as few steps as there
// can be: copying a field into a String, and adding to an Integer. It is taken
// or changes nothing.
type shortcut struct {
	kind     shortcutKind
	slot     int
	field    string
	constant int64
}

type shortcutKind uint8

const (
	noShortcut  shortcutKind = iota
	copyField                // name: event.name
	addField                 // spent: int(event.cents)
	addConstant              // orders: "1"
)

func shortcutOf(s *shape, slot int, kind projector.Kind, add bool) shortcut {
	short := shortcut{slot: slot, constant: s.constant.Int()}
	if s.kind == shapeField && len(s.path) == 1 && s.prefix == "" {
		short.field = s.path[0]
	}
	switch {
	case short.field != "" && !s.asInt && kind == projector.String:
		short.kind = copyField
	case short.field != "" && add && kind == projector.Integer:
		short.kind = addField
	case s.kind == shapeConstant && add && kind == projector.Integer:
		short.kind = addConstant
	}
	return short
}

func (s *shortcut) take(t *turn) bool {
	switch {
	case s.kind == addConstant:
		return s.add(t.state, s.constant)
	case s.kind == noShortcut || t.event.Document != nil:
		return false
	}
	field, ok := t.event.Field(s.field)
	if !ok {
		return false
	}
	if s.kind == addField {
		n, ok := whole(view(field))
		return ok && s.add(t.state, n)
	}
	t.state.SetAt(s.slot, projector.StringValue(view(field)))
	return true
}

// add is the sum with what the field holds, which counts as 0 if it has nothing.
func (s *shortcut) add(to *projector.State, n int64) bool {
	sum, ok := plus(to.At(s.slot).Int(), n)
	if ok {
		to.SetAt(s.slot, projector.IntegerValue(sum))
	}
	return ok
}
