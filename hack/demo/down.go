package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// down takes away all that the demo made: the testbed with everything in it,
// or, in a cluster of the caller's, the Projection, its Redis and Refold.
func (d *demo) down(ctx context.Context) error {
	if d.cluster.Context == "" {
		cmd := exec.CommandContext(ctx, "go", "run", "./hack/testbed", "down")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		return cmd.Run()
	}
	if _, err := d.kubectl(ctx, "delete", "projection", projection, "--ignore-not-found", "--timeout=60s"); err != nil {
		fmt.Fprintln(os.Stderr, "demo: the Projection does not go, its finalizer is told to give up:", err)
		if _, err := d.kubectl(ctx, "annotate", "projection", projection, "refold.dev/abandon=true"); err != nil {
			return err
		}
	}
	if _, err := d.cluster.Kubectl(ctx, "", "delete", "namespace", namespace, "--ignore-not-found"); err != nil {
		return err
	}
	return d.cluster.Remove(ctx)
}
