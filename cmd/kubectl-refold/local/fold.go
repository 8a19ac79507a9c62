package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/lint"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/manifest"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/rebuild"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

const csvFormat = "csv"

type foldOptions struct {
	*cli.Factory
	sources
	server
	registry projector.Registry
	output   cli.Output
	name     string
	key      string
	hasKey   bool
	from     string
	until    string
	memory   string

	fields []contract.Field
}

func newFold(f *cli.Factory, registry projector.Registry) *cobra.Command {
	o := &foldOptions{Factory: f, registry: registry}
	cmd := &cobra.Command{
		Use:   "fold -f FILE [--redis URL]",
		Short: "Fold a stream with a manifest's reducer on this machine, and print the state",
		Long: `Read the stream that a manifest names, fold it in memory with the manifest's
reducer, and print the entities: as YAML, or as -o says. No cluster is needed, nothing
is written anywhere, and the stream is read as a projector reads it.

It ends at --until, else at source.until, else at the entry that is the last one when
it begins. A stream that has lost its beginning is refused unless --from says where to
begin.`,
		Example: `  kubectl refold fold -f user-profile.yaml --redis redis://localhost:6379/0
  kubectl refold fold -f user-profile.yaml --key 42 --until 2026-11-01T00:00:00Z
  kubectl refold fold -f user-profile.yaml -o csv > users.csv`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.hasKey = cmd.Flags().Changed("key")
			return o.run(cmd.Context())
		},
	}
	o.sources.addFlags(cmd)
	o.server.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "the Projection that is meant, of several")
	flags.StringVar(&o.key, "key", "", "fold the entity of this key alone")
	flags.StringVar(&o.from, "from", "", "a stream ID or an RFC 3339 time to begin at, in place of source.from")
	flags.StringVar(&o.until, "until", "", "a stream ID or an RFC 3339 time to end at, inclusive")
	flags.StringVar(&o.memory, "max-memory", "1Gi", "give up when the entities take more memory than this")
	o.output.AddFlag(cmd, cli.JSON, cli.YAML, csvFormat)
	return cmd
}

func (o *foldOptions) run(ctx context.Context) error {
	request, err := o.request(ctx)
	if err != nil {
		return err
	}
	client, err := o.client(request.Document.Source.Redis.URL)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	bar := newBar(o.Factory)
	request.Progress = bar.fold
	began := time.Now()
	result, err := rebuild.Run(ctx, client, request)
	bar.clear()
	if err != nil {
		return o.failed(ctx, err)
	}
	o.say(result, time.Since(began))
	return o.print(request, result)
}

// request is what the flags and the manifest ask for.
func (o *foldOptions) request(ctx context.Context) (rebuild.Request, error) {
	r := rebuild.Request{Registry: o.registry}
	memory, err := resource.ParseQuantity(o.memory)
	if err != nil || memory.Sign() <= 0 {
		return r, cli.Usagef("--max-memory: %q is no amount of memory: write it as in 512Mi", o.memory)
	}
	r.Memory = memory.Value()
	if o.until != "" {
		id, err := projector.ParseEnd(o.until)
		if err != nil {
			return r, cli.Usagef("--until: %v", err)
		}
		r.Until = &id
	}
	if o.hasKey {
		r.Key = &o.key
	}
	p, err := o.projection(ctx)
	if err != nil {
		return r, err
	}
	r.Document = resources.Document(p)
	for _, f := range p.Spec.ReadModel.Fields { // in the order of the manifest
		o.fields = append(o.fields, contract.Field{Name: string(f.Name), Type: string(f.Type)})
	}
	if o.from != "" {
		if _, err := projector.ParseStart(o.from); err != nil {
			return r, cli.Usagef("--from: %v", err)
		}
		r.Document.Source.From = o.from
	}
	return r, nil
}

// projection is the one that is meant.
func (o *foldOptions) projection(ctx context.Context) (*v1alpha1.Projection, error) {
	documents, problems, err := o.read(o.Factory)
	if err != nil {
		return nil, err
	}
	d, err := one(documents, problems, o.name, o.sources.String())
	if err != nil {
		return nil, err
	}
	if err := sound(ctx, o.registry, d); err != nil {
		return nil, err
	}
	return d.Projection()
}

// failed says what has ended the fold, and what to do.
func (o *foldOptions) failed(ctx context.Context, err error) error {
	var large *rebuild.TooLarge
	f := fault.As(err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &large):
		return cli.Failf("at the event %s the entities, %s by now, take more memory than the %s of --max-memory", large.Position, cli.Count(int64(large.Entities)), o.memory).
			WithHint("--key folds one entity alone, --until ends earlier, and --max-memory allows more")
	case f == nil:
		return err
	case f.Reason == contract.ReasonHistoryLost:
		message := "the stream has lost its beginning: " + f.Message
		return cli.Failf("%s", message).WithHint("%s", fromHint(f.Remedy))
	case f.Reason == contract.ReasonFromAfterEnd:
		return cli.Failf("there is nothing to fold: %s", f.Message).WithHint("--from says where else to begin")
	case f.EventID != "":
		id, _ := projector.ParseID(f.EventID)
		out := cli.Failf("event %s cannot be folded: %s", f.EventID, f.Message)
		return out.WithHint("%s. The state before it: --until %s", f.Remedy, before(id))
	}
	return serverError(err)
}

// before is how --until says all that is before an ID.
func before(id projector.ID) string {
	if id.Seq == 0 && id.Ms > 0 {
		return strconv.FormatUint(id.Ms-1, 10)
	}
	return id.Prev().String()
}

// fromHint takes the ID to begin at out of the words that are for a manifest.
func fromHint(remedy string) string {
	if _, rest, found := strings.Cut(remedy, `source.from: "`); found {
		if id, _, closed := strings.Cut(rest, `"`); closed {
			return fmt.Sprintf("--from %s folds what is left; entities then lack what is gone", id)
		}
	}
	return remedy
}

// say tells on stderr what was folded: the state alone does not tell how old it is.
func (o *foldOptions) say(r *rebuild.Result, took time.Duration) {
	if r.History == contract.HistoryUnknown {
		fmt.Fprintln(o.Streams.ErrOut, "note: this server is too old to say whether the stream is whole")
	}
	if r.Events == 0 {
		fmt.Fprintln(o.Streams.ErrOut, "no event lies in that range")
		return
	}
	skipped := ""
	if r.Skipped > 0 {
		skipped = fmt.Sprintf(" (%s skipped)", cli.Count(r.Skipped))
	}
	fmt.Fprintf(o.Streams.ErrOut, "folded %s%s up to %s (%s), in %s\n", plural(int(r.Events), "event"), skipped,
		r.Position, time.UnixMilli(int64(r.Position.Ms)).UTC().Format(time.RFC3339), took.Round(10*time.Millisecond))
}

func (o *foldOptions) print(request rebuild.Request, r *rebuild.Result) error {
	keys := r.Fold.Keys()
	if request.Key != nil && len(keys) == 0 {
		if r.Deleted.Ms > 0 {
			return cli.Failf("there is no entity %q: event %s deleted it", o.key, r.Deleted).WithHint("its state before that: --until %s", before(r.Deleted))
		}
		return cli.Failf("there is no entity %q: no event up to %s has made one", o.key, r.Position)
	}
	table := rebuild.Table{Fields: o.fields, Keys: keys, State: r.Fold.State}
	switch {
	case o.output.Is(cli.JSON):
		return table.JSON(o.Streams.Out)
	case o.output.Is(csvFormat):
		return table.CSV(o.Streams.Out)
	}
	return table.YAML(o.Streams.Out)
}

// one is the Projection that is meant; name may be left out where there is but one.
func one(documents []*manifest.Document, problems []*manifest.Problem, name, where string) (*manifest.Document, error) {
	if len(problems) > 0 {
		return nil, problems[0]
	}
	var found []*manifest.Document
	var names []string
	for _, d := range documents {
		if !d.IsProjection() {
			continue
		}
		names = append(names, d.Name())
		if name == "" || d.Name() == name || strings.HasSuffix(d.Name(), "/"+name) {
			found = append(found, d)
		}
	}
	switch {
	case len(names) == 0:
		return nil, cli.Failf("there is no Projection in %s", where)
	case len(found) == 0:
		return nil, cli.Failf("%s has no Projection %q: there are %s", where, name, strings.Join(names, ", "))
	case len(found) > 1:
		return nil, cli.Failf("%s has several Projections: say by name which one is meant, of %s", where, strings.Join(names, ", "))
	}
	return found[0], nil
}

// sound refuses a manifest that would be refused.
func sound(ctx context.Context, registry projector.Registry, d *manifest.Document) error {
	linter, err := lint.New(registry)
	if err != nil {
		return err
	}
	var wrong []string
	for _, f := range linter.Document(ctx, d) {
		if f.Severity == lint.Error {
			at := manifest.Position{File: f.File, Line: f.Line, Column: f.Column}
			wrong = append(wrong, strings.TrimSuffix(fmt.Sprintf("%s: %s: %s", at, f.Path, f.Message), ": "))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	out := cli.Failf("%s", wrong[0])
	if len(wrong) > 1 {
		_ = out.WithHint("and %s more; kubectl refold lint has all", plural(len(wrong)-1, "error"))
	}
	return out
}

// bar is a line of progress on a terminal's stderr, for what takes over a second.
type bar struct {
	out   io.Writer // nil: nobody looks
	began time.Time
	shown bool
}

func newBar(f *cli.Factory) *bar {
	b := &bar{began: time.Now()}
	if file, ok := f.Streams.ErrOut.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		b.out = file
	}
	return b
}

const barWidth = 24

func (b *bar) fold(p rebuild.Progress) {
	took := time.Since(b.began)
	if b.out == nil || took < time.Second {
		return
	}
	b.shown = true
	rate := float64(p.Events) / took.Seconds()
	line := fmt.Sprintf("%s events, %s/s, %s entities", cli.Count(p.Events), cli.Count(int64(rate)), cli.Count(int64(p.Entities)))
	if p.Total > 0 {
		percent := min(float64(p.Events)/float64(p.Total)*100, 100)
		left := time.Duration(float64(p.Total-p.Events) / rate * float64(time.Second))
		line = fmt.Sprintf("%s %3.0f %%  %s, %s left", cli.Bar(percent, barWidth), percent, line, max(left, 0).Round(time.Second))
	}
	fmt.Fprintf(b.out, "\r\x1b[K%s", cli.Clip(line, width-1))
}

func (b *bar) clear() {
	if b.shown {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
}
