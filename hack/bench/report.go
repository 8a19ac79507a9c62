package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is build/bench.json: the results, and on what they were measured.
type report struct {
	Date    string   `json:"date"`
	Go      string   `json:"go"`
	Redis   string   `json:"redis"`
	CPU     string   `json:"cpu"`
	Cores   int      `json:"cores"`
	Command string   `json:"command"`
	Results []result `json:"results"`
}

func newReport(ctx context.Context, redisServer string, results []result) report {
	version, _ := exec.CommandContext(ctx, redisServer, "--version").Output()
	return report{
		Date:    time.Now().UTC().Format(time.RFC3339),
		Go:      runtime.Version(),
		Redis:   strings.TrimSpace(string(version)),
		CPU:     cpuName(),
		Cores:   runtime.NumCPU(),
		Command: strings.Join(append([]string{"go run ./hack/bench"}, os.Args[1:]...), " "),
		Results: results,
	}
}

// cpuName is the model as Linux tells it, empty elsewhere.
func cpuName() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// merged keeps the rows of an earlier report that r does not have. One that
// cannot be read is replaced.
func (r report) merged(file string) report {
	var earlier report
	data, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(data, &earlier) != nil {
		return r
	}
	all := earlier.Results
	for _, fresh := range r.Results {
		i := slices.IndexFunc(all, func(old result) bool { return old.Name == fresh.Name })
		if i < 0 {
			all = append(all, fresh)
		} else {
			all[i] = fresh
		}
	}
	r.Results = all
	return r
}

func (r report) write(file string) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false) // ">=" is for people
	if err := encoder.Encode(r); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text.Bytes(), 0o644)
}

func printTable(out io.Writer, results []result) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "name\tmedian\tmin\tmax\tunit\tbaseline\tgoal\t")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%.3f\t%s\t%s\t%s\t%s\n", r.Name, r.Value, r.Min, r.Max, r.Unit, r.Baseline, r.Goal, r.verdict())
	}
	_ = w.Flush()
}

func (b *baseline) String() string {
	if b == nil {
		return "–"
	}
	return fmt.Sprintf("%s: %.3f %s", b.Name, b.Value, b.Unit)
}

func (g *goal) String() string {
	if g == nil {
		return "–"
	}
	return fmt.Sprintf("%s %g", g.Op, g.Value)
}

func (r result) verdict() string {
	switch {
	case r.Met == nil:
		return ""
	case *r.Met:
		return "met"
	}
	return "short"
}
