package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
)

func newStatus(f *cli.Factory) *cobra.Command {
	var output cli.Output
	var follow bool
	cmd := &cobra.Command{
		Use:   "status NAME",
		Short: "Show one projection: revisions, positions, pods, replay, what to do",
		Example: `  kubectl refold status user-profile
  kubectl refold status user-profile -w`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNames(f, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			if follow && output.Structured() {
				return cli.Usagef("-w and -o %s do not go together", output.String())
			}
			s, err := newSession(f)
			if err != nil {
				return err
			}
			o, err := s.get(cmd.Context(), args[0])
			switch {
			case err != nil:
				return err
			case follow:
				return s.watchStatus(cmd.Context(), o)
			}
			v := s.look(cmd.Context(), o)
			if output.Structured() {
				return output.Print(f.Streams.Out, v.forPrograms())
			}
			_, err = fmt.Fprint(f.Streams.Out, s.drawing().draw(v))
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "watch", "w", false, "go on: redraw in place, or print a block at every change where there is no terminal")
	output.AddFlag(cmd, cli.JSON, cli.YAML)
	return cmd
}

func (s *session) drawing() drawing {
	return drawing{paint: s.Paint(), columns: s.Columns(), now: s.Clock.Now(), version: s.Version}
}

// podSummary is a pod as status shows it.
type podSummary struct {
	Name     string `json:"name"`
	Revision string `json:"revision"`
	Kind     string `json:"kind"`
	State    string `json:"state"`
	Restarts int32  `json:"restarts"`
	Node     string `json:"node,omitempty"`
}

// forPrograms is the resource as it stands, and beside it what belongs to it.
func (v *view) forPrograms() map[string]any {
	pods := []podSummary{}
	for _, pod := range v.Pods {
		word, _ := podWord(pod)
		pods = append(pods, podSummary{pod.Name, pod.Labels[revisionLabel], componentOf(pod), word, restarts(pod), pod.Spec.NodeName})
	}
	return map[string]any{"projection": plain(v.Raw), "pods": pods, "projectors": v.Readings}
}

// lookEvery is how often pods and events are read again.
const lookEvery = 2 * time.Second

// watchStatus draws a Projection until it is interrupted.
func (s *session) watchStatus(ctx context.Context, o *object) error {
	w := &statusWatch{session: s, rates: newRates()}
	w.look(ctx, o)
	if s.Terminal() {
		w.screen = newScreen(s.Factory)
		defer w.screen.close()
	}
	tick := s.Clock.NewTicker(time.Second)
	defer tick.Stop()
	pictures := s.watching(ctx, s.Namespace, o.Name)
	for {
		select {
		case <-ctx.Done():
			return nil
		case p, more := <-pictures:
			if !more {
				return nil
			}
			w.take(ctx, p)
		case <-tick.C():
			w.tick(ctx)
		}
		w.show(o.path())
	}
}

// statusWatch is what status -w remembers between two drawings.
type statusWatch struct {
	*session
	screen *screen // nil where there is no terminal
	rates  *rates
	view   *view
	looked time.Time
	block  string // the last that was printed
}

func (w *statusWatch) take(ctx context.Context, p picture) {
	found := p.one()
	switch {
	case p.Err != nil:
		if w.view != nil {
			w.view.trouble = p.Err
		}
	case found == nil:
		w.view = nil
	default:
		w.look(ctx, found)
	}
}

func (w *statusWatch) tick(ctx context.Context) {
	if w.view != nil && w.view.trouble == nil && w.Since(w.looked) >= lookEvery {
		w.look(ctx, w.view.object)
	}
}

func (w *statusWatch) look(ctx context.Context, o *object) {
	next := w.session.look(ctx, o)
	w.looked = w.Clock.Now()
	w.rates.see(next, w.looked)
	w.view = next
}

// show draws in place on a terminal. Elsewhere it prints a block when something
// other than the time has changed.
func (w *statusWatch) show(path string) {
	text := path + " is deleted\n"
	if w.view != nil {
		text = w.drawing().draw(w.view)
	}
	if w.screen != nil {
		w.screen.draw(text)
		return
	}
	still := text
	if w.view != nil {
		d := w.drawing()
		d.now = w.view.CreationTimestamp.Time
		still = d.draw(w.view)
	}
	if still != w.block {
		w.block = still
		fmt.Fprintf(w.Streams.Out, "--- %s\n%s", w.Clock.Now().UTC().Format(time.RFC3339), text)
	}
}

// rates tells how fast revisions fold by what is seen of them.
type rates struct{ last map[string]mark }

type mark struct {
	events int64
	at     time.Time
	rate   float64
	known  bool
}

func newRates() *rates { return &rates{map[string]mark{}} }

// see takes down how many events the active revision has folded, and puts what
// that makes a second into the view.
func (r *rates) see(v *view, now time.Time) {
	name := v.Status.ActiveRevision
	if name == "" {
		return
	}
	last, found := r.last[name]
	next := last
	switch {
	case !found || v.Status.Events < last.events:
		next = mark{events: v.Status.Events, at: now}
	case v.Status.Events > last.events && now.After(last.at):
		rate := float64(v.Status.Events-last.events) / now.Sub(last.at).Seconds()
		next = mark{v.Status.Events, now, rate, true}
	case now.Sub(last.at) > stale:
		next = mark{v.Status.Events, now, 0, true}
	}
	r.last[name] = next
	if next.known {
		v.Rates[name] = next.rate
	}
}

// stale is after how long without an event the rate is 0: the operator writes
// progress every ten seconds.
const stale = 15 * time.Second
