package local

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
)

// edited writes a manifest with edits into a file of the test's directory.
func edited(t *testing.T, name string, edits ...string) string {
	t.Helper()
	content, err := os.ReadFile("testdata/plan/base/users.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for i := 0; i+1 < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("%q is not in the manifest", edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

var planEdits = map[string][]string{
	"same":     nil,
	"spelling": {"key: event.id", "key: ' event.id '"},
	"settings": {"spec:", "spec:\n  deletionPolicy: Delete"},
	"pods":     {"spec:", "spec:\n  projector: {resources: {limits: {memory: 1Gi}}}"},
	"replay": {"set: {email: event.email}", "set: {email: event.email.lowerAscii(), seen: time}", "- {name: city, type: String}", "- {name: seen, type: Timestamp}",
		"    - \"on\": [AddressUpdated]\n      set: {city: event.city}\n", ""},
	"in-place": {"spec:", "spec:\n  replay: {strategy: InPlace, trigger: again}"},
	"move":     {`keyPrefix: "user:"`, "keyPrefix: \"user:\"\n      url: redis://other:6379/1"},
	"manual":   {"spec:", "spec:\n  replay: {promotion: {mode: Manual}, rollbackWindowSeconds: 0}", "event.name", "'event.?name'"},
	"new":      {"name: users", "name: others"},
	"prefix":   {`"user:"`, `"u:"`, "stream: user_events", "stream: others\n    from: 2026-01-01T00:00:00Z\n    until: 2026-02-01T00:00:00Z"},
	"lines":    {"event.name", "\"event.name +\\n  '!'\""},
	"refused":  {"event.name", "evnt.name"},
	"strict":   {"stream:", "strem:"},
}

func TestPlanComparesManifests(t *testing.T) {
	for name, edits := range planEdits {
		t.Run(name, func(t *testing.T) {
			planGolden(t, name, "", "-f", edited(t, "next.yaml", edits...), "--against", "testdata/plan/base/users.yaml")
		})
	}
	t.Run("json", func(t *testing.T) {
		planGolden(t, "json", "", "-f", edited(t, "next.yaml", planEdits["replay"]...), "--against", "testdata/plan/base/users.yaml", "-o", "json")
	})
	t.Run("a kustomization against one", func(t *testing.T) {
		planGolden(t, "kustomization", "", "-k", "testdata/plan/overlay", "--against", "testdata/plan/base")
	})
	t.Run("standard input cannot be both", func(t *testing.T) {
		planGolden(t, "both-stdin", "", "-f", "-", "--against", "-")
	})
	t.Run("the other one is not there", func(t *testing.T) {
		planGolden(t, "no-other", "", "-f", "testdata/plan/base/users.yaml", "--against", "testdata/nowhere.yaml")
	})
	t.Run("no Projection at all", func(t *testing.T) {
		planGolden(t, "no-projection", "kind: A\napiVersion: v1\n", "-f", "-", "--against", "testdata/plan/base/users.yaml")
	})
}

func planGolden(t *testing.T, name, in string, args ...string) {
	t.Helper()
	out, errOut, code := run(in, append([]string{"plan"}, args...)...)
	compare(t, filepath.Join("testdata", "plan", name+".golden"), changing.ReplaceAllString(everything(out, errOut, code), "…/"))
}

func TestPlanAsksTheCluster(t *testing.T) {
	kubeconfig, c := apiServer(t)
	content, err := os.ReadFile("testdata/plan/base/users.yaml")
	if err != nil {
		t.Fatal(err)
	}
	live := &v1alpha1.Projection{}
	if err := yaml.Unmarshal(content, live); err != nil {
		t.Fatal(err)
	}
	live.Namespace = "default"
	if err := c.Create(t.Context(), live); err != nil {
		t.Fatal(err)
	}
	active := plan.Revision(live.Spec)
	lag, begin := int64(311), metav1.NewTime(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	end := metav1.NewTime(begin.Add(20 * time.Second))
	live.Status = v1alpha1.ProjectionStatus{
		ActiveRevision: active, Events: 1204000, LagEvents: &lag, LastAckedID: "5-0",
		Revisions: []v1alpha1.RevisionStatus{{Name: active, State: v1alpha1.RevisionActive, PromotedAt: &begin}},
		Replays: []v1alpha1.ReplayRecord{{Revision: active, Cause: v1alpha1.CauseFirstBuild, Outcome: v1alpha1.OutcomePromoted,
			Events: 1000000, StartedAt: &begin, FinishedAt: &end}},
	}
	if err := c.Status().Update(t.Context(), live); err != nil {
		t.Fatal(err)
	}
	for name, edits := range map[string][]string{"replay": planEdits["replay"], "same": nil, "new": planEdits["new"]} {
		t.Run(name, func(t *testing.T) {
			file := edited(t, "next.yaml", append([]string{"namespace: shop", "namespace: default"}, edits...)...)
			planGolden(t, "live-"+name, "", "-f", file, "--kubeconfig", kubeconfig)
		})
	}
	t.Run("somebody without rights", func(t *testing.T) {
		out, errOut, code := run("", "plan", "-f", edited(t, "next.yaml"), "--kubeconfig", kubeconfig, "--as", "nobody")
		if code != 1 || !strings.Contains(errOut, "you may not get projections.refold.dev in namespace shop") || !strings.Contains(errOut, "--against") {
			t.Error(code, out, errOut)
		}
	})
}

func TestPlanSaysThatThereIsAWayWithoutACluster(t *testing.T) {
	_, errOut, code := run("", "plan", "-f", "testdata/plan/base/users.yaml", "--server", "http://127.0.0.1:1")
	if code != 1 || !strings.Contains(errOut, "--against FILE") {
		t.Error(code, errOut)
	}
}

// apiServer is a real one, with a kubeconfig for it.
func apiServer(t *testing.T) (kubeconfig string, c client.Client) {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		command := exec.Command("go", "run", "./hack/testbed", "assets")
		command.Dir, command.Stderr = "../../..", os.Stderr
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		assets = strings.TrimSpace(string(out))
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	env := &envtest.Environment{BinaryAssetsDirectory: assets, CRDDirectoryPaths: []string{"../../../config/crd/bases"}, ErrorIfCRDPathMissing: true, Scheme: scheme}
	env.ControlPlane.GetAPIServer().Configure().Set("watch-cache", "false")
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Stop() })
	user, err := env.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	return kubeconfig, c
}
