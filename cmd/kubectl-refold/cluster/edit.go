package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
)

// editOptions are the flags of every command that edits.
type editOptions struct {
	dryRun string
	wait   waitOptions
	output cli.Output
}

func (o *editOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.dryRun, "dry-run", "none", `"server": let the API server check the edit and change nothing`)
	cmd.Flags().Lookup("dry-run").NoOptDefVal = "server"
	_ = cmd.RegisterFlagCompletionFunc("dry-run", cobra.FixedCompletions([]string{"none", "server"}, cobra.ShellCompDirectiveNoFileComp))
	o.wait.addFlags(cmd)
	o.output.AddFlag(cmd, cli.JSON, cli.YAML, cli.Name)
}

func (o *editOptions) check() error {
	switch {
	case o.dryRun != "none" && o.dryRun != "server":
		return cli.Usagef("--dry-run is none or server, not %q", o.dryRun)
	case o.dryRun == "server" && o.wait.wait:
		return cli.Usagef("--wait and --dry-run do not go together: after a dry run there is nothing to wait for")
	}
	return o.wait.check()
}

// intent is what a command wants of one Projection as it stands.
type intent struct {
	change func(*v1alpha1.ProjectionSpec) // nil: it is so already
	says   string                         // what that does, or that it is so already
	notes  []string                       // what else one should know, each a line on stderr
	inGit  string                         // what to do where a GitOps tool holds the manifest

	suspends bool // to stand still is what is wanted
}

// attempts are how often an edit is tried again that somebody else's write has
// crossed.
const attempts = 5

// editor decides what to change. It is asked again when the object has changed
// in between.
type editor func(ctx context.Context, s *session, o *object) (*intent, error)

// runEdit is the whole of a command that edits.
func runEdit(ctx context.Context, f *cli.Factory, o editOptions, name string, decide editor) error {
	if err := o.check(); err != nil {
		return err
	}
	s, err := newSession(f)
	if err != nil {
		return err
	}
	ctx, cancel := o.wait.bound(ctx)
	defer cancel()
	before, after, wanted, err := s.edit(ctx, o, name, decide)
	switch {
	case err != nil && timedOut(ctx):
		return s.unanswered(o.wait, name)
	case err != nil:
		return err
	}
	if err := s.tell(o, before, after, wanted); err != nil || !o.wait.wait {
		return err
	}
	return s.wait(ctx, o.wait, after, wanted)
}

// edit patches the spec, with the object's resourceVersion as a precondition, so
// that nothing is decided by what is no longer so.
func (s *session) edit(ctx context.Context, o editOptions, name string, decide editor) (before, after *object, wanted *intent, err error) {
	for range attempts {
		if before, err = s.get(ctx, name); err != nil {
			return nil, nil, nil, err
		}
		if wanted, err = decide(ctx, s, before); err != nil {
			return nil, nil, nil, err
		}
		if wanted.change == nil {
			return before, before, wanted, nil
		}
		after, err = s.patch(ctx, o, before, wanted.change)
		if !apierrors.IsConflict(err) {
			return before, after, wanted, s.refused(name, err)
		}
	}
	return nil, nil, nil, cli.Failf("somebody else keeps changing %s/%s: given up after %d tries", s.Namespace, name, attempts).WithHint("try again")
}

func (s *session) refused(name string, err error) error {
	if apierrors.IsInvalid(err) {
		return cli.Failf("the API server refuses it: %v", err).WithHint("kubectl refold status %s says how it stands", name)
	}
	return s.Explain(s.asking("patch"), err)
}

// patch sends what change does to the spec, and nothing else: fields that this
// program does not know are left alone.
func (s *session) patch(ctx context.Context, o editOptions, before *object, change func(*v1alpha1.ProjectionSpec)) (*object, error) {
	next := before.Spec.DeepCopy()
	change(next)
	u := before.Raw.DeepCopy()
	if err := carry(u, before.Spec, *next); err != nil {
		return nil, err
	}
	options := []client.PatchOption{client.FieldOwner(FieldManager)}
	if o.dryRun == "server" {
		options = append(options, client.DryRunAll)
	}
	wanted := u.DeepCopy()
	base := client.MergeFromWithOptions(before.Raw.DeepCopy(), client.MergeFromWithOptimisticLock{})
	if err := s.Client.Patch(ctx, u, base, options...); err != nil {
		return nil, err
	}
	for _, lost := range changes(wanted.Object["spec"], u.Object["spec"], "spec") {
		if lost.old != nil { // else a default that the API server has set
			return nil, cli.Failf("the cluster has not taken %s as it was sent", lost.path).
				WithHint("its resource definition is older than this program, or a webhook has changed it: see kubectl get projection %s -o yaml", before.Name)
		}
	}
	return newObject(u)
}

// carry writes into u what differs between two specs.
func carry(u *unstructured.Unstructured, old, next v1alpha1.ProjectionSpec) error {
	was, err := content(old)
	if err != nil {
		return err
	}
	is, err := content(next)
	if err != nil {
		return err
	}
	spec, _, err := unstructured.NestedMap(u.Object, "spec")
	if err != nil {
		return err
	}
	overlay(spec, was, is)
	return unstructured.SetNestedMap(u.Object, spec, "spec")
}

func content(spec v1alpha1.ProjectionSpec) (map[string]any, error) {
	return runtime.DefaultUnstructuredConverter.ToUnstructured(&spec)
}

// overlay sets in to what is has otherwise than was.
func overlay(to, was, is map[string]any) {
	for key, value := range is {
		old, had := was[key]
		if had && reflect.DeepEqual(old, value) {
			continue
		}
		below, isMap := value.(map[string]any)
		into, intoMap := to[key].(map[string]any)
		before, wasMap := old.(map[string]any)
		if isMap && intoMap && wasMap {
			overlay(into, before, below)
			continue
		}
		to[key] = value
	}
	for key := range was {
		if _, still := is[key]; !still {
			delete(to, key)
		}
	}
}

// difference is one field that two documents have otherwise.
type difference struct {
	path     string
	old, new any
}

// changes lists where b differs from a, maps field by field, all else as a whole.
func changes(a, b any, path string) []difference {
	was, wasMap := a.(map[string]any)
	is, isMap := b.(map[string]any)
	below := (wasMap || a == nil) && (isMap || b == nil) && (wasMap || isMap)
	if !below {
		if sameValue(a, b) {
			return nil
		}
		return []difference{{path, a, b}}
	}
	all := map[string]any{}
	maps.Copy(all, was)
	maps.Copy(all, is)
	var out []difference
	for _, key := range slices.Sorted(maps.Keys(all)) {
		out = append(out, changes(was[key], is[key], path+"."+key)...)
	}
	return out
}

// sameValue compares as JSON: numbers come as several types.
func sameValue(a, b any) bool {
	left, err := json.Marshal(a)
	right, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(left) == string(right)
}

// tell says what was changed, and who may change it back.
func (s *session) tell(o editOptions, before, after *object, wanted *intent) error {
	for _, note := range wanted.notes {
		fmt.Fprintln(s.Streams.ErrOut, "note: "+cli.Safe(note))
	}
	if tool := gitOpsOf(before); tool != nil && wanted.change != nil {
		for _, warning := range tool.warnings(before, intended(before, wanted), wanted.inGit) {
			fmt.Fprintln(s.Streams.ErrOut, "warning: "+cli.Safe(warning))
		}
	}
	switch {
	case o.output.Structured():
		return o.output.Print(s.Streams.Out, plain(after.Raw))
	case o.output.Is(cli.Name):
		_, err := fmt.Fprintf(s.Streams.Out, "projection.refold.dev/%s\n", after.Name)
		return err
	}
	dry := ""
	if o.dryRun == "server" && wanted.change != nil {
		dry = " (server dry run: nothing is changed)"
	}
	fmt.Fprintf(s.Streams.Out, "%s: %s%s\n", before.path(), cli.Safe(wanted.says), dry)
	for _, d := range intended(before, wanted) {
		fmt.Fprintln(s.Streams.Out, "  "+cli.Clip(cli.Safe(d.String()), s.Columns()-2))
	}
	return nil
}

// intended is what an edit does to a spec, without the defaults that the API
// server sets besides.
func intended(before *object, wanted *intent) []difference {
	if wanted.change == nil {
		return nil
	}
	next := before.Spec.DeepCopy()
	wanted.change(next)
	was, err := content(before.Spec)
	is, err2 := content(*next)
	if err != nil || err2 != nil {
		return nil // it was converted before it was sent
	}
	return changes(was, is, "spec")
}

func (d difference) String() string {
	old, next := shown(d.old), shown(d.new)
	if old == "" || next == "" || strings.Contains(old+next, "\n") {
		return d.path + " is changed"
	}
	return fmt.Sprintf("%s: %s → %s", d.path, old, next)
}

// maxShown is how long a value may be that is shown on a line.
const maxShown = 100

// shown is a value on a line, "" if it takes more.
func shown(value any) string {
	if value == nil {
		return "not set"
	}
	if list, ok := value.([]any); ok {
		if len(list) == 0 {
			return "[]"
		}
		return ""
	}
	data, err := json.Marshal(value)
	if err != nil || len(data) > maxShown {
		return ""
	}
	return cli.Safe(string(data))
}
