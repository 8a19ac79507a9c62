//go:build e2e

package e2e

import (
	"os/exec"
	"regexp"
	"testing"
)

var equal = regexp.MustCompile(`read model == independent fold \([1-9]\d* entities, [1-9]\d* events\)`)

func TestTheDemoWorksAndWorksTwice(t *testing.T) {
	for _, run := range []string{"first", "second"} {
		out, err := exec.Command("go", "run", "./hack/demo").CombinedOutput()
		t.Logf("%s run:\n%s", run, out)
		if err != nil || !equal.Match(out) {
			t.Fatalf("%s run: %v", run, err)
		}
	}
}
