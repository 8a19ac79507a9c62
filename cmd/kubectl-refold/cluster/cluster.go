// Package cluster holds the commands of kubectl-refold that talk to the API
// server: they show Projections, edit them as their owner would, and collect
// what a support case needs. They never talk to Redis or to the event log, and
// they decide nothing that is the operator's to decide.
package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
)

// FieldManager is under which name edits stand in metadata.managedFields.
const FieldManager = "kubectl-refold"

const resource = "projections.refold.dev"

// Group returns the commands that need a cluster.
func Group(f *cli.Factory) cli.Group {
	return cli.Group{ID: "cluster", Title: "Commands that need a cluster:", Commands: []*cobra.Command{
		newGet(f), newStatus(f),
		newReplay(f), newPromote(f), newReject(f), newAbort(f), newRollback(f),
		newSuspend(f), newResume(f),
		newReport(f),
	}}
}

// session is one run of a command against one API server.
type session struct {
	*cli.Factory
	*cli.Cluster
	readings reader
	readLog  logReader
}

func newSession(f *cli.Factory) (*session, error) {
	c, err := f.Cluster()
	if err != nil {
		return nil, err
	}
	return &session{Factory: f, Cluster: c, readings: proxyReader{c.Clientset}, readLog: readLog(c.Clientset)}, nil
}

func (s *session) asking(verb string) cli.Request {
	return cli.Request{Verb: verb, Resource: resource, Namespace: s.Namespace}
}

// get reads one Projection, and knows what to say if there is none of that name.
func (s *session) get(ctx context.Context, name string) (*object, error) {
	u := newUnstructured()
	err := s.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, u)
	switch {
	case err == nil:
		return newObject(u)
	case apierrors.IsNotFound(err) && !cli.NotServed(err):
		return nil, s.unknown(ctx, name)
	}
	return nil, s.Explain(s.asking("get"), err)
}

// unknown tells what there is instead of a Projection that there is not.
func (s *session) unknown(ctx context.Context, name string) error {
	out := cli.Failf("there is no Projection %q in namespace %s", name, s.Namespace)
	here := s.names(ctx, s.Namespace)
	if close := cli.Close(name, here); len(close) > 0 {
		return out.WithHint("%s", cli.DidYouMean(close, ""))
	}
	for _, other := range s.names(ctx, "") {
		if namespace, found, _ := strings.Cut(other, "/"); found == name {
			return out.WithHint("there is one in namespace %s: add -n %s", namespace, namespace)
		}
	}
	if len(here) > 0 {
		return out.WithHint("there are: %s", strings.Join(here[:min(len(here), 10)], ", "))
	}
	return out.WithHint("kubectl refold get -A lists all there are")
}

// names lists Projections, as namespace/name where namespace is "". What may not
// be listed is left out.
func (s *session) names(ctx context.Context, namespace string) []string {
	list := newUnstructuredList()
	if err := s.Client.List(ctx, list, client.InNamespace(namespace), client.Limit(500)); err != nil {
		return nil
	}
	var out []string
	for _, item := range list.Items {
		name := item.GetName()
		if namespace == "" {
			name = item.GetNamespace() + "/" + name
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// completeNames completes the name of a Projection as the first argument.
func completeNames(f *cli.Factory, next cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			if next == nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return next(cmd, args, prefix)
		}
		s, err := newSession(f)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		ctx, cancel := cli.Completing(cmd)
		defer cancel()
		return s.names(ctx, s.Namespace), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeRevisions completes revisions in the given states of the Projection
// that the first argument names.
func completeRevisions(f *cli.Factory, states ...v1alpha1.RevisionState) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		s, err := newSession(f)
		if err != nil || len(args) != 1 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := cli.Completing(cmd)
		defer cancel()
		o, err := s.get(ctx, args[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []string
		for _, r := range o.Status.Revisions {
			if slices.Contains(states, r.State) {
				out = append(out, fmt.Sprintf("%s\t%s", r.Name, r.State))
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func newUnstructured() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Projection"))
	return u
}

func newUnstructuredList() *unstructured.UnstructuredList {
	u := &unstructured.UnstructuredList{}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("ProjectionList"))
	return u
}
