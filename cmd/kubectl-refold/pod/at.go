package pod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/inspect/api"
)

type atOptions struct {
	asked
	output     cli.Output
	time, id   string
	key        string
	hasKey     bool
	prefix     string
	file       string
	incomplete bool
}

func newAt(c *commands) *cobra.Command {
	o := &atOptions{}
	cmd := &cobra.Command{
		Use:   "at NAME (--time T | --id ID)",
		Short: "Print what the read model was at a time, or after an event",
		Long: `Print what the read model was at a time, or after an event: one entity with --key, else
all. The projector folds the log again up to then, in memory; readers notice nothing.

One entity is printed for people unless -o says otherwise, all of them as YAML. Files are
written whole or not at all, in the format of -o or else of the file's name.`,
		Example: `  kubectl refold at user-profile --key 42 --time 2026-11-17T09:00:00Z
  kubectl refold at user-profile --key 42 --time 90m
  kubectl refold at user-profile --id 1795412031120-356 --file users.csv`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := exclusive(cmd, "time", "id", "key", "prefix"); err != nil {
				return err
			}
			o.hasKey = cmd.Flags().Changed("key")
			return o.run(cmd.Context(), c, args[0])
		},
	}
	o.addFlags(c, cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.time, "time", "", "an RFC 3339 time, or how long ago, as 90m")
	flags.StringVar(&o.id, "id", "", "the ID of an event, which is included")
	flags.StringVar(&o.key, "key", "", "the entity of this key alone")
	flags.StringVar(&o.prefix, "prefix", "", "entities whose keys begin so")
	flags.StringVar(&o.file, "file", "", "write to this file")
	flags.BoolVar(&o.incomplete, "incomplete", false, "fold what is left of a log that has lost its beginning")
	o.output.AddFlag(cmd, cli.JSON, cli.YAML, csvFormat)
	return cmd
}

func (o *atOptions) run(ctx context.Context, c *commands, name string) error {
	at, err := o.moment(c.Clock)
	if err != nil {
		return err
	}
	if err := o.byName(); err != nil {
		return err
	}
	s, err := c.ask(ctx, name, o.asked)
	if err != nil {
		return err
	}
	defer s.close()
	if o.hasKey {
		return o.one(ctx, s, at)
	}
	return o.all(ctx, s, at)
}

// moment is what --time or --id say, as the API takes it.
func (o *atOptions) moment(clock clock.PassiveClock) (string, error) {
	switch {
	case o.time != "":
		return parseTime(clock, "--time", o.time)
	case o.id != "":
		if _, err := projector.ParseEnd(o.id); err != nil {
			return "", cli.Usagef("--id: %v", err)
		}
		return o.id, nil
	}
	return "", cli.Usagef("say when: --time or --id").WithHint("see kubectl refold at --help")
}

// parseTime reads a time, or how long ago it was.
func parseTime(clock clock.PassiveClock, flag, text string) (string, error) {
	if _, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return text, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return clock.Now().Add(-ago).UTC().Format("2006-01-02T15:04:05.000Z07:00"), nil
	}
	return "", cli.Usagef("%s: %q is neither an RFC 3339 time, as %s, nor how long ago, as 90m", flag, text, clock.Now().UTC().Format(time.RFC3339))
}

// byName takes the format from the file's name where -o does not say it.
func (o *atOptions) byName() error {
	if o.file == "" || o.output.String() != "" {
		return nil
	}
	switch filepath.Ext(o.file) {
	case ".json":
		return o.output.Set(cli.JSON)
	case ".yaml", ".yml":
		return o.output.Set(cli.YAML)
	case ".csv":
		return o.output.Set(csvFormat)
	}
	return cli.Usagef("--file: the name %q does not end in .json, .yaml or .csv", o.file).WithHint("-o says which format it is to be")
}

func (o *atOptions) query(at string) url.Values {
	q := url.Values{"at": {at}}
	if o.incomplete {
		q.Set("incomplete", "true")
	}
	return q
}

// one prints one entity.
func (o *atOptions) one(ctx context.Context, s *session, at string) error {
	var e api.Entity
	end, err := s.lines(ctx, api.EntityPath(o.key, api.State), o.query(at), func(line api.Line) error {
		if line.Entity != nil {
			e = *line.Entity
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !e.Exists {
		return s.gone(e)
	}
	if o.output.String() == "" {
		s.entity(e)
		s.finish(end)
		return nil
	}
	return o.write(ctx, s, func(w entityWriter) (api.End, error) { return end, w.entity(e) })
}

// gone says that an entity was not there, and when it was there last.
func (s *session) gone(e api.Entity) error {
	out := cli.Failf("there was no entity %s then: event %s had deleted it", strconv.Quote(string(e.Key)), e.Changed)
	if id, err := projector.ParseID(e.Changed); err == nil {
		return out.WithHint("what it was before: --id %s", before(id))
	}
	return out
}

// before is how --id says all that is before an ID.
func before(id projector.ID) string {
	if id.Seq == 0 && id.Ms > 0 {
		return strconv.FormatUint(id.Ms-1, 10)
	}
	return id.Prev().String()
}

// entity prints one for people.
func (s *session) entity(e api.Entity) {
	fmt.Fprintf(s.out, "%s as of %s\n", s.heading(e.Key), s.position(e.Position))
	s.fields(e.Fields)
	if e.Changed != "" {
		fmt.Fprintln(s.out, s.Faint("last touched by event "+e.Changed))
	}
}

// heading names an entity.
func (s *session) heading(key api.Text) string {
	return s.Strong(s.name() + " " + s.value(key, unbound))
}

// position is an ID with its time.
func (s *session) position(text string) string {
	id, err := projector.ParseID(text)
	if err != nil {
		return safe(text)
	}
	return fmt.Sprintf("%s (%s)", text, when(time.UnixMilli(int64(id.Ms))))
}

// fields prints what is set.
func (s *session) fields(fields map[string]api.Text) {
	if len(fields) == 0 {
		fmt.Fprintln(s.out, "  (no field is set: to readers it is not there)")
	}
	names := s.order(slices.Collect(maps.Keys(fields)))
	width := widest(names)
	for _, name := range names {
		fmt.Fprintf(s.out, "  %-*s  %s\n", width, safe(name), s.value(fields[name], s.room(width+4)))
	}
}

func widest(names []string) (width int) {
	for _, name := range names {
		width = max(width, cli.Width(safe(name)))
	}
	return width
}

// all writes all entities.
func (o *atOptions) all(ctx context.Context, s *session, at string) error {
	if o.output.String() == "" {
		if err := o.output.Set(cli.YAML); err != nil {
			return err
		}
	}
	written := int64(0)
	position := at
	err := o.write(ctx, s, func(w entityWriter) (api.End, error) {
		scan := &states{session: s, query: o.query(at), prefix: o.prefix}
		end, err := scan.run(ctx, func(e api.Entity) error {
			written++
			return w.entity(e)
		})
		position = end.Position
		return end, err
	})
	if err != nil {
		return err
	}
	if o.file != "" {
		fmt.Fprintf(s.Streams.ErrOut, "%s as of %s written to %s\n", plural(int(written), "entity", "entities"), s.position(position), o.file)
	}
	return nil
}

// write gives a writer to where the entities go. A file is there whole or as it was.
func (o *atOptions) write(ctx context.Context, s *session, write func(entityWriter) (api.End, error)) error {
	info, err := s.info(ctx)
	if err != nil {
		return err
	}
	out, done, err := o.open(s)
	if err != nil {
		return err
	}
	w := newEntityWriter(o.output.String(), out, s.typed(info.Fields))
	end, err := write(w)
	if err == nil {
		err = w.end()
	}
	if err := done(err); err != nil {
		return err
	}
	s.finish(end)
	return nil
}

// open opens where the results go. done puts a file in its place, if all went well.
func (o *atOptions) open(s *session) (out io.Writer, done func(error) error, err error) {
	if o.file == "" {
		return s.structured(), func(err error) error { return err }, nil
	}
	file, err := os.CreateTemp(filepath.Dir(o.file), "."+filepath.Base(o.file)+"-*")
	if err != nil {
		return nil, nil, cli.Failf("--file: %v", err)
	}
	return file, func(err error) error {
		err = errors.Join(err, file.Close())
		if err == nil {
			err = os.Rename(file.Name(), o.file)
		}
		if err != nil {
			_ = os.Remove(file.Name())
		}
		return err
	}, nil
}

// states asks for all entities, in as many parts as the projector has memory for:
// of a part that is too large it asks for the halves.
type states struct {
	*session
	query  url.Values
	prefix string
}

type part struct{ n, of int } // the n-th, from 0 on

// mostParts is where it is given up.
const mostParts = 4096

func (s *states) run(ctx context.Context, each func(api.Entity) error) (end api.End, err error) {
	if s.prefix != "" {
		s.query.Set("prefix", s.prefix)
	}
	for todo := []part{{0, 1}}; len(todo) > 0; {
		p := todo[0]
		todo = todo[1:]
		end, err = s.one(ctx, p, each)
		var said api.Error
		switch {
		case errors.As(err, &said) && said.Reason == api.ReasonTooLarge && p.of < mostParts:
			if err := s.pin(ctx, p); err != nil {
				return end, err
			}
			todo = append([]part{{p.n, 2 * p.of}, {p.n + p.of, 2 * p.of}}, todo...)
		case err != nil:
			return end, err
		}
	}
	return end, nil
}

func (s *states) one(ctx context.Context, p part, each func(api.Entity) error) (api.End, error) {
	if p.of > 1 {
		s.query.Set("part", fmt.Sprintf("%d/%d", p.n+1, p.of))
		s.bar.prefix = fmt.Sprintf("part %d of %d  ", p.n+1, p.of)
	}
	return s.lines(ctx, api.StatesPath, s.query, func(line api.Line) error {
		if line.Entity == nil {
			return nil
		}
		return each(*line.Entity)
	})
}

// pin has all parts be as of one event, also when the time that was asked for has
// not quite come.
func (s *states) pin(ctx context.Context, p part) error {
	if p.of > 1 {
		return nil
	}
	info, err := s.info(ctx)
	if err != nil {
		return err
	}
	at, err1 := projector.ParseEnd(s.query.Get("at"))
	last, err2 := projector.ParseID(info.Log.LastID)
	if err1 == nil && err2 == nil && last.Compare(at) < 0 {
		s.query.Set("at", last.String())
	}
	return nil
}

// typed are fields with their kinds, in the order of the manifest.
func (t *target) typed(fields []field) []field {
	kinds := map[string]string{}
	var names []string
	for _, f := range fields {
		kinds[f.Name] = f.Type
		names = append(names, f.Name)
	}
	out := make([]field, 0, len(names))
	for _, name := range t.order(names) {
		out = append(out, field{Name: name, Type: kinds[name]})
	}
	return out
}
