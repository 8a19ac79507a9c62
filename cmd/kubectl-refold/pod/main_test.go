package pod

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/engine"
	"github.com/refold-dev/refold/projector/inspect"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/readmodel/redishash"
	"github.com/refold-dev/refold/projector/reduce/builtin"
	"github.com/refold-dev/refold/projector/stream"
)

var update = flag.Bool("update", false, "write the golden files anew")

// now is when all tests take place, and base when their first event was.
var (
	base = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now  = base.Add(time.Hour)
)

// world is a Projection, a projector's inspect API over a real Redis, and in place
// of the API server what it would say: objects, and a tunnel that leads to the API.
type world struct {
	t          *testing.T
	addr       string
	client     *goredis.Client
	projection *v1alpha1.Projection
	pods       []client.Object
	memory     int64
	handler    http.Handler // the projector
	refuse     error        // of the tunnel
	columns    int
	listErr    error
	tunnels    []*tunnel
	status     contract.Partition
}

// tunnel stands for the port-forward.
type tunnel struct {
	addr   string
	err    error
	dials  atomic.Int64
	closed atomic.Bool
}

func (t *tunnel) Dial(ctx context.Context) (net.Conn, error) {
	t.dials.Add(1)
	if t.err != nil {
		return nil, t.err
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", t.addr)
}

func (t *tunnel) Close() error {
	t.closed.Store(true)
	return nil
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

// newWorld is of the sample, with a revision that readers read.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, addr: redis.Start(t).Addr(), projection: readSample(t), columns: 80}
	w.client = w.dial()
	w.status = contract.Partition{State: contract.StateLive}
	revision := plan.Revision(w.projection.Spec)
	w.projection.Status.ActiveRevision = revision
	w.projection.Status.Revisions = []v1alpha1.RevisionStatus{{Name: revision, State: v1alpha1.RevisionActive}}
	w.pods = []client.Object{w.pod(revision, nil)}
	return w
}

func (w *world) dial() *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: w.addr, MaxRetries: -1, ContextTimeoutEnabled: true, Protocol: 2})
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (w *world) pod(revision string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "user-profile-" + revision + "-x2x4k", Labels: resources.SelectorLabels("user-profile", revision, resources.Projector)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "projector", Args: []string{"run", "--inspect=" + contract.InspectAddress}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}},
	}
	if change != nil {
		change(p)
	}
	return p
}

// add appends an event that came so many seconds after the first.
func (w *world) add(seconds int, typ string, fields ...any) {
	w.t.Helper()
	id := fmt.Sprintf("%d-0", base.Add(time.Duration(seconds)*time.Second).UnixMilli())
	err := w.client.XAdd(w.t.Context(), &goredis.XAddArgs{Stream: "user_events", ID: id, Values: append([]any{"type", typ}, fields...)}).Err()
	if err != nil {
		w.t.Fatal(err)
	}
}

// parts are what a projector of a document is made of.
func (w *world) parts(d contract.Document) (*projector.Schema, projector.Reducer, *redishash.Store) {
	w.t.Helper()
	schema, err := projector.NewSchema(d.ReadModel.Fields)
	if err != nil {
		w.t.Fatal(err)
	}
	reducer, err := builtin.Registry().New(projector.Config{Reducer: d.Reducer, Format: d.Source.Format, Schema: schema})
	if err != nil {
		w.t.Fatal(err)
	}
	return schema, reducer, redishash.New(w.dial(), schema, d.ReadModel.RedisHash.KeyPrefix, "")
}

// fold has a revision of a spec fold all there is.
func (w *world) fold(spec *v1alpha1.Projection) (revision string) {
	w.t.Helper()
	d := resources.Document(spec)
	schema, reducer, store := w.parts(d)
	start, err := projector.ParseStart(d.Source.From)
	if err != nil {
		w.t.Fatal(err)
	}
	source := w.dial()
	e := engine.New(engine.Options{
		Claim:  readmodel.Claim{Projection: d.Projection, Revision: d.Revision, Start: start.Prev(), Source: "log"},
		Reader: stream.NewReader(source, d.Source, d.Revision), Acker: stream.NewReader(source, d.Source, d.Revision),
		Decoder: stream.NewDecoder(d.Source), Reducer: reducer, Schema: schema, Store: store,
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	tail := w.client.XInfoStream(ctx, d.Source.Stream).Val().LastGeneratedID
	for deadline := time.Now().Add(20 * time.Second); e.Status().Position != tail; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("it never came to %s: %+v", tail, e.Status())
		}
	}
	cancel()
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
	return d.Revision
}

// serve starts the projector's API.
func (w *world) serve() {
	w.t.Helper()
	d := resources.Document(w.projection)
	schema, _, store := w.parts(d)
	reducer := func() (projector.Reducer, error) {
		return builtin.Registry().New(projector.Config{Reducer: d.Reducer, Format: d.Source.Format, Schema: schema})
	}
	source := w.dial()
	w.handler = inspect.New(inspect.Options{
		Document: d, Build: "test", Schema: schema, Reducer: reducer, Browser: store,
		Reader: func(s contract.Source) *stream.Reader { return stream.NewReader(source, s, "nobody") },
		Status: func() contract.Partition { return w.status },
		Log:    slog.New(slog.DiscardHandler), MemoryBytes: w.memory,
	})
}

type result struct {
	out, err string
	code     int
}

// run runs the program.
func (w *world) run(args ...string) result {
	w.t.Helper()
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	code := w.runOn(w.t.Context(), streams, args...)
	return result{out.String(), errOut.String(), code}
}

func (w *world) runOn(ctx context.Context, streams genericiooptions.IOStreams, args ...string) int {
	w.t.Helper()
	if w.handler == nil {
		w.serve()
	}
	site := httptest.NewServer(w.handler)
	defer site.Close()
	f := cli.NewFactory(streams, "v1.0.0")
	f.Clock = clocktesting.NewFakeClock(now)
	f.Size = func() (int, int) { return w.columns, 0 }
	c := &commands{f, w.find, func(*cli.Cluster, *corev1.Pod) Tunnel {
		w.tunnels = append(w.tunnels, &tunnel{addr: site.Listener.Addr().String(), err: w.refuse})
		return w.tunnels[len(w.tunnels)-1]
	}}
	root := cli.New(f, func(*cli.Factory) cli.Group { return group(c) })
	root.SetArgs(args)
	code := cli.Run(ctx, root, streams.ErrOut)
	for _, t := range w.tunnels {
		if !t.closed.Load() {
			w.t.Errorf("%v: a tunnel was left open", args)
		}
	}
	return code
}

// find stands for the API server.
func (w *world) find(context.Context, *cli.Factory, string) (*cli.Cluster, *v1alpha1.Projection, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, nil, err
		}
	}
	c := interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).WithObjects(w.pods...).Build(), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if w.listErr != nil {
				return w.listErr
			}
			return c.List(ctx, list, options...)
		},
	})
	return &cli.Cluster{Client: c, Namespace: "shop", Server: "https://127.0.0.1:6443"}, w.projection.DeepCopy(), nil
}

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

func (r result) String() string {
	text := r.out
	if r.err != "" {
		text += "---- stderr ----\n" + r.err
	}
	return fmt.Sprintf("%s---- exit code %d ----\n", text, r.code)
}

// escape is what a hostile producer writes: colours, a cleared screen, a title, a
// C1 control, text turned around, a line feigned.
const escape = "\x1b[31mred\x1b[2J\x1b]0;t\a\u009b1m\u202egnp.exe\u2066\r\nerror: feigned\x7f"

// isHarmless says whether a terminal does nothing but print it.
func isHarmless(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	})
}
