package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
)

// allow gives a user rights in the world's namespace.
func (w *world) allow(user string, rules ...rbacv1.PolicyRule) {
	w.t.Helper()
	meta := metav1.ObjectMeta{Namespace: w.namespace, Name: user}
	w.Expect(w.client.Create(w.ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules})).To(Succeed())
	w.Expect(w.client.Create(w.ctx, &rbacv1.RoleBinding{ObjectMeta: meta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}}})).To(Succeed())
}

func TestWhoMayNotIsToldWhichVerbOnWhat(t *testing.T) {
	w := newWorld(t)
	p, _, _ := w.held()
	w.allow("viewer", rbacv1.PolicyRule{APIGroups: []string{"refold.dev"}, Resources: []string{"projections"}, Verbs: []string{"get", "list", "watch"}})
	w.allow("editor", rbacv1.PolicyRule{APIGroups: []string{"refold.dev"}, Resources: []string{"projections"}, Verbs: []string{"get", "patch"}})

	w.Expect(w.run("status", p.Name, "--as", "nobody")).To(Equal(result{code: 1,
		err: "error: you may not get projections.refold.dev in namespace shop\n" +
			"ask for the verb \"get\" on projections.refold.dev; kubectl auth can-i get projections.refold.dev -n shop says whether you have it\n"}))
	w.Expect(w.run("get", "-A", "--as", "nobody").err).To(HavePrefix("error: you may not list projections.refold.dev in all namespaces\n"))
	w.Expect(w.run("promote", p.Name, "--as", "viewer").err).To(HavePrefix("error: you may not patch projections.refold.dev in namespace shop\n"))
	w.Expect(w.run("reject", p.Name, "--as", "editor").err).To(HavePrefix("error: you may not list configmaps in namespace shop\n"))

	got := w.run("status", p.Name, "--as", "viewer")
	w.Expect(got.code).To(Equal(0), "who sees the Projection alone sees that")
	w.Expect(got.out).To(ContainSubstring("not shown: you may not list pods in namespace shop\nnot shown: you may not list events in namespace shop\n"))

	run := w.start(apiServer.kubeconfig, "suspend", p.Name, "--wait", "--as", "editor")
	w.Eventually(func() bool { return w.refresh(p).Spec.Suspend }, patience).Should(BeTrue())
	w.says(p, func(s *v1alpha1.ProjectionStatus) { s.Conditions = conditions("", "Suspended", "stopped") })
	w.Eventually(run.code, patience).Should(Receive(Equal(0)), "who may get and not watch asks again and again: %s", run.err.String())
}

func TestANameThatThereIsNot(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	elsewhere := newWorld(t)
	elsewhere.create(func(p *v1alpha1.Projection) { p.Name = "only-" + elsewhere.namespace })

	w.Expect(w.run("status", "user-profil")).To(Equal(result{code: 1,
		err: "error: there is no Projection \"user-profil\" in namespace shop\ndid you mean user-profile?\n"}))
	w.Expect(w.run("promote", "zzzzzzzzzz").err).To(HaveSuffix("there are: " + p.Name + "\n"))
	name := "only-" + elsewhere.namespace
	w.Expect(w.run("status", name).err).To(HaveSuffix("there is one in namespace " + elsewhere.namespace + ": add -n " + elsewhere.namespace + "\n"))
	w.Expect(w.run("status", "x", "-n", "no-such-namespace").code).To(Equal(1))
}

func TestNoClusterNoContextNoKubeconfig(t *testing.T) {
	w := newWorld(t)
	d := newDoor(t)
	kubeconfig := d.kubeconfig(t)
	d.shut()
	got := w.bare("get", "--kubeconfig", kubeconfig)
	w.Expect(got).To(Equal(result{code: 1,
		err: "error: no API server answers at http://" + d.addr + ": connection refused\nis the cluster of context \"door\" up? --context chooses another\n"}))
	w.Expect(w.bare("get", "--kubeconfig", kubeconfig, "--context", "dor")).To(Equal(result{code: 1,
		err: "error: kubeconfig has no context \"dor\"\nthere are: door\n"}))

	nowhere := filepath.Join(t.TempDir(), "none")
	w.Expect(w.bare("get", "--kubeconfig", nowhere).code).To(Equal(1))
	t.Setenv("KUBECONFIG", nowhere)
	w.Expect(w.bare("get")).To(Equal(result{code: 1, err: "error: no cluster is configured\nname a kubeconfig with --kubeconfig or $KUBECONFIG\n"}))
	w.Expect(w.bare("get", "--server", "http://localhost:8080").err).NotTo(ContainSubstring("no cluster is configured"))
	data, err := os.ReadFile(kubeconfig)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(os.WriteFile(nowhere, []byte(strings.ReplaceAll(string(data), "current-context: door", "")), 0o600)).To(Succeed())
	w.Expect(w.bare("get")).To(Equal(result{code: 1, err: "error: kubeconfig has no current context\nchoose one with --context; there are: door\n"}))
	w.Expect(os.Remove(nowhere)).To(Succeed())
	for _, args := range [][]string{{"get", "-A", "x"}, {"get", "-w", "-o", "json"}, {"status", "x", "-w", "-o", "json"}, {"suspend", "x", "--timeout", "5s"}} {
		w.Expect(w.bare(args...).code).To(Equal(cli.ExitUsage), "%v: how it was called comes first", args)
	}

	broken := filepath.Join(t.TempDir(), "broken")
	w.Expect(os.WriteFile(broken, []byte("a: [b"), 0o600)).To(Succeed())
	got = w.bare("get", "--kubeconfig", broken)
	w.Expect(got.code).To(Equal(1))
	w.Expect(got.err).To(HavePrefix("error: kubeconfig cannot be read: "))
}

func TestUsage(t *testing.T) {
	w := newWorld(t)
	for _, args := range [][]string{{"status"}, {"status", "a", "b"}, {"suspend", "x", "--dry-run=client"}, {"suspend", "x", "--dry-run", "--wait"},
		{"status", "x", "-o", "name"}, {"get", "-w", "-o", "json"}, {"rollback", "x", "y"}} {
		got := w.run(args...)
		w.Expect(got.code).To(Equal(cli.ExitUsage), "%v: %s", args, got.err)
	}
}

func TestAnEditThatSomebodyCrossesIsDecidedAgain(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	f := w.factory(genericStreams())
	crossed := 0
	decide := func(_ context.Context, s *session, o *object) (*intent, error) {
		if crossed < 2 {
			crossed++
			w.refresh(p).Labels = map[string]string{"crossed": string(rune('0' + crossed))}
			w.Expect(w.client.Update(w.ctx, p)).To(Succeed())
		}
		return switched(o, true, "stopped"), nil
	}
	root := cli.New(f)
	w.Expect(root.PersistentFlags().Set("kubeconfig", apiServer.kubeconfig)).To(Succeed())
	w.Expect(root.PersistentFlags().Set("namespace", w.namespace)).To(Succeed())
	w.Expect(runEdit(w.ctx, f, editOptions{dryRun: "none"}, p.Name, decide)).To(Succeed())
	w.Expect(w.refresh(p).Spec.Suspend).To(BeTrue())
	w.Expect(p.Labels).To(HaveKeyWithValue("crossed", "2"))
}
