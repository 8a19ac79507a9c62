package pod

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cluster"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
)

type diffOptions struct {
	asked
	output    cli.Output
	candidate string
	key       string
	hasKey    bool
	prefix    string
	all       bool
}

func newDiff(c *commands) *cobra.Command {
	o := &diffOptions{}
	cmd := &cobra.Command{
		Use:   "diff NAME",
		Short: "Show what a candidate changes, before readers read it",
		Long: `Show what a candidate changes: how many entities are others in it than in what readers
read, in which fields, and some of them with their values; --all shows every one.

Both are compared as they are now, each entity at one moment. An entity of which the two were
never seen folded up to the same event is marked "unsettled": the events between may be all
the difference.`,
		Example: `  kubectl refold diff user-profile
  kubectl refold diff user-profile --key 42
  kubectl refold diff user-profile --all | less -R`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := exclusive(cmd, "key", "prefix", "key", "all"); err != nil {
				return err
			}
			o.hasKey = cmd.Flags().Changed("key")
			return o.run(cmd.Context(), c, args[0])
		},
	}
	o.addFlags(c, cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.candidate, "candidate", "", "the revision to compare with what readers read; the one that is built or held if not set")
	flags.StringVar(&o.key, "key", "", "the entity of this key alone")
	flags.StringVar(&o.prefix, "prefix", "", "entities whose keys begin so")
	flags.BoolVar(&o.all, "all", false, "show every entity that differs")
	_ = cmd.RegisterFlagCompletionFunc("candidate", cluster.CompleteRevisions(c.Factory))
	o.output.AddFlag(cmd, cli.JSON)
	return cmd
}

func (o *diffOptions) run(ctx context.Context, c *commands, name string) error {
	s, err := c.ask(ctx, name, o.asked)
	if err != nil {
		return err
	}
	defer s.close()
	candidate, err := o.choose(s.target)
	if err != nil {
		return err
	}
	query := url.Values{"candidate": {candidate}}
	if o.hasKey {
		query.Set("key", o.key)
	}
	if o.prefix != "" {
		query.Set("prefix", o.prefix)
	}
	d := &diffing{session: s, options: o, candidate: candidate}
	end, err := s.lines(ctx, api.DiffPath, query, d.line)
	if err != nil {
		return err
	}
	if end.Counts == nil {
		end.Counts = &api.Counts{Published: s.revision, Candidate: candidate}
	}
	if err := d.finish(end); err != nil {
		return err
	}
	s.finish(end)
	return nil
}

// choose finds the candidate.
func (o *diffOptions) choose(t *target) (string, error) {
	if o.candidate != "" {
		return o.candidate, nil
	}
	var others []string
	for _, r := range t.projection.Status.Revisions {
		switch r.State {
		case v1alpha1.RevisionBuilding, v1alpha1.RevisionVerifying, v1alpha1.RevisionHeld, v1alpha1.RevisionPromoting:
			return r.Name, nil
		case v1alpha1.RevisionRetained:
			others = append(others, r.Name)
		}
	}
	out := cli.Failf("%s has no candidate: readers read %s, and nothing else is built", t.name(), t.projection.Status.ActiveRevision)
	if len(others) > 0 {
		return "", out.WithHint("--candidate %s compares with the revision that was published before", others[0])
	}
	return "", out.WithHint("kubectl refold plan says, before a change is applied, what it will build")
}

// diffing prints differences: a few after the counts, or all before them.
type diffing struct {
	*session
	options   *diffOptions
	candidate string
	sample    []api.Difference
	taken     map[string]int
	begun     bool
	unshown   int64
}

// mostSampled is how many of those added, of those removed and of those changed
// are shown where not all are.
const mostSampled = 4

func (d *diffing) line(line api.Line) error {
	difference := line.Difference
	switch {
	case difference == nil:
		return nil
	case d.options.all || d.options.hasKey:
		return d.show(*difference)
	}
	if d.taken == nil {
		d.taken = map[string]int{}
	}
	if d.taken[difference.Change] == mostSampled {
		d.unshown++
		return nil
	}
	d.taken[difference.Change]++
	d.sample = append(d.sample, *difference)
	return nil
}

func (d *diffing) show(difference api.Difference) error {
	if d.options.output.Structured() {
		data, err := json.Marshal(difference)
		if err != nil {
			return err
		}
		before := "{\"differences\": [\n  "
		if d.begun {
			before = ",\n  "
		}
		d.begun = true
		_, err = io.WriteString(d.structured(), before+string(data))
		return err
	}
	mark := map[string]string{contract.Added: d.Good("+"), contract.Removed: d.Bad("-"), contract.Changed: d.Busy("~")}[difference.Change]
	unsettled := ""
	if difference.Unsettled {
		unsettled = d.Faint("  (unsettled)")
	}
	d.begun = true
	if _, err := fmt.Fprintf(d.out, "%s %s%s\n", mark, d.Strong(d.value(difference.Key, d.room(2))), unsettled); err != nil {
		return err
	}
	d.changes(difference.Changes)
	return nil
}

// finish prints the counts, and what was kept of the differences.
func (d *diffing) finish(end api.End) error {
	slices.SortFunc(d.sample, func(a, b api.Difference) int {
		return cmp.Or(order[a.Change]-order[b.Change], strings.Compare(string(a.Key), string(b.Key)))
	})
	if d.options.output.Structured() {
		return d.close(end)
	}
	switch {
	case d.options.hasKey:
		return d.verdict(end.Counts)
	case d.options.all && d.begun:
		fmt.Fprintln(d.out)
	}
	d.counts(end)
	if len(d.sample) > 0 {
		fmt.Fprintln(d.out)
	}
	for _, difference := range d.sample {
		if err := d.show(difference); err != nil {
			return err
		}
	}
	if d.unshown > 0 {
		fmt.Fprintln(d.out, d.Faint(fmt.Sprintf("… and %s more: --all shows every one, --key one", cli.Count(d.unshown))))
	}
	return nil
}

var order = map[string]int{contract.Changed: 0, contract.Added: 1, contract.Removed: 2}

// verdict is about one entity.
func (d *diffing) verdict(c *api.Counts) error {
	key := strconv.Quote(d.options.key)
	switch {
	case c.Same > 0:
		fmt.Fprintf(d.out, "the entity %s is the same in %s and %s\n", key, c.Published, c.Candidate)
	case !d.begun:
		return cli.Failf("neither %s nor %s has an entity %s", c.Published, c.Candidate, key)
	}
	return nil
}

func (d *diffing) counts(end api.End) {
	c := end.Counts
	fmt.Fprintf(d.out, "%s: %s → %s\n", d.Strong(d.name()), d.label(c.Published), d.label(c.Candidate))
	fmt.Fprintf(d.out, "  %s same, %s added, %s removed, %s changed%s\n",
		cli.Count(c.Same), d.count(c.Added, d.Good), d.count(c.Removed, d.Bad), d.count(c.Changed, d.Busy), share(c))
	if len(c.ChangedFields) > 0 {
		names := slices.SortedFunc(maps.Keys(c.ChangedFields), func(a, b string) int {
			return cmp.Or(cmp.Compare(c.ChangedFields[b], c.ChangedFields[a]), strings.Compare(a, b))
		})
		var fields []string
		for _, name := range names {
			fields = append(fields, fmt.Sprintf("%s %s", safe(name), cli.Count(c.ChangedFields[name])))
		}
		fmt.Fprintf(d.out, "  fields: %s\n", strings.Join(fields, ", "))
	}
	if c.Unsettled > 0 {
		fmt.Fprintf(d.out, "  %s unsettled: the candidate was folded up to %s only; ask again once it has caught up\n", cli.Count(c.Unsettled), safe(end.Position))
	}
}

func (d *diffing) count(n int64, paint func(string) string) string {
	if n == 0 {
		return "0"
	}
	return paint(cli.Count(n))
}

// share is how much of all entities of either differ.
func share(c *api.Counts) string {
	differ := c.Added + c.Removed + c.Changed
	all := differ + c.Same
	if all == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.1f %% differ)", float64(differ)/float64(all)*100)
}

// label is a revision with its state.
func (d *diffing) label(revision string) string {
	for _, r := range d.projection.Status.Revisions {
		if r.Name == revision {
			return fmt.Sprintf("%s (%s)", revision, r.State)
		}
	}
	return safe(revision)
}

// close ends the object for programs.
func (d *diffing) close(end api.End) error {
	for _, difference := range d.sample {
		if err := d.show(difference); err != nil {
			return err
		}
	}
	counts, err := json.Marshal(end.Counts)
	if err != nil {
		return err
	}
	text := "\n],\n"
	if !d.begun {
		text = "{\"differences\": [],\n"
	}
	_, err = fmt.Fprintf(d.structured(), "%s \"sampled\": %t,\n \"position\": %q,\n \"counts\": %s}\n", text, d.unshown > 0, end.Position, counts)
	return err
}
