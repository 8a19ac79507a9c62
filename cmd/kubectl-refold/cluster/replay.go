package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/plan"
)

func newReplay(f *cli.Factory) *cobra.Command {
	var o editOptions
	var trigger string
	cmd := &cobra.Command{
		Use:   "replay NAME",
		Short: "Fold the log again by the same spec, beside what readers read",
		Long: `Fold the log again by the same spec, beside what readers read, and publish the result.

It sets spec.replay.trigger to a new value. Use it after something else than Refold has changed the read model.`,
		Example:           `  kubectl refold replay user-profile --wait`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNames(f, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEdit(cmd.Context(), f, o, args[0], triggering(trigger))
		},
	}
	cmd.Flags().StringVar(&trigger, "trigger", "", "the new value; the time if not set")
	o.addFlags(cmd)
	return cmd
}

func triggering(trigger string) editor {
	return func(_ context.Context, s *session, o *object) (*intent, error) {
		value := trigger
		if value == "" {
			value = newTrigger(s.Clock.Now().UTC(), o.Spec.Replay.Trigger)
		}
		if value == o.Spec.Replay.Trigger {
			return nil, cli.Failf("spec.replay.trigger is %q already: only another value replays", value).WithHint("leave --trigger out to have one made")
		}
		change := func(spec *v1alpha1.ProjectionSpec) { spec.Replay.Trigger = value }
		next := o.Spec.DeepCopy()
		change(next)
		out := &intent{change: change, inGit: fmt.Sprintf("set spec.replay.trigger to %q", value)}
		out.says = fmt.Sprintf("the log is folded again as revision %s; %s", plan.Revision(*next), meanwhile(o))
		out.notes = replayNotes(o)
		return out, nil
	}
}

// newTrigger is the time, to the second unless that is what stands there already.
func newTrigger(now time.Time, old string) string {
	if value := now.Format(time.RFC3339); value != old {
		return value
	}
	return now.Format(time.RFC3339Nano)
}

func meanwhile(o *object) string {
	switch {
	case o.Status.ActiveRevision == "":
		return "nothing is published yet"
	case o.Spec.Replay.Strategy == v1alpha1.ReplayInPlace:
		return "with strategy InPlace readers see it empty first, then growing"
	}
	return fmt.Sprintf("readers read %s until it is published", o.Status.ActiveRevision)
}

// replayNotes are what keeps a replay from what one may expect of it.
func replayNotes(o *object) (out []string) {
	for _, r := range o.candidates() {
		out = append(out, fmt.Sprintf("this calls off the replay as revision %s, which is %s", r.Name, r.State))
	}
	if o.Spec.Suspend {
		out = append(out, fmt.Sprintf("it is suspended: nothing is folded before kubectl refold resume -n %s %s", o.Namespace, o.Name))
	}
	if c := o.condition(v1alpha1.ConditionHistoryComplete); c != nil && c.Status == "False" && o.Spec.Replay.History != v1alpha1.HistoryAvailable {
		out = append(out, "the log has lost its beginning: the operator will refuse the replay unless spec.replay.history is Available")
	}
	return out
}

// foldedAnew says what going back to a retained revision takes. The operator takes
// one down when its window is over, and that may be now.
func (s *session) foldedAnew(r *v1alpha1.RevisionStatus) string {
	if until := r.RetainedUntil; until != nil && !s.Clock.Now().Before(until.Time) {
		return fmt.Sprintf("its rollback window ended at %s: if it is removed by now, it is folded anew", until.UTC().Format(time.RFC3339))
	}
	return "nothing is folded anew"
}

func newPromote(f *cli.Factory) *cobra.Command {
	var o editOptions
	cmd := &cobra.Command{
		Use:   "promote NAME [REVISION]",
		Short: "Publish a replay that is held for approval",
		Long: `Publish a replay that is held for approval, by setting spec.replay.promotion.approve to its revision.

With REVISION it approves that one or none. A replay that could not be compared, because the revision that readers read is
broken, is only published if it is named.`,
		Example: `  kubectl refold promote user-profile --wait
  kubectl refold promote user-profile b4axw2ad --dry-run=server`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: completeNames(f, completeRevisions(f, v1alpha1.RevisionHeld)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEdit(cmd.Context(), f, o, args[0], promoting(args[1:]))
		},
	}
	o.addFlags(cmd)
	return cmd
}

func promoting(named []string) editor {
	return func(_ context.Context, _ *session, o *object) (*intent, error) {
		revision, note, err := toPromote(o, named)
		if err != nil {
			return nil, err
		}
		out := &intent{inGit: "set spec.replay.promotion.approve to " + revision}
		if note != "" {
			out.notes = append(out.notes, note)
		}
		if o.Spec.Replay.Promotion.Approve == revision {
			out.says = fmt.Sprintf("revision %s is approved already: %s", revision, o.reason())
			return out, nil
		}
		out.change = func(spec *v1alpha1.ProjectionSpec) { spec.Replay.Promotion.Approve = revision }
		out.says = fmt.Sprintf("revision %s is approved, and is published in the place of %s", revision, o.Status.ActiveRevision)
		return out, nil
	}
}

// toPromote is the revision that can be approved: the one that is held, or one
// that cannot be compared if it was named.
func toPromote(o *object, named []string) (revision, note string, err error) {
	if !o.seen() {
		return "", "", unseen(o)
	}
	candidates := o.inState(v1alpha1.RevisionHeld)
	if len(candidates) == 0 && len(named) == 1 {
		candidates = incomparable(o)
		note = "the revisions could not be compared: this publishes what nobody has compared"
	}
	switch {
	case len(candidates) == 0:
		return "", "", cli.Failf("nothing of %s is held: %s", o.path(), stands(o)).WithHint("kubectl refold status -n %s %s", o.Namespace, o.Name)
	case len(named) == 1 && named[0] != candidates[0].Name:
		return "", "", cli.Failf("revision %s is held, not %s", candidates[0].Name, named[0]).
			WithHint("look at what it changes, then: kubectl refold promote -n %s %s %s", o.Namespace, o.Name, candidates[0].Name)
	}
	return candidates[0].Name, note, nil
}

// byApproval is what the operator says to do where an approval publishes without
// a comparison. Of all else that keeps a comparison from being made it says
// another thing: there an approval would be one of what nobody has seen yet.
const byApproval = "set spec.replay.promotion.approve to "

// incomparable are the revisions of which the operator takes an approval without
// a comparison.
func incomparable(o *object) []v1alpha1.RevisionStatus {
	stalled := o.condition(v1alpha1.ConditionStalled)
	if stalled == nil || stalled.Status != metav1.ConditionTrue || stalled.Reason != v1alpha1.ReasonVerifyFailed {
		return nil
	}
	return slices.DeleteFunc(o.inState(v1alpha1.RevisionVerifying), func(r v1alpha1.RevisionStatus) bool {
		return !strings.Contains(stalled.Message, byApproval+r.Name+" ")
	})
}

func unseen(o *object) error {
	return cli.Failf("the operator has not seen the newest spec of %s yet", o.path()).WithHint("try again in a moment")
}

// stands lists revisions with their states, and why it is not Ready.
func stands(o *object) string {
	var parts []string
	for _, r := range o.Status.Revisions {
		text := fmt.Sprintf("%s is %s", r.Name, r.State)
		if r.Progress != nil && r.Progress.Percent != nil && r.State == v1alpha1.RevisionBuilding {
			text += fmt.Sprintf(" (%d %%)", *r.Progress.Percent)
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		parts = append(parts, "it has no revision yet")
	}
	if o.is(v1alpha1.ConditionStalled) {
		parts = append(parts, "and it is stalled, "+inShort(o))
	}
	return strings.Join(parts, ", ")
}
