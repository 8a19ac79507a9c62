package pod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/inspect/api"
)

type logOptions struct {
	asked
	output cli.Output
	key    string
	hasKey bool
	since  string
	types  []string
	limit  int
	follow bool
}

func newLog(c *commands) *cobra.Command {
	o := &logOptions{limit: usualEvents}
	cmd := &cobra.Command{
		Use:   "log NAME",
		Short: "Print the events that a Projection folds",
		Long: `Print the events that a Projection folds, readable, oldest first: the newest ones, or those
since a time. Each line names the entities that the event touches.

With -f it goes on with what comes, until it is interrupted.`,
		Example: `  kubectl refold log user-profile
  kubectl refold log user-profile --key 42 --limit 10
  kubectl refold log user-profile --since 15m --type OrderPlaced
  kubectl refold log user-profile -f`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.hasKey = cmd.Flags().Changed("key")
			if o.follow && !cmd.Flags().Changed("limit") {
				o.limit = followedEvents
			}
			return o.run(cmd.Context(), c, args[0])
		},
	}
	o.addFlags(c, cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.key, "key", "", "events that touch the entity of this key")
	flags.StringVar(&o.since, "since", "", "the first events since then, in place of the newest: a time, how long ago, or an ID")
	flags.StringArrayVar(&o.types, "type", nil, "events of this type; may be repeated")
	flags.IntVar(&o.limit, "limit", o.limit, "how many at most; 10 before what is followed")
	flags.BoolVarP(&o.follow, "follow", "f", false, "go on with what comes")
	o.output.AddFlag(cmd, cli.JSON)
	return cmd
}

const (
	usualEvents    = 100
	followedEvents = 10
	mostEvents     = 100_000 // of one answer
)

func (o *logOptions) run(ctx context.Context, c *commands, name string) error {
	if o.limit < 1 || o.limit > mostEvents {
		return cli.Usagef("--limit: %d is no number from 1 to %d", o.limit, mostEvents)
	}
	since, err := o.start(c)
	if err != nil {
		return err
	}
	s, err := c.ask(ctx, name, o.asked)
	if err != nil {
		return err
	}
	defer s.close()
	l := &logging{session: s, options: o, oneLine: s.columns == 0 || s.columns >= oneLineFrom}
	if o.output.Structured() {
		l.encoder = json.NewEncoder(s.structured())
	}
	err = l.run(ctx, since)
	if o.follow && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // that is how following ends
	}
	return err
}

// start is --since as the API takes it.
func (o *logOptions) start(c *commands) (string, error) {
	if o.since == "" {
		return "", nil
	}
	if _, err := projector.ParseStart(o.since); err == nil {
		return o.since, nil
	}
	return parseTime(c.Clock, "--since", o.since)
}

// query is what all requests have in common.
func (l *logging) query() url.Values {
	q := url.Values{}
	if l.options.hasKey {
		q.Set("key", l.options.key)
	}
	if len(l.options.types) > 0 {
		q["type"] = l.options.types
	}
	return q
}

// logging prints events.
type logging struct {
	*session
	options *logOptions
	oneLine bool
	encoder *json.Encoder // for programs
	last    projector.ID  // that was printed
}

func (l *logging) run(ctx context.Context, since string) error {
	var end api.End
	var err error
	switch {
	case l.options.follow && since != "":
		return l.followed(ctx, since)
	case since != "":
		q := l.query()
		q.Set("from", since)
		q.Set("limit", strconv.Itoa(l.options.limit))
		if end, err = l.lines(ctx, api.LogPath, q, l.line); err == nil && end.More {
			l.note("there are more: --since %s goes on, and --limit allows more at once", l.last.Next())
		}
	default:
		end, err = l.newest(ctx)
	}
	if err == nil && l.options.follow {
		return l.followed(ctx, l.last.Next().String())
	}
	if err == nil && end.Lines == 0 {
		fmt.Fprintln(l.Streams.ErrOut, "There are no such events.")
	}
	if err == nil {
		l.finish(end)
	}
	return err
}

// newest prints the newest events, the oldest of them first. Where it goes on to
// follow, that begins after what the log held before it was read.
func (l *logging) newest(ctx context.Context) (api.End, error) {
	if l.options.follow {
		info, err := l.info(ctx)
		if err != nil {
			return api.End{}, err
		}
		if id, err := projector.ParseID(info.Log.LastID); err == nil {
			l.last = id
		}
	}
	q := l.query()
	q.Set("reverse", "true")
	q.Set("limit", strconv.Itoa(l.options.limit))
	var events []api.Line
	end, err := l.lines(ctx, api.LogPath, q, func(line api.Line) error {
		events = append(events, line)
		return nil
	})
	if err != nil {
		return end, err
	}
	if end.More && !l.options.follow {
		l.note("these are the newest %s: --limit and --since show others", plural(len(events), "event", "events"))
	}
	for _, line := range slices.Backward(events) {
		if err := l.line(line); err != nil {
			return end, err
		}
	}
	return end, nil
}

func (l *logging) followed(ctx context.Context, from string) error {
	q := l.query()
	q.Set("follow", "true")
	q.Set("from", from)
	l.bar.on = false // there is no end to come nearer to
	_, err := l.lines(ctx, api.LogPath, q, l.line)
	var told *cli.Error
	if errors.As(err, &told) && l.last != (projector.ID{}) {
		return cli.Failf("%s", told.Message).WithHint("%s -f --since %s goes on", l.command("log"), l.last.Next())
	}
	return err
}

func (l *logging) line(line api.Line) error {
	e := line.Event
	if e == nil {
		return nil
	}
	if id, err := projector.ParseID(e.ID); err == nil && id.Compare(l.last) > 0 {
		l.last = id
	}
	if l.encoder != nil {
		return l.encoder.Encode(e)
	}
	_, err := io.WriteString(l.out, l.event(e))
	return err
}

// oneLineFrom is how wide a terminal must be for an event to have but one line.
const oneLineFrom = 120

// event is one or two lines: when and what it is, and what is in it.
func (l *logging) event(e *api.Event) string {
	typ := l.typeOf(e.Type)
	if !l.oneLine {
		head := fmt.Sprintf("%s  %s  %s  %s", when(e.Time), e.ID, l.Strong(typ), l.keys(e))
		fate := l.fate(e)
		return strings.TrimRight(head, " ") + "\n    " + fate + l.content(e, l.room(len("    ")+cli.Width(fate))) + "\n"
	}
	head := pad(fmt.Sprintf("%s  %-20s  %s  %s", when(e.Time), e.ID, pad(l.Strong(typ), typeWidth), l.keys(e)), oneLineHead) + "  " + l.fate(e)
	return head + l.content(e, l.room(cli.Width(head))) + "\n"
}

// oneLineHead is how wide what stands before the content is, at least.
const (
	typeWidth   = 16
	oneLineHead = 24 + 2 + 20 + 2 + typeWidth + 2 + 10
)

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-cli.Width(text)))
}

func (l *logging) typeOf(typ api.Text) string {
	if typ == "" {
		return "(no type)"
	}
	return l.value(typ, mostType)
}

const (
	mostType = 40
	mostKey  = 60
	mostKeys = 5
)

// fate says why an event touches nothing.
func (l *logging) fate(e *api.Event) string {
	switch {
	case e.Problem != "":
		return l.Bad("(cannot be folded: "+safe(e.Problem)+")") + " "
	case e.Skipped != "":
		return l.Faint("(skipped: "+safe(e.Skipped)+")") + " "
	}
	return ""
}

// keys are the entities that an event touches.
func (l *logging) keys(e *api.Event) string {
	var all []string
	for _, key := range e.Keys {
		if len(all) == mostKeys && !l.full {
			l.cut++
			all = append(all, "…")
			break
		}
		all = append(all, l.value(key, mostKey))
	}
	return strings.Join(all, ",")
}

// content is what is in an event, as name=value, or the document.
func (l *logging) content(e *api.Event, room int) string {
	var parts []string
	for _, f := range e.Fields {
		if string(f.Name) == l.typeField() && f.Value == e.Type {
			continue // it stands before
		}
		parts = append(parts, shownOrCut(l, string(f.Name), room)+"="+word(l, string(f.Value), room))
	}
	if len(e.Document) > 0 {
		parts = append(parts, shownOrCut(l, string(e.Document), room))
	}
	text := strings.Join(parts, " ")
	if !l.full && cli.Width(text) > room {
		l.cut++
		return cli.Clip(text, room)
	}
	return text
}

func (l *logging) typeField() string {
	if name := l.projection.Spec.Source.TypeField; name != "" {
		return string(name)
	}
	return "type"
}

// word is a value that stands among others: one with a space is in quotes.
func word(l *logging, text string, room int) string {
	if strings.Contains(text, " ") && isPlain(text) {
		text = strconv.Quote(text)
		if l.full {
			return text
		}
		return cli.Clip(text, room+1)
	}
	return shownOrCut(l, text, room)
}

// shownOrCut bounds what is built of large values: the line is cut later.
func shownOrCut(l *logging, text string, room int) string {
	if l.full {
		return shown(text)
	}
	out, whole := begin(text, room+1)
	if !whole {
		return out + " "
	}
	return out
}
