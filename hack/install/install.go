// Package install puts Refold into a cluster the way the README says, for the
// demo and the end-to-end tests: images, custom resource, RBAC, manager. It
// decides nothing about what is installed: that is config/default.
package install

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Cluster is where Refold goes: the testbed, or a context of the caller's
// kubeconfig whose registry the caller has pushed the images to.
type Cluster struct {
	Context string    // "" is the testbed
	Out     io.Writer // progress of what takes long
	env     []string
}

// Testbed is the testbed's program, built by Up, relative to the repository.
const Testbed = "bin/testbed"

// Up makes the cluster ready for kubectl. For the testbed that means to start
// it, building what is missing.
func (c *Cluster) Up(ctx context.Context) error {
	if c.Context != "" {
		_, err := c.Kubectl(ctx, "", "version")
		return err
	}
	if _, err := c.output(ctx, "", "go", "build", "-o", Testbed, "./hack/testbed"); err != nil {
		return err
	}
	if err := c.stream(ctx, Testbed, "up"); err != nil {
		return err
	}
	exports, err := c.output(ctx, "", Testbed, "env")
	if err != nil {
		return err
	}
	c.env = parseExports(exports)
	return nil
}

// parseExports turns the lines `export NAME=value` into an environment.
func parseExports(text string) []string {
	env := os.Environ()
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok {
			env = append(env, name+"="+os.ExpandEnv(strings.Trim(value, `"'`)))
		}
	}
	return env
}

// Kubeconfig is the testbed's kubeconfig, or "" with a Context.
func (c *Cluster) Kubeconfig() string {
	for i := len(c.env) - 1; i >= 0 && c.Context == ""; i-- {
		if path, ok := strings.CutPrefix(c.env[i], "KUBECONFIG="); ok {
			return path
		}
	}
	return ""
}

// Images builds both images and loads them into the testbed. With a Context
// the caller has done this.
func (c *Cluster) Images(ctx context.Context) error {
	if c.Context != "" {
		return nil
	}
	if err := os.MkdirAll("build", 0o755); err != nil {
		return err
	}
	for _, name := range []string{"manager", "projector"} {
		binary := filepath.Join("bin", "linux", name)
		if _, err := c.output(ctx, "CGO_ENABLED=0", "go", "build", "-ldflags=-s -w", "-o", binary, "./cmd/"+name); err != nil {
			return err
		}
		image := filepath.Join("build", name+".tar")
		if _, err := c.output(ctx, "", Testbed, "image", "-o", image, "-name", "refold-"+name+":dev", binary); err != nil {
			return err
		}
		if _, err := c.output(ctx, "", Testbed, "load", image); err != nil {
			return err
		}
	}
	return nil
}

// Refold applies config/default and waits until the manager is available.
func (c *Cluster) Refold(ctx context.Context) error {
	manifests, err := Kustomize(ctx, "config/default")
	if err != nil {
		return err
	}
	if _, err := c.Apply(ctx, manifests); err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, "", "wait", "--for=condition=Established", "crd/projections.refold.dev", "--timeout=60s"); err != nil {
		return err
	}
	// The image keeps its name from build to build: only a new pod runs a new one.
	if c.Context == "" {
		if _, err := c.Kubectl(ctx, "", "-n", "refold-system", "rollout", "restart", "deployment/refold-manager"); err != nil {
			return err
		}
	}
	_, err = c.Kubectl(ctx, "", "-n", "refold-system", "rollout", "status", "deployment/refold-manager", "--timeout=120s")
	return err
}

// Remove takes Refold out of the cluster again, Projections first.
func (c *Cluster) Remove(ctx context.Context) error {
	manifests, err := Kustomize(ctx, "config/default")
	if err != nil {
		return err
	}
	_, err = c.Kubectl(ctx, manifests, "delete", "--ignore-not-found", "--timeout=120s", "-f", "-")
	return err
}

// Kustomize builds a folder of config with the pinned kustomize.
func Kustomize(ctx context.Context, dir string) (string, error) {
	var c Cluster
	return c.output(ctx, "", "go", "tool", "-modfile=hack/tools/go.mod", "kustomize", "build", dir)
}

// Apply is a server-side apply of manifests.
func (c *Cluster) Apply(ctx context.Context, manifests string) (string, error) {
	return c.Kubectl(ctx, manifests, "apply", "--server-side", "--force-conflicts", "-f", "-")
}

// Kubectl runs kubectl with stdin and returns what it printed. The error
// carries what it complained of.
func (c *Cluster) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := c.KubectlCommand(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	return finish(cmd)
}

// KubectlCommand is kubectl for this cluster, not started yet.
func (c *Cluster) KubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	if c.Context != "" {
		args = append([]string{"--context", c.Context}, args...)
	}
	cmd := exec.CommandContext(ctx, c.lookPath("kubectl"), args...)
	cmd.Env = c.env
	return cmd
}

// lookPath finds a program in the testbed's PATH, which is not this process'.
func (c *Cluster) lookPath(name string) string {
	for i := len(c.env) - 1; i >= 0; i-- {
		path, ok := strings.CutPrefix(c.env[i], "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			if full := filepath.Join(dir, name); isExecutable(full) {
				return full
			}
		}
	}
	return name
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// stream runs a command and shows what it prints as it comes.
func (c *Cluster) stream(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it tidies up after itself
	cmd.Stdout, cmd.Stderr = c.Out, c.Out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return nil
}

func (c *Cluster) output(ctx context.Context, env, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	if env != "" {
		cmd.Env = append(os.Environ(), env)
	}
	return finish(cmd)
}

// finish runs a command and returns its standard output.
func finish(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
