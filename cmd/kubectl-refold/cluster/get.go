package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
)

type getOptions struct {
	all, watch bool
	output     cli.Output
}

func newGet(f *cli.Factory) *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get [NAME…]",
		Short: "List projections: health, position, lag, replay",
		Example: `  kubectl refold get -A
  kubectl refold get user-profile -w`,
		ValidArgsFunction: completeMany(f),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := o.check(names); err != nil {
				return err
			}
			s, err := newSession(f)
			if err != nil {
				return err
			}
			if o.all {
				s.Namespace = ""
			}
			if o.watch {
				return s.watchTable(cmd.Context(), o, names)
			}
			return s.printOnce(cmd.Context(), o, names)
		},
	}
	cmd.Flags().BoolVarP(&o.all, "all-namespaces", "A", false, "of all namespaces")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "go on: redraw at every change, or print a line for each where there is no terminal")
	o.output.AddFlag(cmd, cli.JSON, cli.YAML, cli.Name, cli.Wide)
	return cmd
}

func (o *getOptions) check(names []string) error {
	switch {
	case o.all && len(names) > 0:
		return cli.Usagef("-A and a name do not go together: a name stands in one namespace")
	case o.watch && o.output.Structured():
		return cli.Usagef("-w and -o %s do not go together: kubectl get projections -w -o %s does that", o.output.String(), o.output.String())
	}
	return nil
}

func completeMany(f *cli.Factory) cobra.CompletionFunc {
	first := completeNames(f, nil)
	return func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return first(cmd, nil, prefix)
	}
}

func (s *session) printOnce(ctx context.Context, o getOptions, names []string) error {
	objects, err := s.read(ctx, names)
	if err != nil {
		return err
	}
	switch {
	case o.output.Structured():
		return o.output.Print(s.Streams.Out, forPrograms(objects, names))
	case o.output.Is(cli.Name):
		for _, found := range objects {
			fmt.Fprintf(s.Streams.Out, "projection.refold.dev/%s\n", found.Name)
		}
		return nil
	case len(objects) == 0:
		fmt.Fprintln(s.Streams.ErrOut, s.nothing())
		return nil
	}
	return s.table(objects, o.output.Is(cli.Wide)).Print(s.Streams.Out, s.room(o))
}

// room is how wide a table may be: wide is as wide as it comes.
func (s *session) room(o getOptions) int {
	if o.output.Is(cli.Wide) {
		return 0
	}
	return s.Columns()
}

func (s *session) nothing() string {
	if s.Namespace == "" {
		return "There are no Projections."
	}
	return fmt.Sprintf("There are no Projections in namespace %s.", s.Namespace)
}

// read reads the Projections of these names, or all of the namespace.
func (s *session) read(ctx context.Context, names []string) ([]*object, error) {
	var out []*object
	for _, name := range names {
		o, err := s.get(ctx, name)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	if len(names) > 0 {
		return out, nil
	}
	list := newUnstructuredList()
	if err := s.Client.List(ctx, list, client.InNamespace(s.Namespace)); err != nil {
		return nil, s.Explain(s.asking("list"), err)
	}
	for i := range list.Items {
		o, err := newObject(&list.Items[i])
		if err != nil {
			fmt.Fprintln(s.Streams.ErrOut, "warning:", cli.Safe(err.Error()))
			continue
		}
		out = append(out, o)
	}
	return out, nil
}

// forPrograms is one object where one was asked for, else a List, as of kubectl.
func forPrograms(objects []*object, names []string) any {
	if len(names) == 1 {
		return plain(objects[0].Raw)
	}
	items := []any{}
	for _, o := range objects {
		items = append(items, plain(o.Raw))
	}
	return map[string]any{"apiVersion": "v1", "kind": "List", "items": items}
}

// plain is an object without the book-keeping of field managers.
func plain(u *unstructured.Unstructured) map[string]any {
	out := u.DeepCopy()
	out.SetManagedFields(nil)
	return out.Object
}

func (s *session) table(objects []*object, wide bool) cli.Table {
	out := cli.Table{Columns: []cli.Column{
		{Name: "NAMESPACE", Spare: 0}, {Name: "NAME"}, {Name: "READY"}, {Name: "ACTIVE", Spare: 2},
		{Name: "LAG", Right: true}, {Name: "POSITION", Spare: 4}, {Name: "REPLAY", Spare: 1}, {Name: "REASON"}, {Name: "AGE", Spare: 3},
		{Name: "STREAM", Spare: 5}, {Name: "READ MODEL", Spare: 5},
	}}
	if s.Namespace != "" {
		out.Columns[0].Spare = 9
	}
	for _, o := range objects {
		row := s.row(o)
		if s.Namespace != "" {
			row[0] = ""
		}
		if !wide {
			row[9], row[10] = "", ""
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

func (s *session) row(o *object) []string {
	ready := "Unknown"
	if c := o.condition("Ready"); c != nil {
		ready = string(c.Status)
	}
	lag := "?"
	if o.Status.LagEvents != nil {
		lag = cli.Count(*o.Status.LagEvents)
	}
	return []string{
		o.Namespace, o.Name, s.tint(o, ready), cli.Safe(o.Status.ActiveRevision), lag, cli.Safe(o.Status.LastAckedID),
		replayCell(o), s.tint(o, cli.Safe(o.reason())), age(s.Clock.Now(), o.CreationTimestamp.Time),
		cli.Safe(o.Spec.Source.Stream), cli.Safe(o.Spec.ReadModel.RedisHash.KeyPrefix),
	}
}

// tint colours text as things stand.
func (s *session) tint(o *object, text string) string {
	p := s.Paint()
	switch o.standing() {
	case "Ready":
		return p.Good(text)
	case "Stalled":
		return p.Bad(text)
	}
	return p.Busy(text)
}

// replayCell says how far a replay is: "42 %, 3m" or the state it is in.
func replayCell(o *object) string {
	candidates := o.candidates()
	if len(candidates) == 0 {
		return ""
	}
	r := candidates[0]
	if r.State != "Building" || r.Progress == nil || r.Progress.Percent == nil {
		return cli.Safe(string(r.State))
	}
	text := fmt.Sprintf("%d %%", *r.Progress.Percent)
	if r.Progress.EtaSeconds != nil && *r.Progress.Percent < 100 {
		text += ", " + duration.HumanDuration(time.Duration(*r.Progress.EtaSeconds)*time.Second)
	}
	return text
}

// watchTable redraws the table on a terminal; else it prints a line for each
// change.
func (s *session) watchTable(ctx context.Context, o getOptions, names []string) error {
	if _, err := s.read(ctx, names); err != nil {
		return err
	}
	if !s.Terminal() {
		return s.lines(ctx, o, names)
	}
	view := newScreen(s.Factory)
	defer view.close()
	tick := s.Clock.NewTicker(time.Second)
	defer tick.Stop()
	pictures := s.watching(ctx, s.Namespace, names...)
	var last *picture // nil: there is nothing to show yet
	for {
		select {
		case <-ctx.Done():
			return nil
		case next, more := <-pictures:
			if !more {
				return nil
			}
			last = &next
		case <-tick.C():
		}
		if last != nil {
			view.draw(s.drawTable(*last, o))
		}
	}
}

func (s *session) drawTable(p picture, o getOptions) string {
	var out strings.Builder
	objects := p.sorted()
	if len(objects) == 0 && p.Err == nil {
		fmt.Fprintln(&out, s.nothing())
	} else {
		_ = s.table(objects, o.output.Is(cli.Wide)).Print(&out, s.room(o)) // a Builder does not fail
	}
	out.WriteString(s.trouble(p.Err))
	return out.String()
}

// trouble says that what is shown is old.
func (s *session) trouble(err error) string {
	if err == nil {
		return ""
	}
	return s.Paint().Bad("what is above may be old: "+cli.Safe(err.Error())+"; trying again") + "\n"
}

// lines prints a row when it is not the one that was printed last.
func (s *session) lines(ctx context.Context, o getOptions, names []string) error {
	printed := map[string]string{}
	troubled := ""
	header := true
	for p := range s.watching(ctx, s.Namespace, names...) {
		if p.Err != nil && p.Err.Error() != troubled {
			troubled = p.Err.Error()
			fmt.Fprintln(s.Streams.ErrOut, "warning:", cli.Safe(troubled)+"; trying again")
		}
		if p.Err == nil {
			troubled = ""
		}
		table := s.table(p.sorted(), o.output.Is(cli.Wide)).Fixed()
		if header && table.Len() > 0 {
			fmt.Fprintln(s.Streams.Out, table.Header())
			header = false
		}
		for i, found := range p.sorted() {
			line, text := table.Row(i), strings.Join(s.row(found)[:8], "\x00")
			if printed[found.path()] != text {
				printed[found.path()] = text
				fmt.Fprintln(s.Streams.Out, line)
			}
		}
		for path := range printed {
			if !p.has(path) {
				delete(printed, path)
				fmt.Fprintln(s.Streams.Out, path+" is deleted")
			}
		}
	}
	return nil
}
