package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
)

// waitOptions are the flags that follow an edit to its end.
type waitOptions struct {
	wait    bool
	timeout time.Duration
}

func (o *waitOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.wait, "wait", false, "follow to the end; exit code 1 if it ends badly")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "with --wait: give up after so long, 0 for never; the edit stays")
}

func (o *waitOptions) check() error {
	switch {
	case o.timeout < 0:
		return cli.Usagef("--timeout is a time that passes, not %s", o.timeout)
	case o.timeout > 0 && !o.wait:
		return cli.Usagef("--timeout goes with --wait: without it there is nothing to give up")
	}
	return nil
}

var errTimeout = errors.New("timeout")

// bound is a context that ends when the time is over: all that is asked of the
// API server counts.
func (o *waitOptions) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, o.timeout, errTimeout)
}

func timedOut(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errTimeout) }

// unanswered is for an edit that has not come back in time.
func (s *session) unanswered(o waitOptions, name string) error {
	return cli.Failf("the API server at %s has not answered within %s", s.Server, o.timeout).
		WithHint("whether the edit was made is not known: see kubectl refold status -n %s %s", s.Namespace, name)
}

// wait follows a Projection until what is wanted of it is so, or needs a person.
func (s *session) wait(ctx context.Context, o waitOptions, from *object, wanted *intent) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := newProgress(s)
	defer p.end()
	last := from
	for next := range s.watching(ctx, from.Namespace, from.Name) {
		if next.Err != nil {
			p.trouble(next.Err)
			continue
		}
		now := next.one()
		if now == nil || now.UID != from.UID {
			return cli.Failf("%s was deleted", from.path())
		}
		last = now
		p.show(now)
		if done, err := ended(from, now, wanted.suspends); done {
			p.end()
			return s.conclude(now, err)
		}
	}
	if timedOut(ctx) {
		return cli.Failf("%s is not done after %s: %s", from.path(), o.timeout, inShort(last)).
			WithHint("the edit stays, and goes on; kubectl refold status -n %s %s -w follows it", from.Namespace, from.Name)
	}
	return ctx.Err()
}

func inShort(o *object) string { return o.reason() + ": " + o.message() }

// conclude says how it ended.
func (s *session) conclude(o *object, err error) error {
	if err != nil {
		return err
	}
	if o.Spec.Suspend {
		fmt.Fprintf(s.Streams.ErrOut, "%s: suspended\n", o.path())
		return nil
	}
	fmt.Fprintf(s.Streams.ErrOut, "%s: done, readers read revision %s\n", o.path(), cli.Safe(o.Status.ActiveRevision))
	return nil
}

// ended tells whether nothing will happen by itself any more, and whether that is
// bad. Only what the operator says about the spec of from, or a later one, counts.
// While it is suspended nothing happens: that is an end for who wants just that.
func ended(from, now *object, suspends bool) (bool, error) {
	if now.Status.ObservedGeneration < from.Generation {
		return false, nil
	}
	switch {
	case now.desired() != from.desired() || now.Spec.Suspend != from.Spec.Suspend:
		return true, cli.Failf("somebody has changed the spec of %s meanwhile: it asks for revision %s now", now.path(), now.desired()).
			WithHint("kubectl refold status -n %s %s shows what it does", now.Namespace, now.Name)
	case now.is(v1alpha1.ConditionReady):
		return true, nil
	case now.Spec.Suspend && now.reason() == v1alpha1.ReasonSuspended && suspends:
		return true, nil
	case now.Spec.Suspend && now.reason() == v1alpha1.ReasonSuspended:
		return true, cli.Failf("%s is suspended: the edit is made, and nothing comes of it before it goes on", now.path()).
			WithHint("kubectl refold resume -n %s %s --wait lets it go on", now.Namespace, now.Name)
	case now.is(v1alpha1.ConditionHeld):
		return true, cli.Failf("revision %s is built and held: %s", now.desired(), heldText(now)).
			WithHint("kubectl refold promote -n %s %s publishes it; kubectl refold reject -n %s %s refuses it", now.Namespace, now.Name, now.Namespace, now.Name)
	case now.is(v1alpha1.ConditionStalled):
		return true, cli.Failf("%s", inShort(now))
	}
	return false, nil
}

func heldText(o *object) string {
	if r := o.revision(o.desired()); r != nil && r.Diff != nil {
		return diffText(*r.Diff)
	}
	return "it awaits approval"
}

// progress shows how far a Projection is: a line that is drawn again on a
// terminal, lines of what is new elsewhere.
type progress struct {
	s      *session
	last   string
	drawn  bool
	inLine bool
}

func newProgress(s *session) *progress {
	return &progress{s: s, inLine: s.TerminalErrors()}
}

func (p *progress) show(o *object) {
	text := cli.Safe(p.line(o))
	if text == p.last {
		return
	}
	p.last = text
	if !p.inLine {
		fmt.Fprintln(p.s.Streams.ErrOut, text)
		return
	}
	fmt.Fprintf(p.s.Streams.ErrOut, "\r%s\x1b[K", cli.Clip(text, max(0, p.s.ColumnsErrors()-1)))
	p.drawn = true
}

func (p *progress) trouble(err error) {
	text := "warning: " + cli.Safe(err.Error()) + "; trying again"
	if text != p.last {
		p.end()
		p.last = text
		fmt.Fprintln(p.s.Streams.ErrOut, text)
	}
}

// end takes the line away that was drawn: what follows says how it ended.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.s.Streams.ErrOut, "\r\x1b[K")
		p.drawn = false
	}
}

// coarseStep keeps lines few where each is printed: percent in such steps.
const coarseStep = 10

func (p *progress) line(o *object) string {
	r := o.revision(o.desired())
	if r == nil || r.State == v1alpha1.RevisionActive || r.State == v1alpha1.RevisionRetained {
		return p.reason(o)
	}
	text := fmt.Sprintf("%s  %s", r.Name, r.State)
	switch {
	case r.Progress == nil:
	case p.inLine:
		text += "  " + progressText(*r, 24)
	case r.Progress.Percent != nil && r.State == v1alpha1.RevisionBuilding:
		text += fmt.Sprintf("  %d %%", *r.Progress.Percent/coarseStep*coarseStep)
	}
	return strings.TrimRight(text, " ")
}

func (p *progress) reason(o *object) string {
	if !o.seen() {
		return "waiting for the operator"
	}
	return o.reason()
}
