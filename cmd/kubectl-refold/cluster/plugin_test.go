package cluster

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/plan"
)

func TestItIsAPluginOfKubectl(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	kubectl := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	if assets, err := findAssets(); err == nil {
		kubectl = filepath.Join(assets, "kubectl")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "..")
	out, err := build.CombinedOutput()
	w.Expect(err).NotTo(HaveOccurred(), string(out))
	w.Expect(os.Symlink("kubectl-refold", filepath.Join(bin, "kubectl_complete-refold"))).To(Succeed())
	run := func(args ...string) (string, int) {
		command := exec.Command(kubectl, args...)
		command.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+apiServer.kubeconfig)
		out, _ := command.CombinedOutput()
		return w.plain(string(out)), command.ProcessState.ExitCode()
	}
	for args, want := range map[string]string{
		"refold version":                                   "kubectl-refold dev (go",
		"refold get -n " + w.namespace:                     "NAME           READY",
		"refold --help":                                    "\n  kubectl refold [command]",
		"refold status -n " + w.namespace + " nope":        "error: there is no Projection \"nope\" in namespace shop\n",
		"__complete refold status -n " + w.namespace + " ": p.Name + "\n",
	} {
		got, _ := run(strings.Split(args, " ")...)
		w.Expect(got).To(ContainSubstring(want), args)
	}
	_, code := run("refold", "status")
	w.Expect(code).To(Equal(cli.ExitUsage))
	_, code = run("refold", "status", "-n", w.namespace, "nope")
	w.Expect(code).To(Equal(cli.ExitFailed))
}

func TestAClusterWithoutRefold(t *testing.T) {
	w := newWorld(t)
	bare := httptest.NewServer(http.NotFoundHandler())
	defer bare.Close()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := clientcmdapi.NewConfig()
	config.Clusters["bare"] = &clientcmdapi.Cluster{Server: bare.URL}
	config.Contexts["bare"] = &clientcmdapi.Context{Cluster: "bare"}
	config.CurrentContext = "bare"
	w.Expect(clientcmd.WriteToFile(*config, path)).To(Succeed())
	for _, args := range [][]string{{"get"}, {"status", "x"}, {"suspend", "x"}} {
		got := w.bare(append(args, "--kubeconfig", path)...)
		w.Expect(got.code).To(Equal(1))
		w.Expect(got.err).To(Equal("error: the cluster at " + bare.URL + " has no projections.refold.dev\n" +
			"Refold is not installed there (docs/install.md), or --context names another cluster than you mean\n"))
	}
}

// dropping is an API server whose resource definition does not know spec.replay.
func dropping(from client.WithWatch) client.WithWatch {
	return interceptor.NewClient(from, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, options ...client.PatchOption) error {
			if err := c.Patch(ctx, o, patch, append(options, client.DryRunAll)...); err != nil {
				return err
			}
			unstructured.RemoveNestedField(o.(*unstructured.Unstructured).Object, "spec", "replay")
			return nil
		},
	})
}

func TestAnOlderOperatorThatDropsAFieldIsNotTakenForOneThatObeys(t *testing.T) {
	w := newWorld(t)
	p, _, _ := w.held()
	s := w.session()
	s.Client = dropping(s.Client)
	_, _, _, err := s.edit(w.ctx, editOptions{dryRun: "none"}, p.Name, promoting(nil))
	w.Expect(err).To(MatchError(HavePrefix("the cluster has not taken spec.replay.")))
}

func TestOnATerminalWaitDrawsOneLine(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.ActiveRevision, s.Conditions = plan.Revision(p.Spec), conditions("Ready", "Folding", "folds")
	})
	control, terminal, err := pty.Open()
	w.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = control.Close() })
	w.Expect(pty.Setsize(control, &pty.Winsize{Rows: 10, Cols: 80})).To(Succeed())
	screen := newEmulator(10, 80)
	go screen.read(control)
	f := cli.NewFactory(genericiooptions.IOStreams{In: terminal, Out: terminal, ErrOut: terminal}, "v1.0.0")
	root := cli.New(f, Group)
	root.SetArgs([]string{"replay", p.Name, "--wait", "--kubeconfig", apiServer.kubeconfig, "-n", w.namespace})
	code := make(chan int, 1)
	go func() { code <- cli.Run(w.ctx, root, terminal) }()
	w.Eventually(func() string { return w.refresh(p).Spec.Replay.Trigger }, patience).ShouldNot(BeEmpty())
	candidate := plan.Revision(p.Spec)
	for _, percent := range []int32{5, 50, 99} {
		w.says(p, func(s *v1alpha1.ProjectionStatus) {
			s.Conditions = conditions("Reconciling", "Replaying", "is built")
			s.Revisions = []v1alpha1.RevisionStatus{{Name: candidate, State: "Building",
				Progress: &v1alpha1.ReplayProgress{Percent: &percent, EventsPerSecond: 12345, EtaSeconds: new(int64(77))}}}
		})
		w.Eventually(screen.text, patience).Should(ContainSubstring(cli.Bar(float64(percent), 24) + " "))
		w.Expect(strings.Count(screen.text(), candidate+"  Building")).To(Equal(1))
	}
	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.ActiveRevision, s.Conditions = candidate, conditions("Ready", "Folding", "folds")
		s.Revisions = []v1alpha1.RevisionStatus{{Name: candidate, State: "Active"}}
	})
	w.Eventually(code, patience).Should(Receive(Equal(0)))
	w.Eventually(screen.text, patience).Should(ContainSubstring("done, readers read revision " + candidate))
	t.Log(screen.text())
}
