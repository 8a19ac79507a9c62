package house

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// top is what may stand at the top of the tree, besides dotfiles and what git ignores.
var top = []string{"api", "controllers", "config", "projector", "cmd", "hack", "docs", "go.mod", "go.sum",
	"Makefile", "PROJECT", "Dockerfile", "README.md", "LICENSE", "CHANGELOG.md"}

func TestTheTopLevelIsAsAgreed(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, ".") && name != "bin" && name != "build" {
			found = append(found, name)
		}
	}
	for _, name := range found {
		if !slices.Contains(top, name) {
			t.Errorf("%s does not belong at the top", name)
		}
	}
	for _, name := range top {
		if !slices.Contains(found, name) {
			t.Errorf("%s is missing", name)
		}
	}
}
