package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/resources"
)

func newReport(f *cli.Factory) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "report NAME",
		Short: "Pack a support bundle: no secret, no entity in it",
		Long: `Pack what a support case needs into a tar.gz: the resource and what the operator made of it, pods, /statusz, logs, events, versions.

No Secret is read. What is in the bundle is listed field by field, and the words of others are redacted: it holds no password,
no value of an entity and no key of one. It does hold the reducer's expressions and names of streams, fields and objects.`,
		Example: `  kubectl refold report user-profile
  kubectl refold report user-profile -f - | tar tz`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNames(f, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := newSession(f)
			if err != nil {
				return err
			}
			return s.runReport(cmd.Context(), args[0], path)
		},
	}
	cmd.Flags().StringVarP(&path, "file", "f", "", "where to; - is stdout. A file of the time's name if not set")
	return cmd
}

func (s *session) runReport(ctx context.Context, name, path string) error {
	o, err := s.get(ctx, name)
	if err != nil {
		return err
	}
	b := s.gather(ctx, o)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := s.hand(b, path); err != nil {
		return err
	}
	for _, lack := range b.lacks {
		fmt.Fprintln(s.Streams.ErrOut, "not in it:", cli.Safe(lack))
	}
	return nil
}

// hand writes a bundle to where it is wanted, and names the file.
func (s *session) hand(b *bundle, path string) error {
	if path == "-" {
		return b.write(s.Streams.Out)
	}
	if path == "" {
		path = b.root + ".tar.gz"
	}
	if err := writeNew(path, b); err != nil {
		return err
	}
	_, err := fmt.Fprintln(s.Streams.Out, path)
	return err
}

// writeNew writes no file over another, and leaves none that is cut off.
func writeNew(path string, b *bundle) error {
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return cli.Failf("%s exists", path).WithHint("name another file with -f")
	}
	if err != nil {
		return cli.Failf("%v", err)
	}
	if err := errors.Join(b.write(to), to.Close()); err != nil {
		_ = os.Remove(path)
		return cli.Failf("write %s: %v", path, err)
	}
	return nil
}

// gatherer collects what belongs to one Projection.
type gatherer struct {
	*session
	*bundle
	r *redactor
	v *view
}

// gather reads all there is. What cannot be read is named in the bundle.
func (s *session) gather(ctx context.Context, o *object) *bundle {
	now := s.Clock.Now().UTC()
	root := fmt.Sprintf("refold-report-%s-%s-%s", o.Namespace, o.Name, now.Format("20060102T150405Z"))
	g := &gatherer{s, &bundle{root: root, at: now}, newRedactor(o), nil}
	g.say("reading the resource, pods and events")
	g.v = s.look(ctx, o)
	g.lacks = append(g.lacks, g.v.Missing...)
	g.addYAML("projection.yaml", g.r.projection(o))
	g.status()
	g.children(ctx)
	g.events(ctx)
	g.versions(ctx)
	g.logs(ctx)
	g.readme()
	g.say("")
	return g.bundle
}

// say shows on a terminal what is being done.
func (g *gatherer) say(what string) {
	if g.TerminalErrors() {
		fmt.Fprintf(g.Streams.ErrOut, "\r%s\x1b[K", cli.Clip(what, g.ColumnsErrors()-1))
	}
}

// status adds what the command status shows, of what is in the bundle.
func (g *gatherer) status() {
	shown := g.r.projection(g.v.object)
	p := g.v.DeepCopy()
	p.Spec, p.Status = shown.Spec, shown.Status
	v := *g.v
	v.object = &object{Projection: p, Raw: g.v.Raw, Unknown: g.v.Unknown}
	v.Events = nil
	g.add("status.txt", []byte(drawing{columns: 120, now: g.at, version: g.Version}.draw(&v)))
	for pod, status := range g.v.Readings {
		g.addYAML("statusz/"+pod+".yaml", g.r.status(status))
	}
}

// children adds what the operator made.
func (g *gatherer) children(ctx context.Context) {
	var pods []describedPod
	for _, pod := range g.v.Pods {
		pods = append(pods, g.r.pod(pod))
	}
	g.addYAML("pods.yaml", pods)
	deployments, jobs, configMaps := &appsv1.DeploymentList{}, &batchv1.JobList{}, &corev1.ConfigMapList{}
	if g.list(ctx, "deployments.apps", deployments) {
		g.addYAML("deployments.yaml", each(deployments.Items, g.r.deployment))
	}
	if g.list(ctx, "jobs.batch", jobs) {
		g.addYAML("jobs.yaml", each(jobs.Items, g.r.job))
	}
	if g.list(ctx, "configmaps", configMaps) {
		g.addYAML("contracts.yaml", each(configMaps.Items, func(c corev1.ConfigMap) describedContract { return g.r.contract(g.v.object, c) }))
	}
}

func each[A, B any](in []A, describe func(A) B) []B {
	out := []B{}
	for _, item := range in {
		out = append(out, describe(item))
	}
	return out
}

func (g *gatherer) list(ctx context.Context, what string, list client.ObjectList) bool {
	labels := client.MatchingLabels(resources.ProjectionLabels(g.v.Name))
	err := g.Client.List(ctx, list, client.InNamespace(g.v.Namespace), labels)
	if err != nil {
		g.lack(what, g.Explain(cli.Request{Verb: "list", Resource: what, Namespace: g.v.Namespace}, err))
	}
	return err == nil
}

// events adds those of the Projection and of its pods.
func (g *gatherer) events(ctx context.Context) {
	all := slices.Clone(g.v.Events)
	list := &corev1.EventList{}
	if err := g.Client.List(ctx, list, client.InNamespace(g.v.Namespace), client.MatchingFields{"involvedObject.kind": "Pod"}); err == nil {
		for _, e := range list.Items {
			if slices.ContainsFunc(g.v.Pods, func(pod corev1.Pod) bool { return pod.Name == e.InvolvedObject.Name }) {
				all = append(all, e)
			}
		}
	}
	g.addYAML("events.yaml", each(all, g.r.event))
}

const (
	managerNamespace = "refold-system"
	managerName      = "refold-manager"
)

func (g *gatherer) versions(ctx context.Context) {
	out := map[string]any{"kubectl-refold": g.Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
	if v, err := g.Clientset.Discovery().ServerVersion(); err == nil {
		out["kubernetes"] = v.GitVersion
	}
	builds := map[string]string{}
	for pod, status := range g.v.Readings {
		builds[pod] = status.Build
	}
	out["projectors"] = builds
	manager := &appsv1.Deployment{}
	err := g.Client.Get(ctx, client.ObjectKey{Namespace: managerNamespace, Name: managerName}, manager)
	switch {
	case apierrors.IsNotFound(err):
		g.lack("the manager's image", fmt.Errorf("there is no Deployment %s in namespace %s", managerName, managerNamespace))
	case err != nil:
		g.lack("the manager's image", g.Explain(cli.Request{Verb: "get", Resource: "deployments.apps", Namespace: managerNamespace}, err))
	default:
		out["manager"] = imagesOf(manager.Spec.Template.Spec)
	}
	g.addYAML("versions.yaml", out)
}

// logReader reads what a container has written, the one before if previous.
type logReader func(ctx context.Context, namespace, pod, container string, previous bool) ([]byte, error)

// What is read of one log.
const (
	logLines = 5000
	logBytes = 2 << 20
)

func readLog(clientset kubernetes.Interface) logReader {
	return func(ctx context.Context, namespace, pod, container string, previous bool) ([]byte, error) {
		options := &corev1.PodLogOptions{Container: container, Previous: previous, TailLines: new(int64(logLines)), LimitBytes: new(int64(logBytes))}
		stream, err := clientset.CoreV1().Pods(namespace).GetLogs(pod, options).Stream(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { _ = stream.Close() }()
		return io.ReadAll(stream)
	}
}

// projectorContainer is the container whose log is read: what others that
// somebody has added write is theirs.
const projectorContainer = "projector"

func (g *gatherer) logs(ctx context.Context) {
	for _, pod := range g.v.Pods {
		for _, c := range pod.Status.ContainerStatuses {
			if c.Name != projectorContainer || ctx.Err() != nil {
				continue
			}
			g.say("reading the log of " + pod.Name)
			g.log(ctx, pod, c.Name, false)
			if c.RestartCount > 0 {
				g.log(ctx, pod, c.Name, true)
			}
		}
	}
}

func (g *gatherer) log(ctx context.Context, pod corev1.Pod, container string, previous bool) {
	name := "logs/" + pod.Name + ".log"
	if previous {
		name = "logs/" + pod.Name + ".previous.log"
	}
	data, err := g.readLog(ctx, pod.Namespace, pod.Name, container, previous)
	if err != nil {
		g.lack(name, g.Explain(cli.Request{Verb: "get", Resource: "pods/log", Namespace: pod.Namespace}, err))
		return
	}
	g.add(name, []byte(g.r.log(data)))
}

func (g *gatherer) readme() {
	var out strings.Builder
	fmt.Fprintf(&out, "A report of the Projection %s, made by kubectl-refold %s at %s.\n\n", g.v.path(), g.Version, g.at.Format(time.RFC3339))
	out.WriteString("No Secret was read. Passwords, values and keys of entities are left out; where words were taken out there is a \"" + removed + "\".\n" +
		"It holds the reducer's expressions, and names of streams, fields and Kubernetes objects. Look through it before you hand it on.\n\n")
	for _, f := range g.files {
		fmt.Fprintf(&out, "  %-60s %8d bytes\n", f.name, len(f.data))
	}
	if len(g.lacks) > 0 {
		out.WriteString("\nNot in it, because it could not be read:\n")
	}
	for i, lack := range g.lacks {
		g.lacks[i] = g.r.text(lack)
		fmt.Fprintln(&out, "  "+g.lacks[i])
	}
	g.files = slices.Insert(g.files, 0, file{"README.txt", []byte(out.String())})
}
