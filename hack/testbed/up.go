package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/refold-dev/refold/hack/testbed/apt"
	"github.com/refold-dev/refold/hack/testbed/control"
	"github.com/refold-dev/refold/hack/testbed/image"
	"github.com/refold-dev/refold/hack/testbed/layout"
	"github.com/refold-dev/refold/hack/testbed/node"
	"github.com/refold-dev/refold/hack/testbed/part"
)

// up makes the cluster, or mends what is missing of it, and prints the path of its kubeconfig.
func up(bed testbed, _ []string) error {
	ctx := context.Background()
	if os.Geteuid() != 0 {
		return errors.New("a node needs root: run this as root, or use a cluster you have")
	}
	unlock, err := bed.lockFolder()
	if err != nil {
		return err
	}
	defer unlock()
	if bed.newCluster(programs{}).problem(ctx) == nil {
		bed.log.Say("up already, all healthy")
		return bed.announce()
	}
	if err := bed.installPackages(); err != nil {
		return err
	}
	if err := node.ClaimMachine(bed.place()); err != nil {
		return err
	}
	built, err := bed.ensurePrograms()
	if err != nil {
		return err
	}
	if err := bed.raise(ctx, bed.newCluster(built), built); err != nil {
		return fmt.Errorf("%w\n`go run ./hack/testbed up` again mends what is missing; `… down` removes all", err)
	}
	bed.log.Say("up after %s", bed.log.Elapsed())
	return bed.announce()
}

func (t testbed) installPackages() error {
	missing := node.Missing()
	if len(missing) == 0 {
		return nil
	}
	return t.log.Step("installing Debian's "+strings.Join(missing, " "), func(func(string)) error {
		return apt.Install(t.log, missing...)
	})
}

// raise starts the parts, each as soon as what it needs is there: the node needs no API server to begin with, and the last
// four need nothing of each other.
func (t testbed) raise(ctx context.Context, c cluster, built programs) error {
	if err := t.log.Step("keys and configuration", func(func(string)) error { return c.prepare() }); err != nil {
		return err
	}
	err := t.together(
		func() error {
			if err := t.ensure(ctx, c.node.Agent()); err != nil {
				return err
			}
			return t.loadPause(c, built.pause)
		},
		func() error { return t.raisePlane(ctx, c) },
	)
	if err != nil {
		return err
	}
	return t.log.Step("node ready", func(func(string)) error { return awaitUsable(ctx, c.place) })
}

func (t testbed) raisePlane(ctx context.Context, c cluster) error {
	for _, first := range []part.Part{c.plane.Store(), c.plane.APIServer()} {
		if err := t.ensure(ctx, first); err != nil {
			return err
		}
	}
	return t.together(
		func() error { return t.ensure(ctx, c.plane.Controllers()) },
		func() error { return t.ensure(ctx, c.plane.Scheduler()) },
		func() error { return t.ensure(ctx, c.node.Proxy()) },
		func() error {
			if err := c.apply(control.DNSRules); err != nil {
				return err
			}
			return t.ensure(ctx, c.plane.DNS())
		},
	)
}

func (c cluster) prepare() error {
	if err := c.plane.Prepare(); err != nil {
		return err
	}
	return c.node.Prepare()
}

func (t testbed) ensure(ctx context.Context, wanted part.Part) error {
	return t.log.Step(wanted.Spec.Name+" healthy", func(func(string)) error {
		return wanted.Ensure(ctx, t.place().Processes())
	})
}

// loadPause gives the node the image of its sandboxes, which no registry here has.
func (t testbed) loadPause(c cluster, folder string) error {
	if c.node.Has(layout.PauseImage) {
		return nil
	}
	return t.log.Step("sandbox image loaded", func(func(string)) error {
		archive := c.place.Path("pause.tar")
		spec := image.Spec{Name: layout.PauseImage, Binaries: []string{filepath.Join(folder, "pause")}}
		if err := image.Write(spec, archive); err != nil {
			return err
		}
		return c.node.Load(archive)
	})
}

// apply applies a manifest with kubectl.
func (c cluster) apply(manifest string) error {
	command := exec.Command(filepath.Join(c.plane.Kubernetes, "kubectl"), "--kubeconfig", c.place.AdminKubeconfig(),
		"apply", "--server-side", "-f", "-")
	command.Stdin = strings.NewReader(manifest)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %w: %s", err, output)
	}
	return nil
}

func awaitUsable(ctx context.Context, place layout.Layout) error {
	return part.Await(ctx, time.Minute, func(ctx context.Context) (bool, error) {
		return true, errors.Join(control.NodeReady(ctx, place), control.NamespaceUsable(ctx, place))
	})
}

// together runs the functions at once and returns their errors joined.
func (t testbed) together(functions ...func() error) error {
	failed := make([]error, len(functions))
	var running sync.WaitGroup
	for i, function := range functions {
		running.Go(func() { failed[i] = function() })
	}
	running.Wait()
	return errors.Join(failed...)
}

func (t testbed) announce() error {
	t.log.Say("eval \"$(go run ./hack/testbed env)\" sets KUBECONFIG, KUBEBUILDER_ASSETS and PATH")
	fmt.Println(t.place().AdminKubeconfig())
	return nil
}
