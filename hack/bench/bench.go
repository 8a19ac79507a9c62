package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/refold-dev/refold/hack/testbed/redis"
)

// group is what is measured together, on a server of its own.
type group struct {
	name string
	run  func(*bench, context.Context) ([]result, error)
}

// groups in the order in which they run.
var groups = []group{
	{"replay", (*bench).replayGroup},
	{"zipf", (*bench).zipfGroup},
	{"unique", (*bench).uniqueGroup},
	{"large", (*bench).largeGroup},
	{"rules", (*bench).rulesGroup},
	{"fold", (*bench).foldGroup},
	{"live", (*bench).liveGroup},
	{"rate", (*bench).rateGroup},
	{"replay-cycle", (*bench).cycleGroup},
	{"inspect", (*bench).inspectGroup},
}

func groupNames() []string {
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
	}
	return names
}

// choose takes the groups of a list with commas; an empty one names all.
func choose(only string) ([]group, error) {
	if only == "" {
		return groups, nil
	}
	var chosen []group
	for name := range strings.SplitSeq(only, ",") {
		i := slices.Index(groupNames(), strings.TrimSpace(name))
		if i < 0 {
			return nil, fmt.Errorf("there is no group %q; there are %s", name, strings.Join(groupNames(), ", "))
		}
		chosen = append(chosen, groups[i])
	}
	return chosen, nil
}

// bench is what the groups share.
type bench struct {
	sizes
	redisServer string // the program
	dir         string // binaries, contracts, logs; gone with the bench
	progress    io.Writer
}

func newBench(s sizes, progress io.Writer) (*bench, error) {
	program, err := redis.EnsureInstalled(progress)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "refold-bench-")
	if err != nil {
		return nil, err
	}
	return &bench{sizes: s, redisServer: program, dir: dir, progress: progress}, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.progress, format+"\n", args...) }

const module = "github.com/refold-dev/refold/"

// The projectors that are run.
const (
	theProjector       = module + "cmd/projector"
	projectorInGo      = module + "hack/bench/goreducer"
	projectorProfiling = module + "hack/bench/profiled"
)

// build makes the binary of a main package of this module.
func (b *bench) build(ctx context.Context, pkg string) (string, error) {
	binary := filepath.Join(b.dir, path.Base(pkg))
	out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, pkg).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return binary, nil
}
