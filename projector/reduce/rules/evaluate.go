package rules

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/refold-dev/refold/projector"
)

// text is the value as a key: a view of the event's bytes, where it can be.
func (s *shape) text(t *turn) (key string, ok bool) {
	v, found, ok := s.value(t, projector.String, nil)
	if !ok || !found || !v.IsSet() {
		return "", false
	}
	return v.Str(), true
}

// value is the result in a field's kind. found is false for an absent
// optional; an unset v stands for null. Not ok: ask the interpreter.
//
// Text that stands nowhere yet is written into room, if it fits: such a value
// is good until room is used again.
func (s *shape) value(t *turn, kind projector.Kind, room []byte) (v projector.Value, found, ok bool) {
	switch s.kind {
	case shapeNone:
		return v, false, false
	case shapeConstant:
		return s.constant, true, true
	case shapeField:
		if kind == projector.JSON {
			return v, false, false
		}
		if t.event.Document == nil {
			return s.entryField(t.event, kind, room)
		}
		return s.member(t.event.Document, kind, room)
	}
	v, err := s.attribute(t, kind, room)
	return v, true, err == nil
}

var errNotText = errors.New("an attribute is text")

func (s *shape) attribute(t *turn, kind projector.Kind, room []byte) (projector.Value, error) {
	if kind != projector.String && kind != projector.Timestamp {
		return projector.Value{}, errNotText
	}
	switch s.kind {
	case shapeType:
		return fromString(kind, view(t.event.Type))
	case shapeKey:
		return fromString(kind, t.key)
	case shapeID:
		return fromString(kind, view(t.event.ID.Append(room)))
	}
	at, inRange := eventTime(t.event)
	if !inRange {
		return projector.Value{}, errNotText
	}
	return projector.ParseText(kind, view(at.AppendFormat(room, time.RFC3339Nano)))
}

func (s *shape) entryField(e *projector.Event, kind projector.Kind, room []byte) (v projector.Value, found, ok bool) {
	if len(s.path) != 1 {
		return v, false, false
	}
	value, found := e.Field(s.path[0])
	switch {
	case !found:
		return v, false, s.optional == 0
	case s.asInt:
		v, ok = integer(kind, view(value), room)
	case s.prefix != "":
		v, ok = s.prefixed(kind, view(value), room)
	case kind == projector.String:
		return projector.StringValue(view(value)), true, true
	default:
		var err error
		v, err = parse(kind, view(value))
		ok = err == nil && v.IsSet()
	}
	return v, true, ok
}

func (s *shape) member(doc map[string]any, kind projector.Kind, room []byte) (v projector.Value, found, ok bool) {
	for i, name := range s.path {
		m, found := doc[name]
		switch {
		case !found:
			return v, false, i >= s.optional
		case i == len(s.path)-1:
			v, ok = s.leaf(m, kind, room)
			return v, true, ok
		}
		if doc, found = m.(map[string]any); !found {
			return v, false, false
		}
	}
	return v, false, false
}

// leaf leaves doubles and what it does not know to the interpreter.
func (s *shape) leaf(m any, kind projector.Kind, room []byte) (v projector.Value, ok bool) {
	switch m := m.(type) {
	case nil:
		return v, !s.asInt && s.prefix == ""
	case string:
		switch {
		case s.asInt:
			return integer(kind, m, room)
		case s.prefix != "":
			return s.prefixed(kind, m, room)
		}
		v, err := fromString(kind, m)
		return v, err == nil
	case json.Number:
		if s.prefix == "" {
			return integer(kind, string(m), room)
		}
	}
	return v, false
}

func integer(kind projector.Kind, digits string, room []byte) (v projector.Value, ok bool) {
	n, ok := whole(digits)
	switch {
	case !ok:
		return v, false
	case kind == projector.String:
		return projector.StringValue(view(strconv.AppendInt(room, n, 10))), true
	}
	v, err := fromInt(kind, n)
	return v, err == nil
}

// prefixed leaves bytes that CEL refuses, and long text, whose cost counts, to
// the interpreter.
func (s *shape) prefixed(kind projector.Kind, text string, room []byte) (v projector.Value, ok bool) {
	const long = 4096
	if kind != projector.String || len(text) > long || !utf8.ValidString(text) {
		return v, false
	}
	if room == nil {
		return projector.StringValue(s.prefix + text), true
	}
	return projector.StringValue(view(append(append(room, s.prefix...), text...))), true
}
