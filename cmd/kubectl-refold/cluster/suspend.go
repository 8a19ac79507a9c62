package cluster

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
)

func newSuspend(f *cli.Factory) *cobra.Command {
	return newSwitch(f, true, "suspend NAME", "Stop the projectors and keep their positions",
		"the projectors are stopped and their positions kept; readers read what is there")
}

func newResume(f *cli.Factory) *cobra.Command {
	return newSwitch(f, false, "resume NAME", "Let a suspended projection go on where it stopped",
		"the projectors go on where they stopped")
}

// newSwitch is a command that sets spec.suspend.
func newSwitch(f *cli.Factory, suspend bool, use, short, says string) *cobra.Command {
	var o editOptions
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNames(f, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEdit(cmd.Context(), f, o, args[0], func(_ context.Context, _ *session, o *object) (*intent, error) {
				return switched(o, suspend, says), nil
			})
		},
	}
	o.addFlags(cmd)
	return cmd
}

func switched(o *object, suspend bool, says string) *intent {
	out := &intent{inGit: fmt.Sprintf("set spec.suspend to %t", suspend), suspends: suspend}
	if o.Spec.Suspend == suspend {
		out.says = map[bool]string{true: "it is suspended already", false: "it is not suspended"}[suspend]
		return out
	}
	out.says = says
	out.change = func(spec *v1alpha1.ProjectionSpec) { spec.Suspend = suspend }
	for _, r := range o.inState(v1alpha1.RevisionPromoting) {
		if suspend {
			out.notes = append(out.notes, fmt.Sprintf("revision %s is being published: that Job is finished first", r.Name))
		}
	}
	return out
}
