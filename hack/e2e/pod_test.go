//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// refold runs kubectl-refold, built anew, in the world's namespace.
func (w *world) refold(program string, args ...string) (string, error) {
	command := exec.Command(program, append([]string{"-n", w.namespace}, args...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig())
	out, err := command.CombinedOutput()
	return string(out), err
}

func buildPlugin(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "kubectl-refold")
	if out, err := exec.Command("go", "build", "-o", program, "./cmd/kubectl-refold").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

func TestAProjectorIsAskedThroughThePortForward(t *testing.T) {
	program := buildPlugin(t)
	w := newWorld(t)
	w.orders(100, 10)
	last := w.xadd("type", "EmailUpdated", "id", "3", "email", "a@example.org")
	w.project(options{})
	w.awaitReady()
	w.project(options{rules: doubled})
	w.awaitHeld()
	for args, wants := range map[string][]string{
		"explain users 3":                 {"spec.reducer.rules[2] on OrderPlaced", "spec.reducer.rules[1] on EmailUpdated", "+ email  a@example.org", last},
		"at users --key 3 --id " + last:   {"orders  10", "email   a@example.org"},
		"log users --key 3 --limit 1":     {"EmailUpdated", "email=a@example.org"},
		"diff users":                      {"10 changed", "~ orders  10 → 20"},
		"explain users 3 --as nobody-e2e": {"error: you may not get projections.refold.dev"},
	} {
		out, _ := w.refold(program, strings.Fields(args)...)
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("%s does not say %q:\n%s", args, want, out)
			}
		}
	}

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var out strings.Builder
	follow := exec.CommandContext(ctx, program, "-n", w.namespace, "log", "users", "-f", "--limit", "1")
	follow.Env, follow.Stdout = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig()), &out
	follow.Cancel = func() error { return follow.Process.Signal(os.Interrupt) }
	time.AfterFunc(10*time.Second, func() {
		w.client.XAdd(context.Background(), &goredis.XAddArgs{Stream: "user_events", Values: []any{"type", "EmailUpdated", "id", "3", "email", "followed@example.org"}})
	})
	time.AfterFunc(20*time.Second, cancel)
	_ = follow.Run()
	if !strings.Contains(out.String(), "followed@example.org") {
		t.Errorf("log -f: %s", out.String())
	}
}

func TestWhoMayNotPortForwardMayNotLook(t *testing.T) {
	program := buildPlugin(t)
	w := newWorld(t)
	w.orders(10, 1)
	w.project(options{})
	w.awaitReady()
	w.kubectl("create", "role", "viewer", "--verb=get,list", "--resource=projections.refold.dev,pods")
	w.kubectl("create", "rolebinding", "viewer", "--role=viewer", "--user=viewer")
	out, err := w.refold(program, "explain", "users", "0", "--as", "viewer")
	if err == nil || !strings.Contains(out, "you may not create pods/portforward in namespace "+w.namespace) {
		t.Errorf("%v: %s", err, out)
	}
}
