package rules

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// expression is one compiled CEL expression and where it stands in the manifest.
type expression struct {
	where   string // "key", "when", "set.email"
	rule    int    // its index in reducer.rules, -1 for the key
	ast     *cel.Ast
	program cel.Program
	fast    shape
}

// eval runs the interpreter. Panics inside CEL come back as errors.
func (x *expression) eval(sc *scope) (ref.Val, error) {
	v, _, err := x.program.Eval(sc)
	if err != nil {
		return nil, x.failed(sc, err)
	}
	return v, nil
}

// unwrap is the value in an optional, null for an absent one, else v itself.
func unwrap(v ref.Val) ref.Val {
	for {
		optional, is := v.(*types.Optional)
		if !is {
			return v
		}
		if !optional.HasValue() {
			return types.NullValue
		}
		v = optional.GetValue()
	}
}

// isNone says whether v is an absent optional, at any depth.
func isNone(v ref.Val) bool {
	for {
		optional, is := v.(*types.Optional)
		if !is {
			return false
		}
		if !optional.HasValue() {
			return true
		}
		v = optional.GetValue()
	}
}
