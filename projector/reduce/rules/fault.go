package rules

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

// failed says where in the manifest the event failed, why and what to do.
func (x *expression) failed(sc *scope, err error) error {
	message, remedy := x.explain(err)
	place := x.where
	if x.rule >= 0 {
		place = fmt.Sprintf("rule %d (%s): %s", x.rule, sc.event.Type, x.where)
	}
	return &fault.Error{
		Reason:    contract.ReasonEventFailed,
		Message:   printable(place + ": " + message),
		Remedy:    remedy,
		Permanent: true,
		EventID:   sc.event.ID.String(),
		// A copy of the text alone: err may show bytes of the event, whose buffer is used again.
		Err: errors.New(strings.Clone(printable(err.Error()))),
	}
}

func (x *expression) explain(err error) (message, remedy string) {
	const correct = "correct the producer, or handle such events in the expression or with when"
	var cancelled interpreter.EvalCancelledError
	var noValue absent
	switch {
	case errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded:
		return fmt.Sprintf("it costs more than the limit of %d units", CostLimit),
			"make the expression cheaper: it may walk over a large value too often"
	case errors.As(err, &noValue):
		return err.Error(), fmt.Sprintf("handle it in the expression, as in state.?%s.orValue(…)", noValue.field)
	}
	if path, ok := x.missing(err); ok {
		return fmt.Sprintf("the event has no field %q", strings.Join(path, ".")),
			fmt.Sprintf("handle it in the expression (%s) or correct the producer", optionalPath(path))
	}
	if s := shapeOf(x.ast.NativeRep().Expr()); s.asInt {
		return fmt.Sprintf("event.%s is not an int: %v", strings.Join(s.path, "."), err), correct
	}
	return err.Error(), correct
}

// missing finds which field of the event was not there: CEL says the name
// alone, and the expression tells what it was to be selected from.
func (x *expression) missing(err error) (path []string, ok bool) {
	var at *types.Err
	name, isMissing := strings.CutPrefix(err.Error(), "no such key: ")
	if !isMissing || !errors.As(err, &at) {
		return nil, false
	}
	for e := find(x.ast.NativeRep().Expr(), at.NodeID()); e != nil; {
		operand, selected, _ := step(e)
		if selected == name && operand != nil {
			path, _, ok = pathOf(e)
			return path, ok
		}
		e = operand
	}
	return nil, false
}

func find(root ast.Expr, id int64) (found ast.Expr) {
	ast.PostOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		if e.ID() == id {
			found = e
		}
	}))
	return found
}

func optionalPath(path []string) string {
	last := len(path) - 1
	return strings.Join(append([]string{varEvent}, path[:last]...), ".") + ".?" + path[last]
}

// clip keeps messages short whatever a producer wrote.
func clip(s string) string { return cut(s, 64) }

// printable is text that a status and a log line can hold.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	return cut(s, 512)
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
