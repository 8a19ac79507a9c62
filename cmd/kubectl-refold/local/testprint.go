package local

import (
	"fmt"
	"strings"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/cases"
)

func (o *testOptions) print(outcomes []cases.Outcome) error {
	switch {
	case o.output.Is(tap):
		return cases.TAP(o.Streams.Out, outcomes)
	case o.output.Is(junit):
		return cases.JUnit(o.Streams.Out, outcomes)
	case o.output.Structured():
		return o.output.Print(o.Streams.Out, o.result(outcomes))
	}
	for _, outcome := range outcomes {
		o.printOutcome(outcome)
	}
	if o.coverage.asked {
		for _, c := range o.coverages {
			o.printCoverage(c)
		}
	}
	return nil
}

func (o *testOptions) printOutcome(outcome cases.Outcome) {
	paint, out := o.Paint(), o.Streams.Out
	fmt.Fprintln(out, paint.Strong(outcome.File))
	if outcome.Broken != "" {
		fmt.Fprintln(out, "  "+paint.Bad("cannot be run"))
		printIndented(o.Factory, outcome.Broken, "        ")
		return
	}
	failed := 0
	for _, r := range outcome.Results {
		switch {
		case !r.Failed():
			fmt.Fprintf(out, "  %s    %s\n", paint.Good("ok"), cli.Safe(r.Case.Name))
			continue
		case o.update && r.Updatable():
			fmt.Fprintf(out, "  %s   %s\n", paint.Busy("new"), cli.Safe(r.Case.Name))
			continue
		}
		failed++
		fmt.Fprintf(out, "  %s  %s\n", paint.Bad("FAIL"), cli.Safe(r.Case.Name))
		for _, f := range r.Failures {
			lines := cli.Wrap(cli.Safe(f.Message), width-8)
			fmt.Fprintln(out, "        "+strings.Join(lines, "\n          "))
			fmt.Fprintln(out, "          "+paint.Faint(fmt.Sprintf("%s:%d:%d", outcome.File, f.Line, f.Column)))
		}
	}
	total := plural(len(outcome.Results), "case")
	if failed > 0 {
		total += ", " + paint.Bad(cli.Count(int64(failed))+" failed")
	}
	fmt.Fprintf(out, "  %s\n", total)
}

// printCoverage lists the rules and what they do, with how often cases did that.
func (o *testOptions) printCoverage(c *covered) {
	paint := o.Paint()
	hit, all := c.coverage.Hit()
	fmt.Fprintf(o.Streams.Out, "coverage of %s: %d of %d, %.1f %%\n", c.manifest, hit, all, c.coverage.Percent())
	for _, item := range c.coverage.Items() {
		name := fmt.Sprintf("rules[%d] %s", item.Rule, item.On)
		if item.Of != "" {
			name = "    " + item.Of
		}
		name = cli.Clip(cli.Safe(name), 50)
		line := fmt.Sprintf("%7s  %s", cli.Count(int64(item.Count)), name)
		if item.Count == 0 {
			line = paint.Bad(fmt.Sprintf("%7s  %-50s", "never", name)) + " " + paint.Faint(fmt.Sprintf("line %d", c.document.Value(item.Path).Line))
		}
		fmt.Fprintln(o.Streams.Out, line)
	}
}

// testResult is what -o json prints.
type testResult struct {
	Files    []testFile     `json:"files"`
	Coverage []testCoverage `json:"coverage,omitempty"`
}

type testFile struct {
	File   string     `json:"file"`
	Broken string     `json:"broken,omitempty"`
	Cases  []testCase `json:"cases"`
}

type testCase struct {
	Name     string        `json:"name"`
	Line     int           `json:"line"`
	OK       bool          `json:"ok"`
	Failures []testFailure `json:"failures,omitempty"`
}

type testFailure struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

type testCoverage struct {
	Manifest string       `json:"manifest"`
	Percent  float64      `json:"percent"`
	Items    []cases.Item `json:"items"`
}

func (o *testOptions) result(outcomes []cases.Outcome) testResult {
	out := testResult{Files: []testFile{}}
	for _, outcome := range outcomes {
		file := testFile{File: outcome.File, Broken: outcome.Broken, Cases: []testCase{}}
		for _, r := range outcome.Results {
			one := testCase{Name: r.Case.Name, Line: r.Case.Line, OK: !r.Failed()}
			for _, f := range r.Failures {
				one.Failures = append(one.Failures, testFailure{f.Line, f.Column, f.Message})
			}
			file.Cases = append(file.Cases, one)
		}
		out.Files = append(out.Files, file)
	}
	if o.coverage.asked {
		for _, c := range o.coverages {
			out.Coverage = append(out.Coverage, testCoverage{c.manifest, c.coverage.Percent(), c.coverage.Items()})
		}
	}
	return out
}
