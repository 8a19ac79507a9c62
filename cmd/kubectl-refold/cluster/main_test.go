package cluster

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/controllers/resources"
)

var update = flag.Bool("update", false, "write the golden files anew")

// apiServer is a real kube-apiserver with etcd, started when the first test asks
// for it and stopped after the last.
var apiServer struct {
	once       sync.Once
	env        *envtest.Environment
	kubeconfig string // a file
	client     client.Client
	err        error
}

func TestMain(m *testing.M) {
	flag.Parse()
	time.Local = time.UTC
	code := m.Run()
	if apiServer.env != nil {
		if err := apiServer.env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the API server:", err)
		}
	}
	if apiServer.kubeconfig != "" {
		_ = os.RemoveAll(filepath.Dir(apiServer.kubeconfig))
	}
	os.Exit(code)
}

func startAPIServer() error {
	assets, err := findAssets()
	if err != nil {
		return err
	}
	scheme := newScheme()
	env := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		Scheme:                scheme,
	}
	apiServer.env = env
	env.ControlPlane.GetAPIServer().Configure().Set("watch-cache", "false")
	config, err := env.Start()
	if err != nil {
		return fmt.Errorf("start the API server: %w", err)
	}
	config.QPS = -1
	if apiServer.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	user, err := env.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return err
	}
	data, err := user.KubeConfig()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "refold-cluster-")
	if err != nil {
		return err
	}
	apiServer.kubeconfig = filepath.Join(dir, "kubeconfig")
	return os.WriteFile(apiServer.kubeconfig, data, 0o600)
}

func findAssets() (string, error) {
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		return assets, nil
	}
	command := exec.Command("go", "run", "./hack/testbed", "assets")
	command.Dir, command.Stderr = filepath.Join("..", "..", ".."), os.Stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("go run ./hack/testbed assets: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return scheme
}

// world is a namespace on the real API server, and the program with a fixed
// clock. What the operator would write the test writes.
type world struct {
	*WithT
	t         *testing.T
	ctx       context.Context
	namespace string
	client    client.Client
	clock     *clocktesting.FakeClock
	columns   int
}

var namespaces atomic.Int64

// now is when all tests take place.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newWorld(t *testing.T) *world {
	t.Helper()
	apiServer.once.Do(func() { apiServer.err = startAPIServer() })
	if apiServer.err != nil {
		t.Fatal(apiServer.err)
	}
	w := &world{
		WithT: NewWithT(t), t: t, ctx: t.Context(),
		namespace: fmt.Sprintf("zq%02d", namespaces.Add(1)), // as wide as shop,
		client:    apiServer.client,
		clock:     clocktesting.NewFakeClock(now),
	}
	w.Expect(w.client.Create(w.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})).To(Succeed())
	return w
}

// result is what a run of the program leaves.
type result struct {
	out, err string
	code     int
}

func (w *world) factory(streams genericiooptions.IOStreams) *cli.Factory {
	f := cli.NewFactory(streams, "v1.0.0")
	f.Clock = w.clock
	if w.columns > 0 {
		f.Size = func() (int, int) { return w.columns, 0 }
	}
	return f
}

// run runs the program against the world's namespace.
func (w *world) run(args ...string) result {
	w.t.Helper()
	return w.runIn(w.ctx, args...)
}

func (w *world) runIn(ctx context.Context, args ...string) result {
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	root := cli.New(w.factory(streams), Group)
	root.SetArgs(append(args, "--kubeconfig", apiServer.kubeconfig, "-n", w.namespace))
	code := cli.Run(ctx, root, errOut)
	return result{w.plain(out.String()), w.plain(errOut.String()), code}
}

// plain takes out what is another in each run.
func (w *world) plain(text string) string {
	return strings.ReplaceAll(text, w.namespace, "shop")
}

func readSample(t *testing.T) *v1alpha1.Projection {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "config", "samples", "user-profile.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := &v1alpha1.Projection{}
	if err := yaml.UnmarshalStrict(data, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// create makes the sample, with changes.
func (w *world) create(changes ...func(*v1alpha1.Projection)) *v1alpha1.Projection {
	w.t.Helper()
	p := readSample(w.t)
	p.Namespace = w.namespace
	for _, change := range changes {
		change(p)
	}
	status := p.Status
	w.Expect(w.client.Create(w.ctx, p)).To(Succeed())
	p.Status = status
	return p
}

// says writes status as the operator would, about the spec as it stands.
func (w *world) says(p *v1alpha1.Projection, change func(*v1alpha1.ProjectionStatus)) {
	w.t.Helper()
	w.refresh(p)
	p.Status.ObservedGeneration = p.Generation
	change(&p.Status)
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		c.ObservedGeneration, c.LastTransitionTime = p.Generation, metav1.NewTime(now)
	}
	w.Expect(w.client.Status().Update(w.ctx, p)).To(Succeed())
}

func (w *world) refresh(p *v1alpha1.Projection) *v1alpha1.Projection {
	w.t.Helper()
	w.Expect(w.client.Get(w.ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
	return p
}

// keepContract stores the contract of the spec as it stands, as the operator does.
func (w *world) keepContract(p *v1alpha1.Projection) (revision string) {
	w.t.Helper()
	revision = plan.Revision(p.Spec)
	configMap := resources.ConfigMap(p, revision, p.Spec.Replay.Trigger, resources.Encode(resources.Document(p)))
	w.Expect(w.client.Create(w.ctx, configMap)).To(Succeed())
	return revision
}

// condition is one that is True, or Ready=False with the same words.
func conditions(kind, reason, message string) []metav1.Condition {
	ready := metav1.Condition{Type: "Ready", Status: "False", Reason: reason, Message: message}
	if kind == "Ready" {
		ready.Status = "True"
		return []metav1.Condition{ready}
	}
	out := []metav1.Condition{ready}
	if kind != "" {
		out = append(out, metav1.Condition{Type: kind, Status: "True", Reason: reason, Message: message})
	}
	return out
}

func ago(d time.Duration) *metav1.Time { return new(metav1.NewTime(now.Add(-d))) }

// golden holds text against a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; -update writes it anew:\n%s", path, diff)
	}
}

// keepOlder stores the contract of an operator that does not write triggers.
func (w *world) keepOlder(p *v1alpha1.Projection, revision string) {
	w.t.Helper()
	w.Expect(w.client.Create(w.ctx, resources.ConfigMap(p, revision, "", resources.Encode(resources.Document(p))))).To(Succeed())
}

// renaming creates Projections under another name.
type renaming struct {
	client.Client
	name string
}

func (r renaming) Create(ctx context.Context, o client.Object, options ...client.CreateOption) error {
	if p, ok := o.(*v1alpha1.Projection); ok {
		p.Name = r.name
	}
	if pod, ok := o.(*corev1.Pod); ok {
		pod.Name = r.name + "-" + pod.Name
	}
	return r.Client.Create(ctx, o, options...)
}

// bare runs the program with these arguments and no more.
func (w *world) bare(args ...string) result {
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	root := cli.New(w.factory(streams), Group)
	root.SetArgs(args)
	code := cli.Run(w.ctx, root, errOut)
	return result{w.plain(out.String()), w.plain(errOut.String()), code}
}

func genericStreams() genericiooptions.IOStreams { return genericiooptions.NewTestIOStreamsDiscard() }
