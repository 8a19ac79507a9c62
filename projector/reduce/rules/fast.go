package rules

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/refold-dev/refold/projector"
)

// shape is an expression so simple that it runs without the interpreter:
// event.email, event["email"], event.?email, event.user.name (documents),
// int(event.cents), "user:" + event.id, type, id, time, key and literals. It
// only ever answers where the interpreter would give the same; everything
// else, all errors too, it leaves to the interpreter. None reads the state.
type shape struct {
	kind     shapeKind
	path     []string
	optional int             // the first optional step, len(path) if there is none
	asInt    bool            // int(…)
	prefix   string          // "…" + …
	constant projector.Value // in the field's kind
}

type shapeKind uint8

const (
	shapeNone shapeKind = iota
	shapeField
	shapeType
	shapeID
	shapeTime
	shapeKey
	shapeConstant
)

func shapeOf(e ast.Expr) shape {
	switch e.Kind() {
	case ast.IdentKind:
		return shape{kind: map[string]shapeKind{varType: shapeType, varID: shapeID, varTime: shapeTime, varKey: shapeKey}[e.AsIdent()]}
	case ast.CallKind:
		call, args := e.AsCall(), e.AsCall().Args()
		switch {
		case call.FunctionName() == "int" && len(args) == 1:
			return plainField(args[0], func(s *shape) { s.asInt = true })
		case call.FunctionName() == operators.Add && args[0].Kind() == ast.LiteralKind:
			prefix, isString := args[0].AsLiteral().(types.String)
			if !isString || prefix == "" {
				return shape{}
			}
			return plainField(args[1], func(s *shape) { s.prefix = string(prefix) })
		}
	}
	path, optional, ok := pathOf(e)
	if !ok || len(path) == 0 {
		return shape{}
	}
	return shape{kind: shapeField, path: path, optional: optional}
}

// plainField is the shape of a field that must be there, with something done to it.
func plainField(e ast.Expr, done func(*shape)) shape {
	s := shapeOf(e)
	if s.kind != shapeField || s.optional < len(s.path) || s.asInt || s.prefix != "" {
		return shape{}
	}
	done(&s)
	return s
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
