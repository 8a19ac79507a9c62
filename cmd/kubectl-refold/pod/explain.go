package pod

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/projector/inspect/api"
)

type explainOptions struct {
	asked
	output     cli.Output
	fields     []string
	incomplete bool
}

func newExplain(c *commands) *cobra.Command {
	o := &explainOptions{}
	cmd := &cobra.Command{
		Use:   "explain NAME KEY",
		Short: "Show where an entity came from: each event that made it, and which rule did what",
		Long: `Show where an entity came from: each event that touched it, oldest first, which rule of
the manifest was applied, and what that changed, from which value to which.

The projector folds the log again for this key alone. An event that touched the entity and
changed nothing is shown, too. Rules are those of the revision that is asked.`,
		Example: `  kubectl refold explain user-profile 42
  kubectl refold explain user-profile 42 --field email
  kubectl refold explain user-profile 42 --revision b4axw2ad`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), c, args[0], args[1])
		},
	}
	o.addFlags(c, cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&o.fields, "field", nil, "events that changed this field alone; may be repeated")
	flags.BoolVar(&o.incomplete, "incomplete", false, "fold what is left of a log that has lost its beginning")
	o.output.AddFlag(cmd, cli.JSON, cli.YAML)
	return cmd
}

func (o *explainOptions) run(ctx context.Context, c *commands, name, key string) error {
	s, err := c.ask(ctx, name, o.asked)
	if err != nil {
		return err
	}
	defer s.close()
	info, err := s.info(ctx)
	if err != nil {
		return err
	}
	query := url.Values{}
	if len(o.fields) > 0 {
		query["field"] = o.fields
	}
	if o.incomplete {
		query.Set("incomplete", "true")
	}
	e := &explaining{session: s, info: info, key: api.Text(key), options: o}
	end, err := s.lines(ctx, api.EntityPath(key, api.History), query, e.line)
	if err != nil {
		return err
	}
	if err := e.finish(end); err != nil {
		return err
	}
	s.finish(end)
	if desired := plan.Revision(s.projection.Spec); desired != s.revision && !o.output.Structured() {
		s.note("the rules are those of revision %s; the spec asks for revision %s, whose rules may be others", s.revision, desired)
	}
	return nil
}

// explaining prints the history of an entity as it comes.
type explaining struct {
	*session
	info    api.Info
	key     api.Text
	options *explainOptions
	steps   []explained // for programs
	shown   bool
}

// explained is a step for programs, with its rules as they stand in the manifest.
type explained struct {
	api.Step
	RuleTexts []string `json:"ruleTexts,omitempty"`
}

func (e *explaining) line(line api.Line) error {
	step := line.Step
	if step == nil {
		return nil
	}
	if e.options.output.Structured() {
		out := explained{Step: *step}
		for _, rule := range step.Rules {
			out.RuleTexts = append(out.RuleTexts, ruleText(e.info.Reducer.Rules, rule))
		}
		e.steps = append(e.steps, out)
		return nil
	}
	if !e.shown {
		e.shown = true
		fmt.Fprintf(e.out, "%s, revision %s\n", e.heading(e.key), e.revision)
	}
	e.step(step)
	return nil
}

func (e *explaining) step(step *api.Step) {
	fmt.Fprintf(e.out, "\n%s  %s  %s%s\n", when(step.Time), e.Strong(e.value(step.Type, e.room(46))), e.Faint(step.ID), e.fate(step))
	for _, rule := range step.Rules {
		e.rule(rule)
	}
	switch {
	case step.Rules == nil:
		fmt.Fprintln(e.out, e.Faint("  reducer "+safe(e.info.Reducer.Type)))
	case len(step.Rules) == 0:
		fmt.Fprintln(e.out, e.Faint("  no rule applied: the conditions of those for this type were false"))
	}
	if step.Deleted && len(e.options.fields) == 0 {
		return // all went
	}
	e.changes(step.Changes)
	if len(step.Changes) == 0 && len(step.Rules) > 0 {
		fmt.Fprintln(e.out, "    (changed nothing)")
	}
}

// mostRule is how much of a rule is shown where not all is.
const mostRule = 400

func (e *explaining) rule(i int) {
	text := ruleText(e.info.Reducer.Rules, i)
	if !e.full && cli.Width(text) > mostRule {
		e.cut++
		text = cli.Clip(text, mostRule)
	}
	indent := "  "
	for _, line := range cli.Wrap(text, max(0, e.columns-len("      "))) {
		fmt.Fprintln(e.out, e.Faint(indent+line))
		indent = "      "
	}
}

func (e *explaining) fate(step *api.Step) string {
	switch {
	case step.Created && step.Deleted:
		return "  " + e.Bad("created and deleted")
	case step.Created:
		return "  " + e.Good("created")
	case step.Deleted:
		return "  " + e.Bad("deleted")
	}
	return ""
}

// changes prints what became another value: from which to which.
func (s *session) changes(changes []api.Change) {
	byName := map[string]api.Change{}
	var names []string
	for _, c := range changes {
		byName[c.Field] = c
		names = append(names, c.Field)
	}
	width := widest(names)
	for _, name := range s.order(names) {
		s.change(byName[name], fmt.Sprintf("%-*s", width, safe(name)))
	}
}

const arrow = " → "

func (s *session) change(c api.Change, name string) {
	used := len("    ~   ") + cli.Width(name)
	room := s.room(used)
	switch {
	case c.Old == nil && c.New == nil:
	case c.Old == nil:
		fmt.Fprintf(s.out, "    %s %s  %s\n", s.Good("+"), name, s.value(*c.New, room))
	case c.New == nil:
		fmt.Fprintf(s.out, "    %s %s  %s\n", s.Bad("-"), name, s.value(*c.Old, room))
	case s.full || s.fits(room-cli.Width(arrow), *c.Old, *c.New):
		fmt.Fprintf(s.out, "    %s %s  %s%s%s\n", s.Busy("~"), name, s.value(*c.Old, room), arrow, s.value(*c.New, room))
	default:
		fmt.Fprintf(s.out, "    %s %s  %s\n", s.Busy("~"), name, s.value(*c.Old, room))
		fmt.Fprintf(s.out, "%*s%s\n", used-2, "→ ", s.value(*c.New, s.room(used)))
	}
}

// finish prints what came of it.
func (e *explaining) finish(end api.End) error {
	if e.options.output.Structured() {
		return e.print(end)
	}
	if !e.shown {
		fmt.Fprintf(e.out, "%s, revision %s: no event has changed %s\n", e.heading(e.key), e.revision, safe(strings.Join(e.options.fields, " or ")))
	}
	events := plural(int(end.Lines), "event", "events")
	if len(e.options.fields) > 0 {
		events += " that changed " + safe(strings.Join(e.options.fields, " or ")) + ","
	}
	fmt.Fprintf(e.out, "\n%s\n", e.Faint(fmt.Sprintf("%s among %s up to %s", events, cli.Count(end.Entries), e.position(end.Position))))
	switch now := end.Entity; {
	case now == nil:
	case !now.Exists:
		fmt.Fprintf(e.out, "%s: event %s deleted it\n", e.Strong("gone"), now.Changed)
	default:
		fmt.Fprintf(e.out, "%s\n", e.Strong("now"))
		e.fields(e.wanted(now.Fields))
	}
	return nil
}

// wanted are the fields that were asked for.
func (e *explaining) wanted(fields map[string]api.Text) map[string]api.Text {
	if len(e.options.fields) == 0 {
		return fields
	}
	out := map[string]api.Text{}
	for name, text := range fields {
		if slices.Contains(e.options.fields, name) {
			out[name] = text
		}
	}
	return out
}

func (e *explaining) print(end api.End) error {
	out := struct {
		Projection string      `json:"projection"`
		Revision   string      `json:"revision"`
		Steps      []explained `json:"steps"`
		Entity     *api.Entity `json:"entity"`
		Entries    int64       `json:"entries"` // read of the log
	}{e.projection.Namespace + "/" + e.name(), e.revision, append([]explained{}, e.steps...), end.Entity, end.Entries}
	return e.options.output.Print(e.structured(), out)
}
