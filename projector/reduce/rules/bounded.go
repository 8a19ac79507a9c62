package rules

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// Results are counted when they are there. Two functions multiply the sizes of
// what they are given, so that a single call could take all memory before it
// is counted: replace and join. Here they look first. What they refuse would
// have been beyond CostLimit, which counts each byte of a result.
func bounded() cel.EnvOption {
	str, list := cel.StringType, cel.ListType(cel.StringType)
	return cel.Lib(library{
		cel.Function("replace",
			cel.MemberOverload("string_replace_string_string", []*cel.Type{str, str, str}, str, cel.FunctionBinding(replace)),
			cel.MemberOverload("string_replace_string_string_int", []*cel.Type{str, str, str, cel.IntType}, str, cel.FunctionBinding(replace))),
		cel.Function("join",
			cel.MemberOverload("list_join", []*cel.Type{list}, str, cel.UnaryBinding(func(l ref.Val) ref.Val { return join(l, types.String("")) })),
			cel.MemberOverload("list_join_string", []*cel.Type{list, str}, str, cel.BinaryBinding(join))),
		cel.CostModel(
			walk(cost.Overload, "strings_quote"),
			walk(cost.MemberOverload, "string_format"),
			walk(cost.Overload, "base64_encode_bytes"),
			walk(cost.Overload, "base64_decode_string"),
		),
	})
}

type library []cel.EnvOption

// CompileOptions implements cel.Library.
func (l library) CompileOptions() []cel.EnvOption { return l }

// ProgramOptions implements cel.Library.
func (l library) ProgramOptions() []cel.ProgramOption { return nil }

// walk is the cost of a function that the libraries count as free: what it
// makes, byte by byte.
func walk(of func(string, ...cost.OverloadModelOption) cost.OverloadModel, id string) cost.OverloadModel {
	return of(id, cost.EvalCost(cost.Sum(cost.Const(cost.CallCost), cost.Length(cost.Result()))))
}

var tooLarge = types.WrapErr(interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: "the result is too large"})

// replace is string.replace(old, new) and string.replace(old, new, limit); a
// limit below zero is none.
func replace(args ...ref.Val) ref.Val {
	s, old, with := string(args[0].(types.String)), string(args[1].(types.String)), string(args[2].(types.String))
	limit := -1
	if len(args) > 3 {
		limit = int(args[3].(types.Int))
	}
	n := strings.Count(s, old)
	if limit >= 0 {
		n = min(n, limit)
	}
	if grown := len(s) + n*(len(with)-len(old)); grown > CostLimit {
		return tooLarge
	}
	return types.String(strings.Replace(s, old, with, limit))
}

func join(list, separator ref.Val) ref.Val {
	var b strings.Builder
	first := true
	for it := list.(traits.Lister).Iterator(); it.HasNext() == types.True; {
		v := it.Next()
		part, isString := v.(types.String)
		if !isString {
			if types.IsError(v) {
				return v
			}
			return types.MaybeNoSuchOverloadErr(v)
		}
		if !first {
			b.WriteString(string(separator.(types.String)))
		}
		first = false
		if b.WriteString(string(part)); b.Len() > CostLimit {
			return tooLarge
		}
	}
	return types.String(b.String())
}
