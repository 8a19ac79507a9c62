// Command kubectl-refold is Refold's tool for people: a kubectl plugin that also
// runs by itself. Flags and wiring only.
package main

import (
	"os"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cluster"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local"
	"github.com/refold-dev/refold/cmd/kubectl-refold/pod"
	"github.com/refold-dev/refold/projector/reduce/builtin"
)

var version = "dev"

func main() {
	os.Exit(cli.Main(version, cluster.Group, pod.Group, local.Commands(builtin.Registry())))
}
