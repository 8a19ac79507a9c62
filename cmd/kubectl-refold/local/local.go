// Package local is the commands that need no cluster: lint, test, fold and plan,
// which can do without one. It is their flags and what they print; what they find
// out is in the packages below it.
package local

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/manifest"
	"github.com/refold-dev/refold/projector"
)

// Commands are the group of these commands, with the reducers that manifests may
// name.
func Commands(registry projector.Registry) func(*cli.Factory) cli.Group {
	return func(f *cli.Factory) cli.Group {
		return cli.Group{
			ID:    "local",
			Title: "Before applying:",
			Commands: []*cobra.Command{
				newLint(f, registry),
				newTest(f, registry),
				newFold(f, registry),
			},
		}
	}
}

// sources are the flags that name manifests.
type sources struct {
	files []string
	dir   string
}

func (s *sources) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&s.files, "filename", "f", nil, "a file, a directory of them, or - for standard input; may be repeated")
	cmd.Flags().StringVarP(&s.dir, "kustomize", "k", "", "a directory with a kustomization")
	_ = cmd.MarkFlagFilename("filename", "yaml", "yml", "json")
	_ = cmd.MarkFlagDirname("kustomize")
}

// check refuses a command line that names no manifest, or names them in two ways.
func (s *sources) check() error {
	switch {
	case len(s.files) == 0 && s.dir == "":
		return cli.Usagef("no manifest is named").WithHint("name one with -f FILE, or a kustomization with -k DIRECTORY")
	case len(s.files) > 0 && s.dir != "":
		return cli.Usagef("-f and -k do not go together")
	}
	return nil
}

func (s *sources) String() string {
	if s.dir != "" {
		return s.dir
	}
	return strings.Join(s.files, ", ")
}

// read returns what is Refold's, and says on stderr what is passed over.
func (s *sources) read(f *cli.Factory) (ours []*manifest.Document, problems []*manifest.Problem, err error) {
	if err := s.check(); err != nil {
		return nil, nil, err
	}
	documents, problems, err := s.load(f)
	if err != nil {
		return nil, nil, err
	}
	var others []string
	for _, d := range documents {
		if problem := d.Unknown(); problem != nil {
			problems = append(problems, problem)
			continue
		}
		if d.IsOurs() {
			ours = append(ours, d)
			continue
		}
		others = append(others, d.Kind()+" "+d.Name())
	}
	if n := len(others); n > 0 {
		const most = 3
		names := strings.Join(others[:min(n, most)], ", ")
		if n > most {
			names += fmt.Sprintf(" and %s more", cli.Count(int64(n-most)))
		}
		fmt.Fprintf(f.Streams.ErrOut, "note: passed over, being no Projection: %s\n", cli.Safe(names))
	}
	return ours, problems, nil
}

func (s *sources) load(f *cli.Factory) ([]*manifest.Document, []*manifest.Problem, error) {
	if s.dir != "" {
		return manifest.Kustomization(s.dir)
	}
	return manifest.Files(s.files, f.Streams.In)
}

// nothing is the error of manifests without a Projection.
func (s *sources) nothing() error {
	return cli.Failf("there is no Projection in %s", s).WithHint("a Projection has apiVersion: refold.dev/v1alpha1 and kind: Projection")
}
