package cluster

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
)

// Find reads one Projection for commands of other groups, and finds the words
// where there is none.
func Find(ctx context.Context, f *cli.Factory, name string) (*cli.Cluster, *v1alpha1.Projection, error) {
	s, err := newSession(f)
	if err != nil {
		return nil, nil, err
	}
	o, err := s.get(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	return s.Cluster, o.Projection, nil
}

// CompleteNames completes the name of a Projection as the first argument.
func CompleteNames(f *cli.Factory) cobra.CompletionFunc { return completeNames(f, nil) }

// CompleteRevisions completes the revisions of the Projection that the first
// argument names.
func CompleteRevisions(f *cli.Factory) cobra.CompletionFunc { return completeRevisions(f, known...) }
