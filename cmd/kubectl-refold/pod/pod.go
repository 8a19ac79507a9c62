// Package pod holds the commands of kubectl-refold that ask a projector: what an
// entity was, where a value came from, what is in the log, what a candidate
// changes. They reach the projector's inspect API, which listens on its pod's
// loopback, by the API server's port-forward: who may port-forward may look.
// They read only, and never talk to Redis.
package pod

import (
	"context"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cluster"
)

// Group returns the commands that ask a projector.
func Group(f *cli.Factory) cli.Group {
	return group(&commands{f, cluster.Find, portForward})
}

// commands is what all of them work with; tests replace the ways to a projector.
type commands struct {
	*cli.Factory
	find func(ctx context.Context, f *cli.Factory, name string) (*cli.Cluster, *v1alpha1.Projection, error)
	open func(c *cli.Cluster, pod *corev1.Pod) Tunnel
}

func group(c *commands) cli.Group {
	return cli.Group{ID: "pod", Title: "Commands that ask a projector, and need pods/portforward:", Commands: []*cobra.Command{
		newAt(c), newExplain(c), newLog(c), newDiff(c),
	}}
}

// asked is what the flags of all these commands choose.
type asked struct {
	revision string
	full     bool
}

func (a *asked) addFlags(c *commands, cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.revision, "revision", "", "ask the projector of this revision; the one that readers read if not set")
	_ = cmd.RegisterFlagCompletionFunc("revision", cluster.CompleteRevisions(c.Factory))
	cmd.ValidArgsFunction = cluster.CompleteNames(c.Factory)
	a.addFull(cmd)
}

func (a *asked) addFull(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.full, "full", false, "cut no value, however long")
}

// exclusive refuses flags, by pairs, that do not go together.
func exclusive(cmd *cobra.Command, pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if cmd.Flags().Changed(pairs[i]) && cmd.Flags().Changed(pairs[i+1]) {
			return cli.Usagef("--%s and --%s do not go together", pairs[i], pairs[i+1]).WithHint("see %s --help", cmd.CommandPath())
		}
	}
	return nil
}
