package cluster

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestNothingOfTheDataPlaneAndNoReconcilerIsInIt(t *testing.T) {
	const module = "github.com/refold-dev/refold/"
	allowed := []string{"api/v1alpha1", "cmd/kubectl-refold/cli", "cmd/kubectl-refold/cluster", "controllers/plan", "controllers/resources", "projector/contract"}
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		ours, isOurs := strings.CutPrefix(dep, module)
		switch {
		case isOurs && !slices.Contains(allowed, ours):
			t.Errorf("it depends on %s: it shows what the operator has decided, and decides nothing", dep)
		case strings.HasPrefix(dep, "github.com/redis/"):
			t.Errorf("it depends on %s: it talks to the API server alone", dep)
		}
	}
}
