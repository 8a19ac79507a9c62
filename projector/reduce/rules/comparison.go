package rules

import (
	"cmp"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/refold-dev/refold/projector"
)

// comparison is a condition so simple that it runs without the interpreter:
// int(event.cents) > 0, event.kind == "book", type != "OrderPlaced". As with
// shape, whatever is not plain success is left to the interpreter.
type comparison struct {
	operator string // "" for none
	left     shape
	number   int64
	text     string
}

func comparisonOf(e ast.Expr) comparison {
	if e.Kind() != ast.CallKind {
		return comparison{}
	}
	call := e.AsCall()
	if args := call.Args(); len(args) == 2 && args[1].Kind() == ast.LiteralKind {
		c := comparison{operator: call.FunctionName(), left: shapeOf(args[0])}
		switch literal := args[1].AsLiteral().(type) {
		case types.Int:
			c.number = int64(literal)
			if c.left.asInt && c.holds(0) != undecided {
				return c
			}
		case types.String:
			c.text = string(literal)
			if c.left.isText() && c.equality() {
				return c
			}
		}
	}
	return comparison{}
}

func (c *comparison) equality() bool {
	return c.operator == operators.Equals || c.operator == operators.NotEquals
}

// isText says whether the shape is a string of an entry; a document's member
// may be anything.
func (s *shape) isText() bool {
	return s.kind == shapeType || s.kind == shapeField && !s.asInt && s.optional == len(s.path)
}

// verdict is what a comparison came to.
type verdict uint8

const (
	undecided verdict = iota // ask the interpreter
	isFalse
	isTrue
)

func verdictOf(b bool) verdict {
	if b {
		return isTrue
	}
	return isFalse
}

func (c *comparison) decide(e *projector.Event) verdict {
	switch {
	case c.operator == "":
		return undecided
	case c.left.asInt:
		v, found, ok := c.left.value(e, projector.Integer)
		if !ok || !found || !v.IsSet() {
			return undecided
		}
		return c.holds(cmp.Compare(v.Int(), c.number))
	}
	text, ok := c.left.bytes(e)
	if !ok || !utf8.Valid(text) {
		return undecided
	}
	return verdictOf((string(text) == c.text) == (c.operator == operators.Equals))
}

// bytes is a field of the entry, or the type.
func (s *shape) bytes(e *projector.Event) (text []byte, ok bool) {
	if s.kind == shapeType {
		return e.Type, true
	}
	if e.Document != nil || len(s.path) != 1 {
		return nil, false
	}
	return e.Field(s.path[0])
}

// holds says what the operator makes of an order.
func (c *comparison) holds(order int) verdict {
	switch c.operator {
	case operators.Equals:
		return verdictOf(order == 0)
	case operators.NotEquals:
		return verdictOf(order != 0)
	case operators.Less:
		return verdictOf(order < 0)
	case operators.LessEquals:
		return verdictOf(order <= 0)
	case operators.Greater:
		return verdictOf(order > 0)
	case operators.GreaterEquals:
		return verdictOf(order >= 0)
	}
	return undecided
}
