package rules

import (
	"encoding/json"
	"strconv"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/refold-dev/refold/projector"
)

// shape is an expression so simple that it runs without the interpreter:
// event.email, event["email"], event.?email, event.user.name (documents),
// int(event.cents), type, id, time and literals. It only ever answers where
// the interpreter would give the same; everything else, all errors too, it
// leaves to the interpreter.
type shape struct {
	kind     shapeKind
	path     []string
	optional int             // the first optional step, len(path) if there is none
	asInt    bool            // int(…)
	constant projector.Value // in the field's kind
}

type shapeKind uint8

const (
	shapeNone shapeKind = iota
	shapeField
	shapeType
	shapeID
	shapeTime
	shapeConstant
)

func shapeOf(e ast.Expr) shape {
	switch e.Kind() {
	case ast.IdentKind:
		return shape{kind: map[string]shapeKind{varType: shapeType, varID: shapeID, varTime: shapeTime}[e.AsIdent()]}
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() == "int" && len(call.Args()) == 1 {
			inner := shapeOf(call.Args()[0])
			if inner.kind == shapeField && inner.optional == len(inner.path) && !inner.asInt {
				inner.asInt = true
				return inner
			}
			return shape{}
		}
	}
	path, optional, ok := pathOf(e)
	if !ok || len(path) == 0 {
		return shape{}
	}
	return shape{kind: shapeField, path: path, optional: optional}
}

// pathOf is the names that lead from event to e, and the first optional step.
func pathOf(e ast.Expr) (path []string, optional int, ok bool) {
	operand, name, isOptional := step(e)
	if operand == nil {
		return nil, 0, e.Kind() == ast.IdentKind && e.AsIdent() == varEvent
	}
	path, optional, ok = pathOf(operand)
	if optional == len(path) && !isOptional {
		optional++
	}
	return append(path, name), optional, ok
}

// step takes e apart into what it selects from and the name it selects.
func step(e ast.Expr) (operand ast.Expr, name string, optional bool) {
	switch e.Kind() {
	case ast.SelectKind:
		if sel := e.AsSelect(); !sel.IsTestOnly() {
			return sel.Operand(), sel.FieldName(), false
		}
	case ast.CallKind:
		call, args := e.AsCall(), e.AsCall().Args()
		f := call.FunctionName()
		optional = f == operators.OptSelect || f == operators.OptIndex
		if len(args) == 2 && (optional || f == operators.Index) && args[1].Kind() == ast.LiteralKind {
			if name, isString := args[1].AsLiteral().(types.String); isString {
				return args[0], string(name), optional
			}
		}
	}
	return nil, "", false
}

// text is the value as a key.
func (s *shape) text(e *projector.Event) (key string, ok bool) {
	v, found, ok := s.value(e, projector.String)
	if !ok || !found || !v.IsSet() {
		return "", false
	}
	return v.Str(), true
}

// value is the result in a field's kind. found is false for an absent
// optional; an unset v stands for null. Not ok: ask the interpreter.
func (s *shape) value(e *projector.Event, kind projector.Kind) (v projector.Value, found, ok bool) {
	switch s.kind {
	case shapeNone:
		return v, false, false
	case shapeConstant:
		return s.constant, true, true
	case shapeField:
		if kind == projector.JSON {
			return v, false, false
		}
		if e.Document == nil {
			return s.entryField(e, kind)
		}
		return s.member(e.Document, kind)
	}
	v, err := s.attribute(e, kind)
	return v, true, err == nil
}

func (s *shape) attribute(e *projector.Event, kind projector.Kind) (projector.Value, error) {
	t, inRange := eventTime(e)
	switch {
	case kind != projector.String && kind != projector.Timestamp:
	case s.kind == shapeType:
		return fromString(kind, string(e.Type))
	case s.kind == shapeID:
		return fromString(kind, e.ID.String())
	case s.kind == shapeTime && inRange:
		return fromTime(kind, t)
	}
	return notA(kind, "")
}

func (s *shape) entryField(e *projector.Event, kind projector.Kind) (v projector.Value, found, ok bool) {
	if len(s.path) != 1 {
		return v, false, false
	}
	value, found := e.Field(s.path[0])
	switch {
	case !found:
		return v, false, s.optional == 0
	case s.asInt:
		v, ok = fastInt(kind, value)
	default:
		v, ok = fastString(kind, value)
	}
	return v, true, ok
}

// fastInt and fastString allocate nothing but a String's or a Timestamp's own
// bytes: a conversion that is not kept stays on the stack.
func fastInt(kind projector.Kind, value []byte) (v projector.Value, ok bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return v, false
	}
	v, err = fromInt(kind, n)
	return v, err == nil
}

func fastString(kind projector.Kind, value []byte) (projector.Value, bool) {
	if kind == projector.String {
		return projector.StringValue(string(value)), true
	}
	v, err := parse(kind, string(value))
	return v, err == nil && v.IsSet()
}

func (s *shape) member(doc map[string]any, kind projector.Kind) (v projector.Value, found, ok bool) {
	for i, name := range s.path {
		m, found := doc[name]
		switch {
		case !found:
			return v, false, i >= s.optional
		case i == len(s.path)-1:
			v, ok = s.leaf(m, kind)
			return v, true, ok
		}
		if doc, found = m.(map[string]any); !found {
			return v, false, false
		}
	}
	return v, false, false
}

// leaf leaves doubles and what it does not know to the interpreter.
func (s *shape) leaf(m any, kind projector.Kind) (v projector.Value, ok bool) {
	switch m := m.(type) {
	case nil:
		return v, !s.asInt
	case string:
		if s.asInt {
			return leafInt(kind, m)
		}
		v, err := fromString(kind, own(m))
		return v, err == nil
	case json.Number:
		return leafInt(kind, string(m))
	}
	return v, false
}

func leafInt(kind projector.Kind, digits string) (v projector.Value, ok bool) {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return v, false
	}
	v, err = fromInt(kind, n)
	return v, err == nil
}
