package local

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(projection:.*?)```")

func TestTheCasesInTheDocsPass(t *testing.T) {
	page, err := os.ReadFile("../../../docs/test-projections.md")
	if err != nil {
		t.Fatal(err)
	}
	block := yamlBlock.FindSubmatch(page)
	if block == nil {
		t.Fatal("the page has no file of cases")
	}
	dir := t.TempDir()
	sample, err := os.ReadFile("../../../config/samples/user-profile.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"user-profile.yaml": sample, "user-profile_test.yaml": block[1]} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, errOut, code := run("", "test", dir); code != 0 {
		t.Error(out, errOut)
	}
}

func TestTheSamplesAreWithoutFault(t *testing.T) {
	for _, flag := range []string{"-f", "-k"} {
		out, errOut, code := run("", "lint", flag, "../../../config/samples")
		if code != 0 || out != "" {
			t.Error(out, errOut)
		}
	}
}
