package local

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var times = regexp.MustCompile(`time="[0-9.]+"`)

func TestCasesAreRun(t *testing.T) {
	for name, args := range map[string][]string{
		"fields":        {"fields_test.yaml", "--coverage"},
		"formats":       {"json_test.yaml", "events_test.yaml", "--coverage=100"},
		"failing":       {"failing_test.yaml"},
		"failing-tap":   {"fields_test.yaml", "failing_test.yaml", "refused_test.yaml", "-o", "tap", "--coverage"},
		"failing-junit": {"fields_test.yaml", "failing_test.yaml", "refused_test.yaml", "-o", "junit", "--coverage"},
		"failing-json":  {"failing_test.yaml", "-o", "json", "--run", "wrong values"},
		"some":          {"fields_test.yaml", "--run", "^a n", "--coverage=80"},
		"none":          {"fields_test.yaml", "--run", "nothing like it"},
		"wrong":         {"."},
		"bad-regexp":    {"fields_test.yaml", "--run", "("},
		"bad-coverage":  {"fields_test.yaml", "--coverage=most"},
		"no-directory":  {"../lint"},
		"no-argument":   {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir("testdata/test")
			if name == "wrong" {
				args = wrongFiles(t)
			}
			out, errOut, code := run("", append([]string{"test"}, args...)...)
			out = times.ReplaceAllString(out, `time="0.000"`)
			compare(t, name+".golden", everything(out, errOut, code))
		})
	}
}

func wrongFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("wrong-*_test.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return append(files, "refused_test.yaml")
}

// TestUpdateWritesThen looks at each line ending: the file keeps its own.
func TestUpdateWritesThen(t *testing.T) {
	original, err := os.ReadFile("testdata/test/failing_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, newline := range map[string]string{"lines of Unix": "\n", "lines of Windows": "\r\n"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS("testdata/test")); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "failing_test.yaml")
			text := bytes.ReplaceAll(original, []byte("- {name: between braces"), []byte("- name: between braces\n  when: [{type: Closed, from: a}]\n#"))
			if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte("\n"), []byte(newline)), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, errOut, code := run("", "test", file, "--update"); code != 2 || !strings.HasSuffix(errOut, "6 cases updated\n") {
				t.Fatal(code, errOut)
			}
			updated, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(updated, []byte("\n")); newline == "\r\n" && n != bytes.Count(updated, []byte("\r\n")) {
				t.Error("lines end in two ways")
			}
			compare(t, "testdata/test/updated.golden", strings.ReplaceAll(string(updated), "\r\n", "\n"))
			run("", "test", file, "--update")
			again, err := os.ReadFile(file)
			if diff := cmp.Diff(string(updated), string(again)); err != nil || diff != "" {
				t.Error("the second update changes something", err, diff)
			}
		})
	}
}

func TestUpdateLeavesAloneWhatItCannotWrite(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/test")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "failing_test.yaml")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out, _, code := run("", "test", file, "--update")
	after, err := os.ReadFile(file)
	if code != 1 || err != nil || !bytes.Equal(before, after) || !strings.Contains(out, "stands between braces") {
		t.Error(code, err, out)
	}
}

func TestTheSamplesCasesPassAndReachEverything(t *testing.T) {
	out, errOut, code := run("", "test", "../../../config/samples", "--coverage=100")
	if code != 0 {
		t.Error(out, errOut)
	}
}
