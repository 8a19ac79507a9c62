package rules

import (
	_ "time/tzdata" // named time zones must not depend on the image

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// Limits of one expression. They are CEL's units of work and not time: a fold
// must not end differently on a slower machine. docs/rules.md names them.
const (
	// CostLimit is what one evaluation may cost: about twenty walks over a
	// value of 1 MiB.
	CostLimit = 2_000_000
	// MaxExpression is its length in characters.
	MaxExpression = 8192
	// MaxNesting is its depth.
	MaxNesting = 64
	maxNodes   = 10_000
	maxRegex   = 1_000
)

// environments are where expressions are compiled: a key knows no entity yet.
type environments struct {
	key, rule *cel.Env
	adapter   types.Adapter
}

// newEnvironments pins the version of every library and of the cost model: an
// upgrade of cel-go must not change what a manifest means.
func newEnvironments(format string, schema *projector.Schema) (environments, error) {
	event := cel.MapType(cel.StringType, cel.DynType)
	if format == contract.FormatFields || format == "" {
		event = cel.MapType(cel.StringType, cel.StringType)
	}
	key, err := cel.NewEnv(
		cel.OptionalTypes(cel.OptionalTypesVersion(2)),
		ext.Strings(ext.StringsVersion(5)), // the first that counts what its functions cost
		ext.Math(ext.MathVersion(2)),
		ext.Encoders(ext.EncodersVersion(0)),
		bounded(),
		cel.DefaultUTCTimeZone(true),
		cel.EnableIdentifierEscapeSyntax(),
		cel.CostModelVersion(1),
		cel.ParserExpressionSizeLimit(MaxExpression),
		cel.ParserRecursionLimit(MaxNesting),
		cel.ExpressionNodeLimit(maxNodes),
		cel.RegexProgramSizeLimit(maxRegex),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
		cel.Variable(varEvent, event),
		cel.Variable(varType, cel.StringType),
		cel.Variable(varID, cel.StringType),
		cel.Variable(varTime, cel.TimestampType),
		adapted,
	)
	if err != nil {
		return environments{}, err
	}
	rule, err := key.Extend(
		typed(schema),
		cel.Variable(varKey, cel.StringType),
		cel.Variable(varState, cel.ObjectType(entityType)),
	)
	return environments{key, rule, key.CELTypeAdapter()}, err
}

func adapted(e *cel.Env) (*cel.Env, error) {
	return cel.CustomTypeAdapter(adapter{e.CELTypeAdapter()})(e)
}

func program(env *cel.Env, compiled *cel.Ast) (cel.Program, error) {
	return env.Program(compiled,
		cel.CustomDecoratorV2(orderMaps),
		cel.EvalOptions(cel.OptOptimize),
		cel.CostLimit(CostLimit),
	)
}
