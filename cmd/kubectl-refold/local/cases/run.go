package cases

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/inspect"
)

// Result is what came of one case.
type Result struct {
	Case     *Case
	Failures []Failure
	Took     time.Duration

	fold    *inspect.Fold
	touched []string // entities that the events in when touch, else those in given
}

// Failed says whether anything is not as the case says.
func (r *Result) Failed() bool { return len(r.Failures) > 0 }

// Failure is one thing that is not as the case says.
type Failure struct {
	Position
	Message string

	ofThen bool // another then would mend it
}

// Run folds the events of one case, and compares. What its rules do is noted in
// coverage.
func (s *Suite) Run(c *Case, coverage *Coverage) (*Result, error) {
	fold, err := inspect.NewFold(s.Document, s.Registry)
	if err != nil {
		return nil, err
	}
	schema, err := s.schema()
	if err != nil {
		return nil, err
	}
	r := &runner{
		suite: s, schema: schema, coverage: coverage, writer: writer{source: s.Document.Source},
		result: &Result{Case: c, fold: fold}, makers: map[field]string{},
	}
	began := time.Now()
	r.run()
	r.result.Took = time.Since(began)
	return r.result, nil
}

// field is one field of an entity; "" is the entity itself.
type field struct{ key, name string }

type runner struct {
	suite    *Suite
	schema   *projector.Schema
	coverage *Coverage
	writer   writer
	result   *Result
	skipped  []string
	makers   map[field]string // who made the field what it is

	comparing bool // what fails now is then
}

func (r *runner) failf(n *yaml.Node, format string, args ...any) {
	r.result.Failures = append(r.result.Failures, Failure{Position{n.Line, n.Column}, fmt.Sprintf(format, args...), r.comparing})
}

func (r *runner) run() {
	c := r.result.Case
	for i, e := range c.given {
		if _, err := r.apply(fmt.Sprintf("given[%d]", i), e, len(c.when) == 0); err != nil {
			r.failf(e.node, "given[%d] %s", i, explain(err))
			return
		}
	}
	if !r.when(c) {
		return
	}
	if !slices.Equal(r.skipped, c.skipped) {
		r.failf(c.node, "skipped: want %s, got %s%s", quoted(c.skipped), quoted(r.skipped), meant(c))
	}
	if c.hasThen || len(c.when) > 0 && c.halts == "" && !c.hasSkipped {
		r.compare(c)
	}
}

// meant says how to say that events may be skipped.
func meant(c *Case) string {
	if c.hasSkipped {
		return ""
	}
	return "; if that is meant, write it as skipped: […]"
}

// when folds the events that the case is about; false if what is left to compare
// would say nothing.
func (r *runner) when(c *Case) bool {
	for i, e := range c.when {
		step, err := r.apply(fmt.Sprintf("when[%d]", i), e, true)
		if err != nil {
			return r.halted(c, i, e, err)
		}
		if step.Skipped != "" {
			r.skipped = append(r.skipped, reason(step.Skipped))
		}
	}
	if c.halts != "" {
		r.failf(c.node, "error: want one with %q, and all events were folded", c.halts)
		return false
	}
	return true
}

func (r *runner) halted(c *Case, i int, e event, err error) bool {
	switch message := explain(err); {
	case c.halts == "":
		r.failf(e.node, "when[%d] %s", i, message)
	case !strings.Contains(message, c.halts):
		r.failf(e.node, "error: want one with %q, got: when[%d] %s", c.halts, i, message)
	default:
		return true
	}
	return false
}

// explain is what a person is told of an event that cannot be folded.
func explain(err error) string {
	if f := fault.As(err); f != nil {
		if f.Remedy == "" {
			return f.Message
		}
		return f.Message + ". What to do: " + f.Remedy
	}
	return err.Error()
}

func reason(words string) string {
	if words == projector.ErrNoKey.Error() {
		return noKey
	}
	return unnamedType
}

func (r *runner) apply(name string, e event, compared bool) (inspect.Step, error) {
	entry, err := r.writer.entry(e)
	if err != nil {
		return inspect.Step{}, err
	}
	step, err := r.result.fold.Apply(&entry)
	if err != nil {
		return step, err
	}
	for _, effect := range step.Effects {
		r.note(name, step.Type, effect, compared)
	}
	r.coverage.note(step, r.result.fold)
	return step, nil
}

// note remembers who made each field what it is.
func (r *runner) note(name, typ string, effect inspect.Effect, compared bool) {
	changed := len(effect.Changes) > 0 || effect.Created || effect.Deleted
	if compared && changed && !slices.Contains(r.result.touched, effect.Key) {
		r.result.touched = append(r.result.touched, effect.Key)
	}
	by := name + " " + typ
	if n := len(effect.Rules); n > 0 {
		by += fmt.Sprintf(", rule %d", effect.Rules[n-1])
		if n > 1 {
			by = fmt.Sprintf("%s %s, rules %s", name, typ, numbers(effect.Rules))
		}
	}
	if changed {
		r.makers[field{effect.Key, ""}] = by
	}
	for _, change := range effect.Changes {
		r.makers[field{effect.Key, change.Field}] = by
	}
}

func numbers(all []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", ", "), "[]")
}

// compare holds the entities against then.
func (r *runner) compare(c *Case) {
	r.comparing = true
	named := map[string]bool{}
	for _, e := range c.then {
		named[e.key] = true
		r.entity(e)
	}
	for _, key := range r.result.touched {
		if !named[key] && len(c.when) > 0 {
			r.failf(c.node, "%s: changed by %s, but not named in then", shown(key), r.makers[field{key, ""}])
		}
	}
}

func (r *runner) entity(want expectation) {
	got, exists := r.result.fold.State(want.key)
	switch {
	case want.absent && exists:
		r.failf(want.node, "%s: want none, and it is there%s", shown(want.key), r.maker(want.key, ""))
		return
	case want.absent:
		return
	case !exists:
		r.failf(want.node, "%s: it is not there%s", shown(want.key), r.maker(want.key, ""))
		return
	}
	named := map[string]bool{}
	for _, f := range want.fields {
		named[f.name] = true
		r.field(want.key, f, got)
	}
	for _, f := range r.schema.Fields() {
		if value, set := got.Fields[f.Name]; set && !named[f.Name] && !want.partial {
			r.failf(want.node, "%s.%s: want none, got %s%s", shown(want.key), f.Name, show(value), r.maker(want.key, f.Name))
		}
	}
}

func (r *runner) field(key string, want expected, got inspect.Entity) {
	slot, declared := r.schema.Slot(want.name)
	if !declared {
		r.failf(want.value, "%s.%s: no such field in readModel.fields; %s", shown(key), want.name, cli.DidYouMean(cli.Close(want.name, r.declared()), "it has "+quoted(r.declared())))
		return
	}
	text, set, err := canonical(r.schema.Fields()[slot].Kind, want.value)
	if err != nil {
		r.failf(want.value, "%s.%s: %v", shown(key), want.name, err)
		return
	}
	value, has := got.Fields[want.name]
	if r.schema.Fields()[slot].Kind == projector.JSON {
		value = sortedJSON(value)
	}
	if set == has && text == value {
		return
	}
	wanted, is := "none", "none"
	if set {
		wanted = show(text)
	}
	if has {
		is = show(value)
	}
	r.failf(want.value, "%s.%s: want %s, got %s%s", shown(key), want.name, wanted, is, r.maker(key, want.name))
}

func (r *runner) declared() []string {
	var out []string
	for _, f := range r.schema.Fields() {
		out = append(out, f.Name)
	}
	return out
}

// maker says who made it so.
func (r *runner) maker(key, name string) string {
	if by := r.makers[field{key, name}]; by != "" {
		return " (by " + by + ")"
	}
	return ""
}

// canonical is a value of the file as a reader of the hash would see it.
func canonical(kind projector.Kind, n *yaml.Node) (text string, set bool, err error) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return "", false, nil
	}
	text = string(raw(n))
	switch {
	case kind == projector.JSON:
		text = string(appendJSON(nil, n))
	case n.Kind != yaml.ScalarNode:
		return "", false, fmt.Errorf("a %s is no list and no map", kind)
	case kind == projector.Boolean:
		text = strings.ToLower(text)
	}
	v, err := projector.ParseText(kind, text)
	if err != nil {
		return "", false, err
	}
	if kind == projector.JSON {
		return sortedJSON(v.Text()), true, nil
	}
	return v.Text(), true, nil
}

// shown is a key as messages have it.
func shown(key string) string {
	if key == "" || strings.ContainsAny(key, " .:\n\t") {
		return fmt.Sprintf("%q", key)
	}
	return cli.Safe(key)
}

// show is a value as messages have it: all of it that a line has room for.
func show(text string) string {
	const most = 200
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return fmt.Sprintf("%q", text)
}
