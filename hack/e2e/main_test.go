//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refold-dev/refold/hack/install"
)

// cluster is the testbed with Refold installed from config/default.
var cluster = install.Cluster{Out: os.Stdout}

// hostAddress is where servers on this machine are reached by pods.
var hostAddress string

func TestMain(m *testing.M) {
	if err := setUp(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: set up:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func setUp(ctx context.Context) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	for _, step := range []struct {
		does string
		step func(context.Context) error
	}{{"cluster", cluster.Up}, {"images", cluster.Images}, {"install", cluster.Refold}, {"redis", findHostAddress}} {
		begun := time.Now()
		if err := step.step(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.does, err)
		}
		fmt.Printf("e2e: %s ready after %.1f s\n", step.does, time.Since(begun).Seconds())
	}
	return nil
}

// findHostAddress learns the bridge's address from the testbed's own Redis.
func findHostAddress(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, install.Testbed, "redis", "up").Output()
	if err != nil {
		return err
	}
	hostAddress, _, err = net.SplitHostPort(strings.TrimSpace(string(out)))
	return err
}
