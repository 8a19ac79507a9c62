package local

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/projector/reduce/builtin"
)

var update = flag.Bool("update", false, "write the golden files anew")

// run executes the program with these commands.
func run(in string, args ...string) (out, errOut string, code int) {
	streams, stdin, stdout, stderr := genericiooptions.NewTestIOStreams()
	stdin.WriteString(in)
	f := cli.NewFactory(streams, "test")
	root := cli.New(f, Commands(builtin.Registry()))
	root.SetArgs(args)
	code = cli.Run(context.Background(), root, stderr)
	return stdout.String(), stderr.String(), code
}

// golden runs a command and compares all that it prints with a file.
func golden(t *testing.T, file, in string, args ...string) {
	t.Helper()
	out, errOut, code := run(in, args...)
	compare(t, file, everything(out, errOut, code))
}

func everything(out, errOut string, code int) string {
	return fmt.Sprintf("%s\n---- stderr ----\n%s---- exit code %d ----\n", strings.TrimSuffix(out, "\n"), errOut, code)
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	results, _, _ := strings.Cut(got, "---- stderr ----")
	for line := range strings.Lines(results) {
		if n := len([]rune(line)); n > 81 && !strings.ContainsAny(line, "{}\"") {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))), got); diff != "" {
		t.Error(diff)
	}
}

func TestLintSaysWhatIsWrongAndWhere(t *testing.T) {
	files, err := filepath.Glob("testdata/lint/*.[yj][as][mo][ln]")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Chdir("testdata/lint")
			golden(t, filepath.Base(file)+".golden", "", "lint", "--notes", "-f", filepath.Base(file))
		})
	}
}

func TestLintReadsKustomizationsStandardInputAndDirectories(t *testing.T) {
	content, err := os.ReadFile("testdata/lint/compile.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		in   string
		args []string
	}{
		"kustomization":    {"", []string{"-k", "testdata/lint/kustomization"}},
		"no-kustomization": {"", []string{"-k", "testdata/lint"}},
		"stdin":            {string(content), []string{"-f", "-"}},
		"json":             {string(content), []string{"-f", "-", "-o", "json"}},
		"directory":        {"", []string{"-f", "testdata/lint/kustomization"}},
		"no-file":          {"", []string{"-f", "testdata/nowhere.yaml"}},
		"no-flag":          {"", nil},
		"both-flags":       {"", []string{"-f", "a", "-k", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, filepath.Join("testdata", "lint-"+name+".golden"), test.in, append([]string{"lint"}, test.args...)...)
		})
	}
}
