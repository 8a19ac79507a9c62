package house

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/refold-dev/refold/"

// forbidden lists, for the packages that match a prefix, what none of their
// non-test dependencies, direct or not, may be.
var forbidden = []struct {
	packages string
	imports  []string
	why      string
}{
	{"projector/contract", []string{"github.com/", "golang.org/", "k8s.io/", "sigs.k8s.io/"}, "the contract is read by both planes and drags in neither: standard library only"},
	{"projector", []string{"k8s.io/", "sigs.k8s.io/", module + "controllers", module + "api"}, "the data plane never talks to the Kubernetes API"},
	{"projector/stream", []string{module + "projector/reduce", module + "projector/readmodel", module + "projector/engine"}, "reading, folding and storing are joined by the engine alone"},
	{"projector/reduce", []string{module + "projector/stream", module + "projector/readmodel", module + "projector/engine", "github.com/redis/"}, "reducers are pure"},
	{"projector/readmodel", []string{module + "projector/stream", module + "projector/reduce", module + "projector/engine"}, "a store knows nothing of the log or of the fold"},
	{"projector/inspect", []string{module + "projector/engine", module + "projector/run", module + "projector/reduce", module + "projector/readmodel/redishash"}, "it folds by a registry's reducers and looks at a store by its interface; whoever folds for readers has no part in it"},
	{"projector/inspect/api", []string{"github.com/redis/", "cel.dev/", module + "projector/stream", module + "projector/readmodel"}, "the plugin imports the API's types and nothing of a projector"},
	{"controllers", []string{module + "projector", "github.com/redis/"}, "the control plane knows the contract and nothing else of the data plane; it never connects to a source or a read model"},
	{"controllers/plan", []string{"sigs.k8s.io/controller-runtime/pkg/client", "k8s.io/client-go"}, "decisions are pure"},
	{"api", []string{module + "controllers", module + "projector", "sigs.k8s.io/controller-runtime/pkg/client"}, "the types hold no logic and do no I/O"},
}

// allowed are the exceptions by design.
var allowed = map[string]bool{module + "projector/contract": true}

func TestNobodyImportsWhatItMustNot(t *testing.T) {
	for _, pkg := range listPackages(t) {
		for _, rule := range forbidden {
			if !below(pkg.ImportPath, module+rule.packages) {
				continue
			}
			for _, dep := range pkg.Deps {
				for _, bad := range rule.imports {
					if strings.HasPrefix(dep, bad) && !allowed[dep] {
						t.Errorf("%s depends on %s: %s", pkg.ImportPath, dep, rule.why)
					}
				}
			}
		}
	}
}

type goPackage struct {
	ImportPath string
	Deps       []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Deps", module+"api/...", module+"controllers/...", module+"projector/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages listed: the rules would hold of nothing", len(all))
	}
	return all
}

func below(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}
