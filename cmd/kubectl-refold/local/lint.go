package local

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/lint"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/manifest"
	"github.com/refold-dev/refold/projector"
)

type lintOptions struct {
	*cli.Factory
	sources
	registry projector.Registry
	output   cli.Output
	notes    bool
}

func newLint(f *cli.Factory, registry projector.Registry) *cobra.Command {
	o := &lintOptions{Factory: f, registry: registry}
	cmd := &cobra.Command{
		Use:   "lint (-f FILE | -k DIRECTORY)",
		Short: "Say what the API server and the operator would say of a manifest",
		Long: `Check manifests without a cluster: all that the API server and the operator would
refuse, each with its place in the file, and advice.

Errors are what would be refused. Warnings are most likely not what was meant. The
exit code is 2 if there are errors, and 0 otherwise.`,
		Example: `  kubectl refold lint -f user-profile.yaml
  kubectl refold lint -f deploy/ --notes
  kubectl refold lint -k overlays/production -o json
  helm template . | kubectl refold lint -f -`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.notes, "notes", false, "print notes too: what is good to know and needs no change")
	o.output.AddFlag(cmd, cli.JSON, cli.YAML)
	return cmd
}

// lintResult is what -o json prints.
type lintResult struct {
	Projections int            `json:"projections"`
	Errors      int            `json:"errors"`
	Warnings    int            `json:"warnings"`
	Notes       int            `json:"notes"`
	Findings    []lint.Finding `json:"findings"`
}

func (o *lintOptions) run(ctx context.Context) error {
	documents, problems, err := o.read(o.Factory)
	if err != nil {
		return err
	}
	if len(documents)+len(problems) == 0 {
		return o.nothing()
	}
	findings, err := check(ctx, o.registry, documents, problems)
	if err != nil {
		return err
	}
	result := lintResult{Projections: len(documents), Findings: findings}
	for _, f := range findings {
		*map[lint.Severity]*int{lint.Error: &result.Errors, lint.Warning: &result.Warnings, lint.Note: &result.Notes}[f.Severity]++
	}
	if err := o.print(result); err != nil {
		return err
	}
	if result.Errors > 0 {
		return cli.Finding()
	}
	return nil
}

// check is all that is said of documents, file by file.
func check(ctx context.Context, registry projector.Registry, documents []*manifest.Document, problems []*manifest.Problem) ([]lint.Finding, error) {
	linter, err := lint.New(registry)
	if err != nil {
		return nil, err
	}
	findings := []lint.Finding{}
	for _, p := range problems {
		findings = append(findings, lint.Problem(p))
	}
	for _, d := range documents {
		findings = append(findings, linter.Document(ctx, d)...)
	}
	findings = append(findings, lint.Together(documents)...)
	var files []string
	for _, f := range findings {
		if !slices.Contains(files, f.File) {
			files = append(files, f.File)
		}
	}
	slices.SortStableFunc(findings, func(a, b lint.Finding) int {
		if a.File != b.File {
			return slices.Index(files, a.File) - slices.Index(files, b.File)
		}
		return a.Line - b.Line
	})
	return findings, nil
}

func (o *lintOptions) print(result lintResult) error {
	if o.output.Structured() {
		return o.output.Print(o.Streams.Out, result)
	}
	printFindings(o.Factory, result.Findings, o.notes)
	summary := fmt.Sprintf("%s: %s, %s", plural(result.Projections, "Projection"), plural(result.Errors, "error"), plural(result.Warnings, "warning"))
	if result.Notes > 0 && !o.notes {
		summary += fmt.Sprintf(", and %s that --notes shows", plural(result.Notes, "note"))
	}
	_, err := fmt.Fprintln(o.Streams.ErrOut, summary)
	return err
}

// printFindings writes each finding as compilers do, file:line:column first, so
// that editors find the place.
func printFindings(f *cli.Factory, findings []lint.Finding, notes bool) {
	paint := f.Paint()
	colours := map[lint.Severity]func(string) string{lint.Error: paint.Bad, lint.Warning: paint.Busy, lint.Note: paint.Faint}
	for _, finding := range findings {
		if finding.Severity == lint.Note && !notes {
			continue
		}
		head := manifest.Position{File: finding.File, Line: finding.Line, Column: finding.Column}.String() + ": " + colours[finding.Severity](string(finding.Severity))
		if finding.Path != "" {
			head += ": " + finding.Path
		}
		fmt.Fprintln(f.Streams.Out, head)
		printIndented(f, finding.Message, "    ")
		for line := range strings.Lines(finding.Excerpt) {
			fmt.Fprintln(f.Streams.Out, "        "+strings.TrimRight(line, "\n"))
		}
	}
}

// width is how wide text is set that is read as prose.
const width = 80

func printIndented(f *cli.Factory, text, indent string) {
	for paragraph := range strings.Lines(text) {
		for _, line := range cli.Wrap(cli.Safe(strings.TrimSuffix(paragraph, "\n")), width-len(indent)) {
			fmt.Fprintln(f.Streams.Out, indent+line)
		}
	}
}

// plural is "1 error" or "2 errors".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return cli.Count(int64(n)) + " " + one + "s"
}
