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
	out, err := exec.CommandContext(ctx, "go", "test", module+"projector/engine", "-run", "^$",
		"-bench", "^"+foldBenchmark+"$", "-benchmem", "-count", strconv.Itoa(b.rounds)).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	runs := parseBenchmark(string(out), foldBenchmark)
	allocs, nanos := runs["allocs/op"], runs["ns/op"]
	if len(allocs) == 0 || len(nanos) == 0 {
		return nil, fmt.Errorf("projector/engine has no %s:\n%s", foldBenchmark, out)
	}
	return []result{
		row("fold.allocs_per_event", "allocs", allocs).aim(atMost, 0),
		row("fold.ns_per_event", "ns", nanos),
	}, nil
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
