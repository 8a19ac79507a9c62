package cluster

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
)

func projections(verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{"refold.dev"}, Resources: []string{"projections"}, Verbs: verbs}
}

func second(p *v1alpha1.Projection) {
	p.Name, p.Spec.ReadModel.RedisHash.KeyPrefix = "second", "second:"
}

func TestWhoMayOnlyGetWatchesSeveralNamesToo(t *testing.T) {
	w := newWorld(t)
	w.create()
	b := w.create(second)
	w.allow("getter", projections("get"))
	run := w.start(apiServer.kubeconfig, "get", "user-profile", "second", "-w", "--as", "getter")
	w.Eventually(run.out.String, patience).Should(And(MatchRegexp("(?m)^user-profile "), MatchRegexp("(?m)^second ")))
	w.Expect(w.client.Delete(w.ctx, b)).To(Succeed())
	w.Eventually(run.out.String, patience).Should(HaveSuffix("/second is deleted\n"))
	w.Expect(run.err.String()).To(BeEmpty())
}

// behind puts a handler before the door.
func (d *door) behind(t *testing.T, handler http.HandlerFunc) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	d.addr = server.Listener.Addr().String()
}

func TestNothingIsDrawnBeforeItIsKnownWhatThereIs(t *testing.T) {
	w := newWorld(t)
	w.create()
	var slow atomic.Bool
	d := newDoor(t)
	d.behind(t, func(rw http.ResponseWriter, r *http.Request) {
		if slow.Swap(true) { // the second list
			time.Sleep(2500 * time.Millisecond)
		}
		d.proxy.ServeHTTP(rw, r)
	})
	control, terminal, err := pty.Open()
	w.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = control.Close() })
	w.Expect(pty.Setsize(control, &pty.Winsize{Rows: 10, Cols: 80})).To(Succeed())
	var seen buffer
	go func() { _, _ = io.Copy(&seen, control) }()
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	root := cli.New(cli.NewFactory(genericiooptions.IOStreams{In: terminal, Out: terminal, ErrOut: terminal}, "v1.0.0"), Group)
	root.SetArgs([]string{"get", "-w", "--kubeconfig", d.kubeconfig(t), "-n", w.namespace})
	code := make(chan int, 1)
	go func() { code <- cli.Run(ctx, root, os.Stderr) }()
	w.Eventually(seen.String, patience).Should(ContainSubstring("user-profile"))
	w.Expect(seen.String()).NotTo(ContainSubstring("There are no Projections"))
	cancel()
	w.Eventually(code, patience).Should(Receive(Equal(0)))
}

func TestARightThatIsTakenAwayIsSaid(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	w.allow("lister", projections("get", "list", "patch"))
	waiting := w.start(apiServer.kubeconfig, "suspend", p.Name, "--wait", "--as", "lister")
	table := w.start(apiServer.kubeconfig, "get", "-w", "--as", "lister")
	w.Eventually(func() bool { return w.refresh(p).Spec.Suspend }, patience).Should(BeTrue())
	w.Eventually(table.out.String, patience).Should(ContainSubstring("user-profile"))
	w.Expect(w.client.Delete(w.ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "lister"}})).To(Succeed())
	w.Eventually(func() string { return w.plain(waiting.err.String()) }, patience).
		Should(ContainSubstring("warning: you may not get projections.refold.dev in namespace shop; trying again\n"))
	w.Eventually(func() string { return w.plain(table.err.String()) }, patience).
		Should(ContainSubstring("warning: you may not list projections.refold.dev in namespace shop; trying again\n"))
	w.Expect(table.out.String()).NotTo(ContainSubstring("is deleted"))
}

func TestAWatchThatAlwaysFailsIsTriedMoreAndMoreSeldom(t *testing.T) {
	w := newWorld(t)
	w.create()
	var lists atomic.Int64
	d := newDoor(t)
	d.behind(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") != "" {
			rw.WriteHeader(http.StatusInternalServerError)
			return
		}
		lists.Add(1)
		d.proxy.ServeHTTP(rw, r)
	})
	run := w.start(d.kubeconfig(t), "get", "-w")
	w.Eventually(run.err.String, patience).Should(ContainSubstring("warning: "))
	time.Sleep(6 * time.Second)
	w.Expect(lists.Load()).To(BeNumerically("<=", 5)) // at 0, 0 (the first look), 0.5, 1.5, 3.5 and 7.5 s
}

func TestNoEscapeOfOthersReachesTheTerminal(t *testing.T) {
	w := newWorld(t)
	p, _, _ := w.held(func(p *v1alpha1.Projection) {
		p.Annotations = map[string]string{argoTracking: "x\x1b]0;pwned\x07\x1b[2J:y"}
	})
	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.ActiveRevision = "a\x1b[2Jb"
		s.Revisions[1].Name = "c\x1b[2Jd"
		s.Revisions = append(s.Revisions, v1alpha1.RevisionStatus{Name: "e\x1b[2Jf", State: "Building"})
	})
	for _, args := range [][]string{{"suspend", p.Name, "--dry-run=server"}, {"replay", p.Name, "--dry-run=server"}, {"get"}, {"status", p.Name},
		{"promote", p.Name}, {"abort", p.Name}, {"rollback", p.Name}, {"replay", p.Name, "--trigger", "x\x1b[31m", "--wait", "--timeout", "1s"}} {
		got := w.run(args...)
		w.Expect(strings.ContainsRune(got.out+got.err, '\x1b')).To(BeFalse(), "%q: %q", args, got.out+got.err)
	}
}
