package cluster

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	. "github.com/onsi/gomega"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/plan"
)

const patience = 20 * time.Second

// buffer is one that is written and read at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// live is a run of the program that goes on.
type live struct {
	out, err buffer
	cancel   context.CancelFunc
	code     chan int
}

func (w *world) start(kubeconfig string, args ...string) *live {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	l := &live{cancel: cancel, code: make(chan int, 1)}
	f := w.factory(genericiooptions.IOStreams{In: strings.NewReader(""), Out: &l.out, ErrOut: &l.err})
	f.Clock = clock.RealClock{}
	root := cli.New(f, Group)
	root.SetArgs(append(args, "--kubeconfig", kubeconfig, "-n", w.namespace))
	go func() { l.code <- cli.Run(ctx, root, &l.err) }()
	w.t.Cleanup(cancel)
	return l
}

func TestWaitFollowsAReplayToItsEnd(t *testing.T) {
	for name, test := range map[string]struct {
		ends     func(s *v1alpha1.ProjectionStatus, candidate string)
		wantCode int
		wantErr  string
	}{
		"it is published": {func(s *v1alpha1.ProjectionStatus, candidate string) {
			s.ActiveRevision, s.Conditions = candidate, conditions("Ready", "Folding", "folds")
			s.Revisions = []v1alpha1.RevisionStatus{{Name: candidate, State: "Active"}}
		}, 0, "shop/user-profile: done, readers read revision CANDIDATE\n"},
		"it is held": {func(s *v1alpha1.ProjectionStatus, candidate string) {
			s.Conditions = conditions("Held", "AwaitingApproval", "awaits")
			s.Revisions = []v1alpha1.RevisionStatus{{Name: candidate, State: "Held", Diff: &v1alpha1.RevisionDiff{AtID: "1-0", Changed: 3, Same: 1}}}
		}, 1, "error: revision CANDIDATE is built and held: changes 3 of 4 entities (75 %): 0 added, 0 removed, 3 changed\nkubectl refold promote -n shop user-profile publishes it"},
		"it needs a person": {func(s *v1alpha1.ProjectionStatus, _ string) {
			s.Conditions = conditions("Stalled", "HistoryRequired", "the stream lost its beginning")
		}, 1, "error: HistoryRequired: the stream lost its beginning\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.create()
			active := plan.Revision(p.Spec)
			w.says(p, func(s *v1alpha1.ProjectionStatus) {
				s.ActiveRevision, s.Conditions = active, conditions("Ready", "Folding", "folds")
			})
			run := w.start(apiServer.kubeconfig, "replay", p.Name, "--wait")
			w.Eventually(func() string { return w.refresh(p).Spec.Replay.Trigger }, patience).ShouldNot(BeEmpty())
			candidate := plan.Revision(p.Spec)
			w.says(p, func(s *v1alpha1.ProjectionStatus) {
				s.Conditions = conditions("Reconciling", "Replaying", "is built")
				s.Revisions = []v1alpha1.RevisionStatus{{Name: candidate, State: "Building", Progress: &v1alpha1.ReplayProgress{Percent: new(int32(47))}}}
			})
			w.Eventually(run.err.String, patience).Should(ContainSubstring(candidate + "  Building  40 %\n"))
			w.says(p, func(s *v1alpha1.ProjectionStatus) { test.ends(s, candidate) })
			w.Eventually(run.code, patience).Should(Receive(Equal(test.wantCode)))
			w.Expect(w.plain(run.err.String())).To(ContainSubstring(strings.ReplaceAll(test.wantErr, "CANDIDATE", candidate)))
		})
	}
}

func TestWaitGivesUpOnlyOnWhatItWaitsFor(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	w.says(p, func(s *v1alpha1.ProjectionStatus) { s.Conditions = conditions("Ready", "Folding", "folds") })
	got := w.start(apiServer.kubeconfig, "suspend", p.Name, "--wait", "--timeout", "300ms")
	w.Eventually(got.code, patience).Should(Receive(Equal(1)))
	w.Expect(w.plain(got.err.String())).To(ContainSubstring("error: shop/user-profile is not done after 300ms: Folding: folds\nthe edit stays, and goes on"))
	w.Expect(w.refresh(p).Spec.Suspend).To(BeTrue())

	got = w.start(apiServer.kubeconfig, "suspend", p.Name, "--wait")
	w.says(p, func(s *v1alpha1.ProjectionStatus) { s.Conditions = conditions("", "Suspended", "stopped") })
	w.Eventually(got.code, patience).Should(Receive(Equal(0)))

	got = w.start(apiServer.kubeconfig, "resume", p.Name, "--wait")
	w.Eventually(func() bool { return w.refresh(p).Spec.Suspend }, patience).Should(BeFalse())
	w.refresh(p).Spec.Suspend = true
	w.Expect(w.client.Update(w.ctx, p)).To(Succeed())
	w.says(p, func(*v1alpha1.ProjectionStatus) {})
	w.Eventually(got.code, patience).Should(Receive(Equal(1)))
	w.Expect(got.err.String()).To(ContainSubstring("somebody has changed the spec"))

	got = w.start(apiServer.kubeconfig, "resume", p.Name, "--wait")
	w.Eventually(func() bool { return w.refresh(p).Spec.Suspend }, patience).Should(BeFalse())
	w.Expect(w.client.Delete(w.ctx, p)).To(Succeed())
	w.Eventually(got.code, patience).Should(Receive(Equal(1)))
	w.Expect(w.plain(got.err.String())).To(ContainSubstring("error: shop/user-profile was deleted"))
}

func TestWithoutATerminalAWatchPrintsABlockAtEveryChange(t *testing.T) {
	w := newWorld(t)
	p := stories["building"](w)
	run := w.start(apiServer.kubeconfig, "status", p.Name, "-w")
	table := w.start(apiServer.kubeconfig, "get", "-w")
	w.Eventually(run.out.String, patience).Should(ContainSubstring("42 %"))
	w.Eventually(table.out.String, patience).Should(MatchRegexp(`(?m)^user-profile .* 42 %, 3m12s +Replaying`))
	w.says(p, func(s *v1alpha1.ProjectionStatus) { s.Revisions[0].Progress.Percent = new(int32(43)) })
	w.Eventually(run.out.String, patience).Should(ContainSubstring("43 %"))
	w.Eventually(table.out.String, patience).Should(ContainSubstring("43 %"))
	w.Expect(run.out.String()).NotTo(ContainSubstring("\x1b"))
	time.Sleep(3 * time.Second) // and for time alone it prints nothing
	w.Expect(strings.Count(run.out.String(), "--- ")).To(Equal(2))
	w.Expect(w.client.Delete(w.ctx, p)).To(Succeed())
	w.Eventually(run.out.String, patience).Should(HaveSuffix("/user-profile is deleted\n"))
	w.Eventually(table.out.String, patience).Should(HaveSuffix("/user-profile is deleted\n"))
	run.cancel()
	w.Eventually(run.code, patience).Should(Receive(Equal(0)))
}

// door is an API server that can be shut.
type door struct {
	server *http.Server
	proxy  *httputil.ReverseProxy
	addr   string
}

func newDoor(t *testing.T) *door {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", apiServer.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	to, _ := url.Parse(config.Host)
	d := &door{proxy: &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }}}
	d.open(t, "127.0.0.1:0")
	t.Cleanup(d.shut)
	return d
}

func (d *door) open(t *testing.T, addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	d.addr, d.server = listener.Addr().String(), &http.Server{Handler: d.proxy}
	server := d.server
	go func() { _ = server.Serve(listener) }()
}

func (d *door) shut() { _ = d.server.Close() }

func (d *door) kubeconfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := clientcmdapi.NewConfig()
	config.Clusters["door"] = &clientcmdapi.Cluster{Server: "http://" + d.addr}
	config.Contexts["door"] = &clientcmdapi.Context{Cluster: "door"}
	config.CurrentContext = "door"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAWatchGoesOnAfterTheAPIServerWasAway(t *testing.T) {
	w := newWorld(t)
	p := stories["building"](w)
	d := newDoor(t)
	kubeconfig := d.kubeconfig(t)
	run := w.start(kubeconfig, "status", p.Name, "-w")
	w.Eventually(run.out.String, patience).Should(ContainSubstring("42 %"))
	waiting := w.start(kubeconfig, "suspend", p.Name, "--wait")
	w.Eventually(func() bool { return w.refresh(p).Spec.Suspend }, patience).Should(BeTrue())
	d.shut()
	w.Eventually(run.out.String, patience).Should(ContainSubstring("what is above may be old: no API server answers at http://" + d.addr))
	w.Eventually(waiting.err.String, patience).Should(ContainSubstring("warning: no API server answers"))
	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.Revisions[0].Progress.Percent, s.Conditions = new(int32(61)), conditions("", "Suspended", "stopped")
	})
	d.open(t, d.addr)
	w.Eventually(run.out.String, patience).Should(ContainSubstring("61 %"))
	w.Eventually(waiting.code, patience).Should(Receive(Equal(0)))
}

func TestOnATerminalStatusIsDrawnAgainInItsPlace(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	w := newWorld(t)
	p := stories["building"](w)
	control, terminal, err := pty.Open()
	w.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = control.Close() })
	w.Expect(pty.Setsize(control, &pty.Winsize{Rows: 30, Cols: 100})).To(Succeed())
	screen := newEmulator(30, 100)
	go screen.read(control)
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	f := cli.NewFactory(genericiooptions.IOStreams{In: terminal, Out: terminal, ErrOut: terminal}, "v1.0.0")
	root := cli.New(f, Group)
	root.SetArgs([]string{"status", p.Name, "-w", "--kubeconfig", apiServer.kubeconfig, "-n", w.namespace})
	code := make(chan int, 1)
	go func() { code <- cli.Run(ctx, root, os.Stderr) }()

	w.Eventually(screen.text, patience).Should(ContainSubstring("42 %"))
	w.Expect(screen.raw()).To(ContainSubstring("\x1b[32mActive\x1b[0m"), "there are colours")
	first := screen.text()
	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.Revisions[0].Progress.Percent = new(int32(55))
		s.Revisions = append(s.Revisions[:2], s.Revisions[3:]...)
	})
	w.Eventually(screen.text, patience).Should(And(ContainSubstring("55 %"), Not(ContainSubstring("5xk27aaa  Retained"))))
	w.Expect(strings.Count(screen.text(), "Reconciling: Replaying")).To(Equal(1), "%s\nwas\n%s", screen.text(), first)

	w.Expect(pty.Setsize(control, &pty.Winsize{Rows: 8, Cols: 60})).To(Succeed())
	screen.resize(8, 60)
	w.Eventually(screen.text, patience).Should(ContainSubstring("more lines: make the window taller"))
	w.Eventually(func() int { return strings.Count(screen.text(), "Reconciling: Replaying") }, patience).Should(Equal(1))
	cancel()
	w.Eventually(code, patience).Should(Receive(Equal(0)))
	w.Eventually(screen.raw, patience).Should(HaveSuffix("\x1b[?25h"), "the cursor is back")
}

func TestOnATerminalTheTableIsDrawnAgainInItsPlace(t *testing.T) {
	w := newWorld(t)
	p := stories["building"](w)
	control, terminal, err := pty.Open()
	w.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = control.Close() })
	w.Expect(pty.Setsize(control, &pty.Winsize{Rows: 10, Cols: 80})).To(Succeed())
	screen := newEmulator(10, 80)
	go screen.read(control)
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	root := cli.New(cli.NewFactory(genericiooptions.IOStreams{In: terminal, Out: terminal, ErrOut: terminal}, "v1.0.0"), Group)
	root.SetArgs([]string{"get", "-w", "--kubeconfig", apiServer.kubeconfig, "-n", w.namespace})
	code := make(chan int, 1)
	go func() { code <- cli.Run(ctx, root, os.Stderr) }()
	w.Eventually(screen.text, patience).Should(ContainSubstring("42 %, 3m12s"))
	w.says(p, func(s *v1alpha1.ProjectionStatus) { s.Revisions[0].Progress.Percent = new(int32(77)) })
	w.Eventually(screen.text, patience).Should(And(ContainSubstring("77 %, 3m12s"), Not(ContainSubstring("42 %"))))
	w.Expect(strings.Count(screen.text(), "NAME")).To(Equal(1))
	w.Expect(w.client.Delete(w.ctx, p)).To(Succeed())
	w.Eventually(screen.text, patience).Should(HavePrefix("There are no Projections in namespace " + w.namespace + ".\n\n"))
	cancel()
	w.Eventually(code, patience).Should(Receive(Equal(0)))
}
