package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// run executes the root with commands that end in the ways that commands end.
func run(args ...string) (out, errOut string, code int) {
	streams, _, stdout, stderr := genericiooptions.NewTestIOStreams()
	ends := func(*Factory) Group {
		group := Group{ID: "ends", Title: "Ends:"}
		for name, err := range map[string]error{
			"well":    nil,
			"failing": Failf("it broke\n  in two").WithHint("mend it"),
			"plain":   errors.New("plain words"),
			"finding": Finding(),
		} {
			group.Commands = append(group.Commands, &cobra.Command{Use: name, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return err }})
		}
		return group
	}
	root := New(NewFactory(streams, "v1.2.3"), ends)
	root.SetArgs(args)
	code = Run(context.Background(), root, stderr)
	return stdout.String(), stderr.String(), code
}

func TestExitCodesAndWords(t *testing.T) {
	type result struct {
		ErrOut string
		Code   int
	}
	for name, test := range map[string]struct {
		args []string
		want result
	}{
		"a command that is done says nothing":           {[]string{"well"}, result{"", 0}},
		"a failure is one line, then what to do":        {[]string{"failing"}, result{"error: it broke in two\nmend it\n", 1}},
		"an error without words of ours is a failure":   {[]string{"plain"}, result{"error: plain words\n", 1}},
		"findings end with a code of their own":         {[]string{"finding"}, result{"", 2}},
		"an unknown command is one of usage":            {[]string{"wel"}, result{"error: there is no command \"wel\"\ndid you mean well?\n", 3}},
		"a name that is close to none":                  {[]string{"zzzzzz"}, result{"error: there is no command \"zzzzzz\"\nsee kubectl refold --help\n", 3}},
		"an unknown flag is one of usage":               {[]string{"well", "--fast"}, result{"error: unknown flag: --fast\nsee kubectl refold well --help\n", 3}},
		"an argument too many is one of usage":          {[]string{"well", "x"}, result{"error: unknown command \"x\" for \"kubectl refold well\"\nsee kubectl refold well --help\n", 3}},
		"a format that the command has not is of usage": {[]string{"version", "-o", "name"}, result{"error: invalid argument \"name\" for \"-o, --output\" flag: it is one of json, yaml\nsee kubectl refold version --help\n", 3}},
	} {
		t.Run(name, func(t *testing.T) {
			_, errOut, code := run(test.args...)
			if diff := cmp.Diff(test.want, result{errOut, code}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVersionIsPrintedForPeopleAndPrograms(t *testing.T) {
	for args, want := range map[string]string{
		"version":         "kubectl-refold v1.2.3 (go",
		"version -o json": `"version": "v1.2.3"`,
		"version -o yaml": "version: v1.2.3",
	} {
		out, _, code := run(strings.Fields(args)...)
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s ends with %d and prints %s", args, code, out)
		}
	}
}

func TestCompletionComesUnderTheNameThatKubectlCalls(t *testing.T) {
	got := arguments([]string{"/usr/bin/kubectl_complete-refold", "stat", ""})
	if diff := cmp.Diff([]string{"__complete", "stat", ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCloseNames(t *testing.T) {
	names := []string{"user-profile", "user-orders", "orders", "invoices"}
	for wrong, want := range map[string][]string{
		"user-profil": {"user-profile"},
		"order":       {"orders", "user-orders"},
		"xyzxyz":      nil,
		"USER-ORDERS": {"user-orders"},
	} {
		if diff := cmp.Diff(want, Close(wrong, names)); diff != "" {
			t.Errorf("%s: %s", wrong, diff)
		}
	}
}

func TestATableFitsItsRoom(t *testing.T) {
	table := Table{
		Columns: []Column{{Name: "NAME"}, {Name: "LAG", Right: true}, {Name: "EMPTY", Spare: 1}, {Name: "POSITION", Spare: 2}, {Name: "AGE", Spare: 1}},
		Rows:    [][]string{{"a", "1,234", "", "1795412031120-0", "3h"}, {"\x1b[32mlonger\x1b[0m", "5", "", "0-1", "10d"}},
	}
	for columns, want := range map[int]string{
		0:  "NAME       LAG   POSITION          AGE\na        1,234   1795412031120-0   3h\n\x1b[32mlonger\x1b[0m       5   0-1               10d\n",
		25: "NAME       LAG   AGE\na        1,234   3h\n\x1b[32mlonger\x1b[0m       5   10d\n",
		5:  "NAME       LAG\na        1,234\n\x1b[32mlonger\x1b[0m       5\n",
	} {
		var out bytes.Buffer
		if err := table.Print(&out, columns); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("%d columns: %s", columns, diff)
		}
	}
}

func TestText(t *testing.T) {
	for name, test := range map[string]struct{ want, got string }{
		"thousands stand apart":                        {"-1,234,567", Count(-1234567)},
		"small numbers are left alone":                 {"999", Count(999)},
		"a bar is never longer than it may be":         {"████", Bar(140, 4)},
		"half a bar":                                   {"██░░", Bar(50, 4)},
		"an escape of others does not reach the tty":   {"a\uFFFD[2Jb", Safe("a\x1b[2Jb")},
		"text is not turned around":                    {"a\uFFFDb", Safe("a\u202eb")},
		"lines are broken at spaces":                   {"one two|three", strings.Join(Wrap("one two three", 8), "|")},
		"clipped text closes its colour":               {"\x1b[31mab…\x1b[0m", Clip("\x1b[31mabcdef\x1b[0m", 3)},
		"wide characters take two columns":             {"4", fmt.Sprint(Width("世界"))},
		"marks go onto the letter before":              {"1", fmt.Sprint(Width("e\u0301"))},
		"wide text is clipped to its columns":          {"世世…", Clip("世世世世", 6)},
		"a coloured wide text too":                     {"\x1b[31m世…\x1b[0m", Clip("\x1b[31m世世世\x1b[0m", 3)},
		"wide text is broken at columns":               {"世界|世界", strings.Join(Wrap("世界 世界", 8), "|")},
		"what hides in text is shown":                  {"a\uFFFDb\uFFFDc\uFFFDd\uFFFDe", Safe("a\u2028b\u061cc\U000e0041d\u200be")},
		"what joins letters stays":                     {"a\u200cb", Safe("a\u200cb")},
		"text that fits is not clipped":                {"abc", Clip("abc", 3)},
		"colours are not counted and not there if off": {"x", Paint{}.Bad("x")},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %q, want %q", name, test.got, test.want)
		}
	}
}
