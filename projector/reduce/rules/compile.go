package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// compiler turns a manifest's reducer into rules and collects everything that
// is wrong on the way, so that a person corrects it in one go.
type compiler struct {
	env    environments
	schema *projector.Schema
	found  []error
}

func newCompiler(c projector.Config) (*compiler, error) {
	env, err := newEnvironments(c.Format, c.Schema)
	if err != nil {
		return nil, fmt.Errorf("reducer: cannot set up CEL: %w", err)
	}
	return &compiler{env: env, schema: c.Schema}, nil
}

func (c *compiler) findings() error { return errors.Join(c.found...) }

func (c *compiler) report(place, format string, args ...any) {
	c.found = append(c.found, &Finding{Place: place, Message: fmt.Sprintf(format, args...)})
}

func (c *compiler) reducer(r contract.Reducer) *reducer {
	compiled := &reducer{key: c.keyExpression(r.Key), byType: make(map[string][]*rule)}
	if len(r.Rules) == 0 {
		c.report("reducer.rules", "there is no rule")
	}
	for i, source := range r.Rules {
		step := c.rule(i, source)
		for _, typ := range compact(source.On) {
			compiled.byType[typ] = append(compiled.byType[typ], step)
		}
	}
	compiled.arrange()
	return compiled
}

func (c *compiler) rule(i int, source contract.Rule) *rule {
	place := fmt.Sprintf("reducer.rules[%d]", i)
	compiled := &rule{index: i, delete: source.Delete}
	if len(source.On) == 0 || slices.Contains(source.On, "") {
		c.report(place+".on", "name the types of event that the rule is for")
	}
	if source.When != "" {
		if compiled.when = c.condition(place, i, source.When); compiled.when != nil {
			compiled.test = comparisonOf(compiled.when.ast.NativeRep().Expr())
		}
	}
	c.checkTogether(place, source)
	for _, name := range slices.Sorted(maps.Keys(source.Set)) {
		compiled.assigns = c.assign(compiled.assigns, place, "set", i, name, source.Set[name])
	}
	for _, name := range slices.Sorted(maps.Keys(source.Add)) {
		compiled.assigns = c.assign(compiled.assigns, place, "add", i, name, source.Add[name])
	}
	for _, name := range compact(source.Unset) {
		if slot, ok := c.slot(place+".unset", name); ok {
			compiled.unset = append(compiled.unset, slot)
		}
	}
	compiled.direct = compiled.isDirect()
	return compiled
}

// checkTogether refuses what has no one meaning: within a rule there is no order.
func (c *compiler) checkTogether(place string, r contract.Rule) {
	if r.Delete && len(r.Set)+len(r.Add)+len(r.Unset) > 0 {
		c.report(place, "delete goes alone: take set, add and unset into a rule of their own")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Add)) {
		if _, both := r.Set[name]; both {
			c.report(place+".add."+name, "the rule sets this field, too")
		}
	}
	for _, name := range compact(r.Unset) {
		_, set := r.Set[name]
		_, added := r.Add[name]
		if set || added {
			c.report(place+".unset", "the rule sets or adds to %q, too", name)
		}
	}
}

func (c *compiler) assign(to []assign, place, verb string, rule int, name, source string) []assign {
	place += "." + verb + "." + name
	slot, ok := c.slot(place, name)
	if !ok {
		return to
	}
	kind := c.schema.Fields()[slot].Kind
	add := verb == "add"
	if add && kind != projector.Integer && kind != projector.Number {
		c.report(place, "the field is declared %s; only an Integer or a Number can be added to", kind)
		return to
	}
	x := c.compile(c.env.rule, place, source)
	if x == nil {
		return to
	}
	x.where, x.rule = verb+"."+name, rule
	if !accepts(kind, x.ast.OutputType()) {
		c.report(place, "a %s cannot become %s, as the field is declared%s", typeName(x.ast.OutputType()), kind, hint(kind, x.ast.OutputType()))
		return to
	}
	c.constant(x, place, kind, add)
	return append(to, assign{expression: x, slot: slot, kind: kind, add: add, shortcut: shortcutOf(&x.fast, slot, kind, add)})
}

// constant converts a literal once, and finds now what would fail at every event.
func (c *compiler) constant(x *expression, place string, kind projector.Kind, add bool) {
	root := x.ast.NativeRep().Expr()
	if root.Kind() != ast.LiteralKind {
		return
	}
	v, err := convert(kind, root.AsLiteral())
	if err == nil && add && !v.IsSet() {
		err = errors.New("null cannot be added")
	}
	if err != nil {
		c.report(place, "%v", err)
		return
	}
	x.fast = shape{kind: shapeConstant, constant: v}
}

func (c *compiler) condition(place string, rule int, source string) *expression {
	x := c.compile(c.env.rule, place+".when", source)
	if x == nil {
		return nil
	}
	x.where, x.rule = "when", rule
	if t := x.ast.OutputType(); t.Kind() != types.BoolKind && t.Kind() != types.DynKind {
		c.report(place+".when", "a condition is a bool, not a %s", typeName(t))
	}
	return x
}

func (c *compiler) keyExpression(source string) *expression {
	x := c.compile(c.env.key, "reducer.key", source)
	if x == nil {
		return nil
	}
	x.where, x.rule = "key", -1
	if t := x.ast.OutputType(); !isKey(t) {
		c.report("reducer.key", "a key is a string, an int or a list of these, not a %s", typeName(t))
		return nil
	}
	c.constant(x, "reducer.key", projector.String, false)
	return x
}

// compile reports every issue with its place in the expression; nil if there is one.
func (c *compiler) compile(env *cel.Env, place, source string) *expression {
	if strings.TrimSpace(source) == "" {
		c.report(place, "the expression is empty")
		return nil
	}
	compiled, issues := env.Compile(source)
	if issues.Err() != nil {
		for _, issue := range issues.Errors() {
			c.found = append(c.found, c.finding(place, source, issue))
		}
		return nil
	}
	p, err := program(env, compiled)
	if err != nil {
		c.report(place, "%v", err)
		return nil
	}
	return &expression{ast: compiled, program: p, fast: shapeOf(compiled.NativeRep().Expr())}
}

// slot finds a declared field, or reports that there is none.
func (c *compiler) slot(place, name string) (int, bool) {
	slot, declared := c.schema.Slot(name)
	if !declared {
		c.report(place, "the field %q is not declared in readModel.fields%s", name, suggestion(name, fieldNames(c.schema)))
	}
	return slot, declared
}

// compact is names sorted, each once.
func compact(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}
