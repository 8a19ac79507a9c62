package cluster

import (
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
)

func TestWaitFailsWhereASuspensionKeepsTheEditFromHappening(t *testing.T) {
	for name, test := range map[string]struct {
		command string
		edited  func(*v1alpha1.Projection) bool
	}{
		"a replay folds nothing":        {"replay", func(p *v1alpha1.Projection) bool { return p.Spec.Replay.Trigger != "mended" }},
		"an approval publishes nothing": {"promote", func(p *v1alpha1.Projection) bool { return p.Spec.Replay.Promotion.Approve != "" }},
		"a refusal removes nothing":     {"reject", func(p *v1alpha1.Projection) bool { return p.Spec.Replay.Trigger == "" }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, _, _ := w.held(func(p *v1alpha1.Projection) { p.Spec.Suspend = true })
			run := w.start(apiServer.kubeconfig, test.command, p.Name, "--wait")
			w.Eventually(func() bool { return test.edited(w.refresh(p)) }, patience).Should(BeTrue())
			w.says(p, func(s *v1alpha1.ProjectionStatus) { s.Conditions = conditions("", "Suspended", "stopped") })
			w.Eventually(run.code, patience).Should(Receive(Equal(1)))
			w.Expect(w.plain(run.err.String())).To(HaveSuffix("error: shop/user-profile is suspended: the edit is made, and nothing comes of it before it goes on\n" +
				"kubectl refold resume -n shop user-profile --wait lets it go on\n"))
		})
	}
}

func TestATimeoutBoundsAServerThatDoesNotAnswer(t *testing.T) {
	w := newWorld(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0") // it takes what comes and says nothing
	w.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = listener.Close() })
	server := "http://" + listener.Addr().String()
	began := time.Now()
	w.Expect(w.bare("suspend", "x", "-n", w.namespace, "--wait", "--timeout", "300ms", "--server", server)).To(Equal(result{code: 1,
		err: "error: the API server at " + server + " has not answered within 300ms\n" +
			"whether the edit was made is not known: see kubectl refold status -n shop x\n"}))
	w.Expect(time.Since(began)).To(BeNumerically("<", 3*time.Second))
	for _, args := range [][]string{{"status", ""}, {"promote", "x", ""}, {"status", "-n", ""}} {
		began = time.Now()
		w.bare(append([]string{"__complete", "--server", server}, args...)...)
		w.Expect(time.Since(began)).To(BeNumerically("<", 6*time.Second), "completion of %v", args)
	}
}

func TestATimeoutIsOneOfWait(t *testing.T) {
	w := newWorld(t)
	for _, args := range [][]string{{"suspend", "x", "--timeout", "5s"}, {"suspend", "x", "--wait", "--timeout", "-5s"}} {
		w.Expect(w.run(args...).code).To(Equal(cli.ExitUsage), "%v", args)
	}
}
