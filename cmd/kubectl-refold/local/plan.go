package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/change"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/manifest"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/projector"
)

type planOptions struct {
	*cli.Factory
	sources
	registry projector.Registry
	output   cli.Output
	against  string
}

func newPlan(f *cli.Factory, registry projector.Registry) *cobra.Command {
	o := &planOptions{Factory: f, registry: registry}
	cmd := &cobra.Command{
		Use:   "plan (-f FILE | -k DIRECTORY) [--against FILE]",
		Short: "Say what applying a manifest would do, and if it replays",
		Long: `Compare manifests with what runs in the cluster, and say of each Projection what
applying it would do: which class of change it is and why, field by field, what would
be read and built, how long that takes, and what to think of before. Nothing is changed.

With --against they are compared with other manifests, and no cluster is asked.

The exit code is 2 if anything would be replayed, and 0 if not; 1 if that cannot be said.`,
		Example: `  kubectl refold plan -f user-profile.yaml
  kubectl refold plan -k overlays/production -o json
  git show main:user-profile.yaml | kubectl refold plan -f user-profile.yaml --against -`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&o.against, "against", "", "a file or kustomization to compare with in place of the cluster; or -")
	o.output.AddFlag(cmd, cli.JSON, cli.YAML)
	return cmd
}

func (o *planOptions) run(ctx context.Context) error {
	if o.against == "-" && slices.Contains(o.files, "-") {
		return cli.Usagef("-f and --against cannot both be standard input")
	}
	wanted, err := o.wanted(ctx)
	if err != nil {
		return err
	}
	before, err := o.before()
	if err != nil {
		return err
	}
	plans := []change.Plan{}
	replays := false
	for _, p := range wanted {
		in := change.Input{New: p, Live: o.against == "", Now: o.Clock.Now()}
		if in.Old, err = before(ctx, p); err != nil {
			return err
		}
		made := change.Make(in)
		plans, replays = append(plans, made), replays || made.Replays
	}
	if err := o.print(plans); err != nil {
		return err
	}
	if replays {
		return cli.Finding()
	}
	return nil
}

// wanted are the Projections that would be applied; those that would be refused
// end it.
func (o *planOptions) wanted(ctx context.Context) ([]*v1alpha1.Projection, error) {
	documents, problems, err := o.read(o.Factory)
	switch {
	case err != nil:
		return nil, err
	case len(problems) > 0:
		return nil, problems[0]
	case len(documents) == 0:
		return nil, o.nothing()
	}
	var out []*v1alpha1.Projection
	for _, d := range documents {
		if err := sound(ctx, o.registry, d); err != nil {
			return nil, err
		}
		p, err := d.Projection()
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// finder finds what a Projection is now, nil if it is not there, and gives it the
// namespace that it would have.
type finder func(context.Context, *v1alpha1.Projection) (*v1alpha1.Projection, error)

func (o *planOptions) before() (finder, error) {
	if o.against == "" {
		return o.inCluster()
	}
	others, err := o.others()
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, p *v1alpha1.Projection) (*v1alpha1.Projection, error) {
		if p.Namespace == "" {
			p.Namespace = "default"
		}
		for _, other := range others {
			if other.Name == p.Name && (other.Namespace == p.Namespace || other.Namespace == "" && p.Namespace == "default") {
				return other, nil
			}
		}
		return nil, nil
	}, nil
}

// kustomization tells a directory that kustomize builds from one of manifests.
func kustomization(dir string) bool {
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// others are the Projections of --against. They need not be without fault: they
// stand already.
func (o *planOptions) others() ([]*v1alpha1.Projection, error) {
	from := sources{files: []string{o.against}}
	if kustomization(o.against) {
		from = sources{dir: o.against}
	}
	documents, problems, err := from.load(o.Factory)
	switch {
	case err != nil:
		return nil, err
	case len(problems) > 0:
		return nil, problems[0]
	}
	var out []*v1alpha1.Projection
	for _, d := range documents {
		if !d.IsProjection() {
			continue
		}
		p, err := d.Projection()
		if err != nil {
			return nil, &manifest.Problem{Position: d.At(), Message: err.Error()}
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, from.nothing()
	}
	return out, nil
}

func (o *planOptions) inCluster() (finder, error) {
	cluster, err := o.Cluster()
	if err != nil {
		return nil, orAgainst(err)
	}
	return func(ctx context.Context, p *v1alpha1.Projection) (*v1alpha1.Projection, error) {
		if p.Namespace == "" {
			p.Namespace = cluster.Namespace
		}
		var live v1alpha1.Projection
		err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(p), &live)
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		request := cli.Request{Verb: "get", Resource: "projections.refold.dev", Namespace: p.Namespace}
		return &live, orAgainst(cluster.Explain(request, err))
	}, nil
}

// orAgainst says that there is a way without a cluster.
func orAgainst(err error) error {
	var told *cli.Error
	if errors.As(err, &told) {
		out := *told
		out.Hint = strings.TrimPrefix(out.Hint+". Without a cluster: --against FILE compares with another manifest", ". ")
		return &out
	}
	return err
}

func (o *planOptions) print(plans []change.Plan) error {
	if o.output.Structured() {
		return o.output.Print(o.Streams.Out, map[string]any{"plans": plans})
	}
	for i, p := range plans {
		if i > 0 {
			fmt.Fprintln(o.Streams.Out)
		}
		o.printPlan(p)
	}
	return nil
}

// headlines are what a class means, in a few words.
var headlines = map[change.Class]string{
	change.Nothing:    "nothing changes",
	change.Settings:   "no replay: nothing restarts",
	change.Pods:       "no replay: the projector's pod changes",
	change.FirstBuild: "a first build",
	change.Replaces:   "a first build, in place of a revision that has folded nothing",
	change.Continues:  "no new replay: the one that runs goes on",
	change.CallsOff:   "no replay: the one that runs is called off",
	change.Rollback:   "a rollback: a switch, and no replay",
	change.Replay:     "a replay, beside what readers read",
	change.InPlace:    "a replay in place: readers see an empty read model grow",
	change.Move:       "a replay on another server",
	change.Refused:    "a replay that will be refused",
}

func (o *planOptions) printPlan(p change.Plan) {
	paint, out := o.Paint(), o.Streams.Out
	headline := headlines[p.Class]
	if p.Replays {
		headline = paint.Busy(headline)
	}
	fmt.Fprintf(out, "%s: %s\n", paint.Strong(cli.Safe(p.Projection)), headline)
	why := p.Why
	switch {
	case p.Active == "":
		why += fmt.Sprintf(" (revision %s)", p.Revision)
	case p.Active != p.Revision:
		why += fmt.Sprintf(" (revision %s, now %s)", p.Revision, p.Active)
	default:
		why += fmt.Sprintf(" (revision %s stays)", p.Revision)
	}
	printIndented(o.Factory, why, "  ")
	if len(p.Changes) > 0 {
		fmt.Fprintln(out, "\n  What changes")
		for _, f := range p.Changes {
			o.printField(f)
		}
	}
	if p.Reads != nil || p.Builds != "" || len(p.Then) > 0 {
		fmt.Fprintln(out, "\n  What it does")
		o.printWork(p)
	}
	o.printList("\n  Think of", p.Warnings, paint.Busy)
	o.printList("\n  Note", p.Notes, paint.Faint)
}

// effects are what the change of a field does, in a word or two.
var effects = map[change.Effect]string{
	change.EffectReplay:  "new revision",
	change.EffectPods:    "pods",
	change.EffectNothing: "no restart",
	change.EffectNone:    "the same",
}

func (o *planOptions) printField(f change.Field) {
	paint, out := o.Paint(), o.Streams.Out
	mark := "~"
	switch {
	case f.Old == nil:
		mark = "+"
	case f.New == nil:
		mark = "-"
	}
	fmt.Fprintf(out, "    %s %-54s %s\n", mark, cli.Clip(cli.Safe(f.Path), 54), paint.Faint(effects[f.Effect]))
	for _, side := range []struct {
		mark  string
		text  *string
		paint func(string) string
	}{{"-", f.Old, paint.Bad}, {"+", f.New, paint.Good}} {
		if side.text == nil {
			continue
		}
		for line := range strings.Lines(strings.TrimSuffix(*side.text, "\n")) {
			fmt.Fprintln(out, "        "+side.paint(side.mark+" "+cli.Clip(cli.Safe(strings.TrimSuffix(line, "\n")), width-10)))
		}
		if *side.text == "" {
			fmt.Fprintln(out, "        "+side.paint(side.mark+` ""`))
		}
	}
}

func (o *planOptions) printWork(p change.Plan) {
	if r := p.Reads; r != nil {
		what := fmt.Sprintf("%s of %s, from %s", cli.Safe(r.Stream), cli.Safe(r.Server), from(r.From))
		if r.Until != "" {
			what += " to " + r.Until
		}
		if r.Events != nil {
			what += fmt.Sprintf(": about %s", plural(int(*r.Events), "event"))
		}
		o.printItem("reads", what)
	}
	if p.Builds != "" {
		o.printItem("builds", cli.Safe(p.Builds))
	}
	if r := p.Reads; r != nil {
		o.printItem("takes", takes(r))
	}
	for i, step := range p.Then {
		name := "then"
		if i > 0 {
			name = ""
		}
		o.printItem(name, step)
	}
}

func from(id string) string {
	if plan.StartID(id) == "0-0" {
		return "its beginning"
	}
	return id
}

// takes says how long it takes, as far as one can say.
func takes(r *change.Reads) string {
	switch {
	case r.Seconds != nil && r.Until != "":
		return fmt.Sprintf("at most about %s, %s", change.Span(*r.Seconds), speed(r))
	case r.Seconds != nil:
		return fmt.Sprintf("about %s, %s", change.Span(*r.Seconds), speed(r))
	case r.EventsPerSecond > 0:
		return "as long as there are events, " + speed(r)
	case r.Events != nil:
		return "not known: no replay has been timed yet"
	}
	return "not known: how many events there are is not known"
}

func speed(r *change.Reads) string {
	return fmt.Sprintf("at %s events/s (%s)", cli.Count(r.EventsPerSecond), r.RateOf)
}

func (o *planOptions) printItem(name, text string) {
	for i, line := range cli.Wrap(text, width-13) {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(o.Streams.Out, "    %-7s  %s\n", name, line)
	}
}

func (o *planOptions) printList(title string, all []string, paint func(string) string) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(o.Streams.Out, title)
	for _, text := range all {
		for i, line := range cli.Wrap(text, width-6) {
			mark := "! "
			if i > 0 {
				mark = "  "
			}
			fmt.Fprintln(o.Streams.Out, "    "+paint(mark)+line)
		}
	}
}
