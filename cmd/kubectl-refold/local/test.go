package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/cases"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/manifest"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector"
)

// Formats of test.
const (
	tap   = "tap"
	junit = "junit"
)

type testOptions struct {
	*cli.Factory
	registry projector.Registry
	output   cli.Output
	only     string
	update   bool
	coverage percent

	match     *regexp.Regexp
	coverages []*covered
}

// covered is what all files of cases have made one manifest do.
type covered struct {
	manifest, name string
	document       *manifest.Document
	coverage       *cases.Coverage
}

func newTest(f *cli.Factory, registry projector.Registry) *cobra.Command {
	o := &testOptions{Factory: f, registry: registry}
	cmd := &cobra.Command{
		Use:   "test FILE…",
		Short: "Run examples of given events and the state that must come of them",
		Long: `Fold the events of examples in memory, and compare. No server is asked.

A file of cases stands beside the manifest that it is about; docs/test-projections.md
has all that can stand in it. Of a directory, all files below it are run whose names
end in _test.yaml.

The exit code is 2 if a case fails or less is covered than was asked for, and 1 if a
file could not be run.`,
		Example: `  kubectl refold test user-profile_test.yaml
  kubectl refold test config/ --run 'order' --coverage
  kubectl refold test . --coverage=90 -o junit > report.xml
  kubectl refold test user-profile_test.yaml --update`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	cmd.Flags().StringVar(&o.only, "run", "", "run the cases alone whose name matches this regular expression")
	cmd.Flags().BoolVar(&o.update, "update", false, "write what came of failing cases into their files, as their then")
	cmd.Flags().Var(&o.coverage, "coverage", "say which rules and fields no case has reached; with =PERCENT, ask for so many")
	cmd.Flags().Lookup("coverage").NoOptDefVal = "0"
	o.output.AddFlag(cmd, tap, junit, cli.JSON, cli.YAML)
	return cmd
}

// percent is a flag with an optional number.
type percent struct {
	asked bool
	least float64
}

func (p *percent) String() string { return "" }

// Type implements pflag.Value.
func (p *percent) Type() string { return "percent" }

// Set implements pflag.Value.
func (p *percent) Set(text string) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || n < 0 || n > 100 {
		return errors.New("it is a number from 0 to 100")
	}
	p.asked, p.least = true, n
	return nil
}

func (o *testOptions) run(ctx context.Context, args []string) error {
	var err error
	if o.match, err = regexp.Compile(o.only); err != nil {
		return cli.Usagef("--run: %v", err)
	}
	files, err := caseFiles(args)
	if err != nil {
		return err
	}
	var outcomes []cases.Outcome
	for _, file := range files {
		outcome := o.file(ctx, file)
		if o.only == "" || len(outcome.Results) > 0 || outcome.Broken != "" {
			outcomes = append(outcomes, outcome)
		}
	}
	if len(outcomes) == 0 {
		return cli.Failf("no case matches --run %q", o.only)
	}
	if err := o.print(outcomes); err != nil {
		return err
	}
	return o.verdict(outcomes)
}

// caseFiles are the files that arguments name.
func caseFiles(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err != nil:
			return nil, cli.Failf("%v", err)
		case !info.IsDir():
			files = append(files, arg)
			continue
		}
		before := len(files)
		err = filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
			name := strings.TrimSuffix(strings.TrimSuffix(path, ".yml"), ".yaml")
			if err == nil && !entry.IsDir() && name != path && strings.HasSuffix(name, "_test") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(files) == before {
			return nil, cli.Failf("%s has no file whose name ends in _test.yaml", arg)
		}
	}
	return files, nil
}

// file runs what stands in one file.
func (o *testOptions) file(ctx context.Context, name string) cases.Outcome {
	out := cases.Outcome{File: name}
	suite, covered, err := o.suite(ctx, name)
	if err != nil {
		out.Broken = err.Error()
		return out
	}
	if o.coverage.asked {
		out.Coverage = covered.coverage
	}
	for _, c := range suite.Cases {
		if !o.match.MatchString(c.Name) {
			continue
		}
		result, err := suite.Run(c, covered.coverage)
		if err != nil {
			out.Broken = err.Error()
			return out
		}
		out.Results = append(out.Results, result)
	}
	if o.update {
		out.Broken = o.rewrite(suite, out.Results)
	}
	return out
}

func (o *testOptions) suite(ctx context.Context, name string) (*cases.Suite, *covered, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	file, err := cases.Parse(name, text)
	if err != nil {
		return nil, nil, err
	}
	c, err := o.covered(ctx, file)
	if err != nil {
		return nil, nil, err
	}
	p, err := c.document.Projection()
	if err != nil {
		return nil, nil, err
	}
	return &cases.Suite{File: file, Document: resources.Document(p), Registry: o.registry}, c, nil
}

// covered reads the manifest that cases are about, unless it was read already.
func (o *testOptions) covered(ctx context.Context, file *cases.File) (*covered, error) {
	for _, c := range o.coverages {
		if c.manifest == file.Projection && c.name == file.Of {
			return c, nil
		}
	}
	document, err := findProjection(file.Projection, file.Of)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name, err)
	}
	if err := sound(ctx, o.registry, document); err != nil {
		return nil, err
	}
	p, err := document.Projection()
	if err != nil {
		return nil, err
	}
	c := &covered{file.Projection, file.Of, document, cases.NewCoverage(resources.Document(p).Reducer)}
	o.coverages = append(o.coverages, c)
	return c, nil
}

// findProjection finds the one Projection of a file, or the one of that name.
func findProjection(path, name string) (*manifest.Document, error) {
	documents, problems, err := manifest.Files([]string{path}, nil)
	if err != nil {
		return nil, err
	}
	return one(documents, problems, name, path)
}

// rewrite puts what came of failing cases into their file.
func (o *testOptions) rewrite(suite *cases.Suite, results []*cases.Result) (broken string) {
	text, updated, err := suite.Update(slices.Clone(results))
	if err == nil && updated > 0 {
		err = replace(suite.Name, text)
	}
	if err != nil {
		return err.Error()
	}
	if updated > 0 {
		fmt.Fprintf(o.Streams.ErrOut, "%s: %s updated\n", suite.Name, plural(updated, "case"))
	}
	return ""
}

// replace writes a file whole, or leaves it as it is.
func replace(name string, text []byte) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(text)
	if err = errors.Join(err, temporary.Chmod(info.Mode().Perm()), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}

// verdict is the command's end.
func (o *testOptions) verdict(outcomes []cases.Outcome) error {
	failed, broken := 0, 0
	for _, outcome := range outcomes {
		if outcome.Broken != "" {
			broken++
		}
		for _, r := range outcome.Results {
			if r.Failed() && (!o.update || !r.Updatable()) {
				failed++
			}
		}
	}
	for _, c := range o.coverages {
		if o.coverage.asked && c.coverage.Percent() < o.coverage.least {
			failed++
			fmt.Fprintf(o.Streams.ErrOut, "%s: %.1f %% is covered, and %g %% was asked for\n", c.manifest, c.coverage.Percent(), o.coverage.least)
		}
	}
	switch {
	case broken > 0:
		return cli.Failf("%s could not be run", plural(broken, "file"))
	case failed > 0:
		return cli.Finding()
	}
	return nil
}
