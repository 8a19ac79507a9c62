package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// foldBenchmark is the benchmark of the fold path alone; one operation is one event.
const foldBenchmark = "BenchmarkFold"

// foldGroup asks Go's own benchmark, once a round.
func (b *bench) foldGroup(ctx context.Context) ([]result, error) {
	runs, err := b.benchmark(ctx, "projector/engine", foldBenchmark, []string{"allocs/op", "ns/op"}, "-benchmem", "-count", strconv.Itoa(b.rounds))
	if err != nil {
		return nil, err
	}
	return []result{
		row("fold.allocs_per_event", "allocs", runs["allocs/op"]).aim(atMost, 0),
		row("fold.ns_per_event", "ns", runs["ns/op"]),
	}, nil
}

// benchmark runs one of Go's own, of a package of this module, and returns its
// figures by unit, of which those in want are there.
func (b *bench) benchmark(ctx context.Context, pkg, name string, want []string, flags ...string) (map[string][]float64, error) {
	args := append([]string{"test", module + pkg, "-run", "^$", "-bench", "^" + name + "$"}, flags...)
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	runs := parseBenchmark(string(out), name)
	for _, unit := range want {
		if len(runs[unit]) == 0 {
			return nil, fmt.Errorf("%s of %s has no %s:\n%s", name, pkg, unit, out)
		}
	}
	return runs, nil
}

// parseBenchmark reads the figures of one benchmark, by unit, in the order of
// its runs. The output's lines are a name with the number of processors, a count
// of operations, and pairs of figure and unit.
func parseBenchmark(output, name string) map[string][]float64 {
	runs := map[string][]float64{}
	for line := range strings.Lines(output) {
		words := strings.Fields(line)
		if len(words) < 4 || words[0] != name && !strings.HasPrefix(words[0], name+"-") {
			continue
		}
		for pair := words[2:]; len(pair) >= 2; pair = pair[2:] {
			if value, err := strconv.ParseFloat(pair[0], 64); err == nil {
				runs[pair[1]] = append(runs[pair[1]], value)
			}
		}
	}
	return runs
}
