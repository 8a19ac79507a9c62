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
	left     shape
	number   int64
	text     string
	verdicts [3]verdict // of less, equal and greater; undecided for no comparison
}

// verdict is what a comparison came to.
type verdict uint8

const (
	undecided verdict = iota // ask the interpreter
	isFalse
	isTrue
)

var verdictsOf = map[string][3]verdict{
	operators.Equals:        {isFalse, isTrue, isFalse},
	operators.NotEquals:     {isTrue, isFalse, isTrue},
	operators.Less:          {isTrue, isFalse, isFalse},
	operators.LessEquals:    {isTrue, isTrue, isFalse},
	operators.Greater:       {isFalse, isFalse, isTrue},
	operators.GreaterEquals: {isFalse, isTrue, isTrue},
}

func comparisonOf(e ast.Expr) comparison {
	if e.Kind() != ast.CallKind {
		return comparison{}
	}
	call := e.AsCall()
	if args := call.Args(); len(args) == 2 && args[1].Kind() == ast.LiteralKind {
		c := comparison{left: shapeOf(args[0]), verdicts: verdictsOf[call.FunctionName()]}
		switch literal := args[1].AsLiteral().(type) {
		case types.Int:
			c.number = int64(literal)
			if c.left.asInt {
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

func (c *comparison) equality() bool { return c.verdicts[0] == c.verdicts[2] }

// isText says whether the shape is a string of an entry; a document's member
// may be anything.
func (s *shape) isText() bool {
	return s.kind == shapeType || s.kind == shapeField && s.prefix == "" && !s.asInt && s.optional == len(s.path)
}

func (c *comparison) decide(t *turn) verdict {
	switch {
	case c.verdicts[0] == undecided:
		return undecided
	case c.left.asInt:
		v, found, ok := c.left.value(t, projector.Integer, nil)
		if !ok || !found || !v.IsSet() {
			return undecided
		}
		return c.verdicts[1+cmp.Compare(v.Int(), c.number)]
	}
	text, ok := c.left.bytes(t.event)
	switch {
	case ok && string(text) == c.text:
		return c.verdicts[1]
	case ok && utf8.Valid(text):
		return c.verdicts[0]
	}
	return undecided
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
