package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
)

const putsBack = `The spec gets back what the active revision folds: source, reducer, readModel and replay.trigger, from the contract that
the operator keeps of it. An approval of the replay is taken back. The rest of the spec stays. A manifest that you hold still
has the other fold: applying it again starts the replay again.`

func newReject(f *cli.Factory) *cobra.Command {
	var o editOptions
	cmd := &cobra.Command{
		Use:               "reject NAME",
		Short:             "Refuse a replay that is held: put the active revision's spec back",
		Long:              "Refuse a replay that is held for approval. Its keys are removed; readers notice nothing.\n\n" + putsBack,
		Example:           `  kubectl refold reject user-profile --wait`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNames(f, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEdit(cmd.Context(), f, o, args[0], rejecting)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func rejecting(ctx context.Context, s *session, o *object) (*intent, error) {
	if !o.seen() {
		return nil, unseen(o)
	}
	held := o.inState(v1alpha1.RevisionHeld)
	if len(held) == 0 {
		hint := fmt.Sprintf("kubectl refold status -n %s %s", o.Namespace, o.Name)
		if len(o.candidates()) > 0 {
			hint = fmt.Sprintf("kubectl refold abort -n %s %s calls off what is not finished", o.Namespace, o.Name)
		}
		return nil, cli.Failf("nothing of %s is held: %s", o.path(), stands(o)).WithHint("%s", hint)
	}
	return putBack(ctx, s, o, fmt.Sprintf("revision %s is refused", held[0].Name))
}

func newAbort(f *cli.Factory) *cobra.Command {
	var o editOptions
	cmd := &cobra.Command{
		Use:               "abort NAME",
		Short:             "Call off a replay: put the active revision's spec back",
		Long:              "Call off a replay that is not published yet. What was built is removed; readers notice nothing.\n\n" + putsBack,
		Example:           `  kubectl refold abort user-profile --wait`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNames(f, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEdit(cmd.Context(), f, o, args[0], aborting)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func aborting(ctx context.Context, s *session, o *object) (*intent, error) {
	if o.desired() == o.Status.ActiveRevision {
		return nil, cli.Failf("there is no replay of %s to call off: %s", o.path(), stands(o))
	}
	if promoting := o.inState(v1alpha1.RevisionPromoting); len(promoting) > 0 {
		return nil, cli.Failf("revision %s is being published, and that is finished first", promoting[0].Name).
			WithHint("when it is: kubectl refold rollback -n %s %s", o.Namespace, o.Name)
	}
	return putBack(ctx, s, o, fmt.Sprintf("the replay as revision %s is called off", o.desired()))
}

// putBack gives the spec back the fold of the active revision.
func putBack(ctx context.Context, s *session, o *object, done string) (*intent, error) {
	active := o.Status.ActiveRevision
	if active == "" {
		return nil, cli.Failf("readers read no revision of %s yet: there is no spec to go back to", o.path()).
			WithHint("change the spec; or stop it: kubectl refold suspend -n %s %s", o.Namespace, o.Name)
	}
	change, err := s.restore(ctx, o, active)
	if err != nil {
		return nil, err
	}
	return &intent{
		change: withdrawing(o, change),
		says:   fmt.Sprintf("%s: the spec is that of revision %s again, which readers read", done, active),
		notes:  stillApplied(o),
		inGit:  fmt.Sprintf("revert the change of %s", foldFields),
	}, nil
}

// withdrawing takes the approval back too of what is gone away from: should the
// spec ask for it again, it is not to pass the gate unseen.
func withdrawing(o *object, change func(*v1alpha1.ProjectionSpec)) func(*v1alpha1.ProjectionSpec) {
	left := o.desired()
	return func(spec *v1alpha1.ProjectionSpec) {
		change(spec)
		if spec.Replay.Promotion.Approve == left {
			spec.Replay.Promotion.Approve = ""
		}
	}
}

const foldFields = "spec.source, spec.reducer, spec.readModel or spec.replay.trigger"

// stillApplied reminds of a manifest that is applied by hand.
func stillApplied(o *object) []string {
	if o.Annotations[lastApplied] == "" || gitOpsOf(o) != nil {
		return nil
	}
	return []string{"the manifest that was applied with kubectl still has the other spec: correct it before you apply it again"}
}

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

func newRollback(f *cli.Factory) *cobra.Command {
	var o editOptions
	var to string
	cmd := &cobra.Command{
		Use:   "rollback NAME",
		Short: "Publish the revision before again: no replay, as long as it is retained",
		Long: `Publish again what readers read before. A retained revision has been kept up, so nothing is folded anew.

The spec gets back what that revision folds, from the contract that the operator keeps of it. An approval of the one that is
left is taken back. The rest of the spec stays.`,
		Example: `  kubectl refold rollback user-profile --wait
  kubectl refold rollback user-profile --to 7f3k2m9q`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNames(f, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEdit(cmd.Context(), f, o, args[0], rollingBack(to))
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the retained revision; the one that was published last if not set")
	_ = cmd.RegisterFlagCompletionFunc("to", completeRevisions(f, v1alpha1.RevisionRetained))
	o.addFlags(cmd)
	return cmd
}

func rollingBack(to string) editor {
	return func(ctx context.Context, s *session, o *object) (*intent, error) {
		target, err := toRollBack(o, to)
		if err != nil {
			return nil, err
		}
		if o.desired() == target.Name {
			return &intent{says: fmt.Sprintf("the spec asks for revision %s already: %s", target.Name, o.reason())}, nil
		}
		change, err := s.restore(ctx, o, target.Name)
		if err != nil {
			return nil, err
		}
		out := &intent{
			change: withdrawing(o, change),
			says:   fmt.Sprintf("revision %s is published again in the place of %s; %s", target.Name, o.Status.ActiveRevision, s.foldedAnew(target)),
			notes:  stillApplied(o),
			inGit:  fmt.Sprintf("put back what revision %s had in %s", target.Name, foldFields),
		}
		for _, r := range o.candidates() {
			out.notes = append(out.notes, fmt.Sprintf("this calls off the replay as revision %s, which is %s", r.Name, r.State))
		}
		if o.Spec.Suspend {
			out.notes = append(out.notes, fmt.Sprintf("it is suspended: nothing is published before kubectl refold resume -n %s %s", o.Namespace, o.Name))
		}
		return out, nil
	}
}

// toRollBack is the retained revision that is meant.
func toRollBack(o *object, named string) (*v1alpha1.RevisionStatus, error) {
	retained := o.inState(v1alpha1.RevisionRetained)
	slices.SortStableFunc(retained, func(a, b v1alpha1.RevisionStatus) int {
		switch {
		case a.PromotedAt == nil || b.PromotedAt == nil:
			return 0
		}
		return b.PromotedAt.Compare(a.PromotedAt.Time)
	})
	switch {
	case named != "" && named == o.Status.ActiveRevision:
		return nil, cli.Failf("revision %s is what readers read already", named)
	case len(retained) == 0:
		return nil, cli.Failf("no revision of %s is retained: %s", o.path(), stands(o)).
			WithHint("its rollback window is over, or there was none before: apply the old manifest, which is a replay")
	case named == "":
		return &retained[0], nil
	}
	var names []string
	for i, r := range retained {
		if r.Name == named {
			return &retained[i], nil
		}
		names = append(names, r.Name)
	}
	return nil, cli.Failf("revision %s is not retained", named).WithHint("one can roll back to %s", strings.Join(names, " or "))
}
