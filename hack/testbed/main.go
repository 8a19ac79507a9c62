// Command testbed stands up a real one-node Kubernetes, and Redis servers, on a bare Debian machine, and takes them down
// without a trace. `make demo`, `make test`, `make e2e` and CI use it; it is no way to run anything that must last.
//
// This package only reads the command line; each of its files is one or a few subcommands.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/refold-dev/refold/hack/testbed/node"
	"github.com/refold-dev/refold/hack/testbed/progress"
)

// command is one subcommand. What it prints on standard output is its result; progress goes to log.
type command struct {
	name, arguments, about string
	run                    func(bed testbed, args []string) error
}

// commands is a function because one of them, help, is about all of them.
func commands() []command {
	return []command{
		{"up", "", "stand up the cluster, or mend it; prints the kubeconfig's path", up},
		{"down", "", "remove the cluster and all that it made", down},
		{"status", "", "show each part; exit code 3 unless all are healthy", status},
		{"env", "", "print what a shell evaluates to use the cluster", printEnv},
		{"assets", "", "print the folder with etcd, kube-apiserver and kubectl for envtest", printAssets},
		{"image", "-o FILE -name NAME:TAG [-ca] BINARY…", "make an image archive from static binaries", makeImage},
		{"load", "FILE…", "load image archives into the cluster", load},
		{"redis", "install", "install redis-server if there is none; prints its path", runRedis},
		{"redis", "versions | fetch VERSION", "download other server programs; prints their paths", runRedis},
		{"redis", "up [-port N] [-- ARG…] | down", "run a server that pods reach; prints its host:port", runRedis},
		{"leaks", "", "list what `down` left behind; fails when there is anything", leaks},
		{node.InsideCommand, "", "", insideNode},
	}
}

// testbed is what every subcommand works on.
type testbed struct {
	log    *progress.Log
	folder string // all state; see defaultFolder
}

// exitCode is an error that only sets the exit code: what there was to say has been said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	err := run(os.Args[1:])
	var code exitCode
	switch {
	case err == nil:
	case errors.As(err, &code):
		os.Exit(int(code))
	default:
		fmt.Fprintf(os.Stderr, "testbed: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	folder, err := stateFolder()
	if err != nil {
		return err
	}
	if len(args) > 0 {
		for _, known := range commands() {
			if known.name == args[0] {
				return known.run(testbed{log: progress.New(os.Stderr), folder: folder}, args[1:])
			}
		}
	}
	usage()
	return exitCode(2)
}

func usage() {
	fmt.Fprint(os.Stderr, "usage: go run ./hack/testbed COMMAND\n\n")
	for _, known := range commands() {
		if known.about != "" {
			fmt.Fprintf(os.Stderr, "  %-45s %s\n", known.name+" "+known.arguments, known.about)
		}
	}
	fmt.Fprintf(os.Stderr, "\nAll state is below %s; set %s to have it elsewhere.\n", defaultFolder, folderVariable)
}

const (
	folderVariable = "REFOLD_TESTBED_DIR"
	defaultFolder  = "/var/lib/refold-testbed"
)

func stateFolder() (string, error) {
	if named := os.Getenv(folderVariable); named != "" {
		return filepath.Abs(named)
	}
	return defaultFolder, nil
}
