package admission_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/cmd/kubectl-refold/local/admission"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/manifest"
)

const manifestText = `
apiVersion: refold.dev/v1alpha1
kind: Projection
metadata: {name: a, namespace: default}
spec:
  source: {redis: {url: "redis://redis"}, stream: events}
  reducer: {key: event.id, rules: [{"on": [A], set: {a: event.a}}]}
  readModel: {fields: [{name: a, type: String}], redisHash: {keyPrefix: "x:"}}
`

// edits break a good manifest, each in a way of its own.
var edits = map[string]func(object map[string]any){
	"a good one":               func(map[string]any) {},
	"a name with capitals":     func(o map[string]any) { set(o, "Name_", "metadata", "name") },
	"no name":                  func(o map[string]any) { unset(o, "metadata", "name") },
	"a label that is none":     func(o map[string]any) { set(o, map[string]any{"a b": "c d"}, "metadata", "labels") },
	"an owner without a name":  func(o map[string]any) { set(o, []any{map[string]any{"kind": "x"}}, "metadata", "ownerReferences") },
	"no spec":                  func(o map[string]any) { unset(o, "spec") },
	"a spec of null":           func(o map[string]any) { set(o, nil, "spec") },
	"an empty key":             func(o map[string]any) { set(o, "", "spec", "reducer", "key") },
	"a key beyond 4096":        func(o map[string]any) { set(o, strings.Repeat("a", 4097), "spec", "reducer", "key") },
	"no rule":                  func(o map[string]any) { set(o, []any{}, "spec", "reducer", "rules") },
	"a rule that does nothing": func(o map[string]any) { set(o, []any{map[string]any{"on": []any{"A"}}}, "spec", "reducer", "rules") },
	"a rule with on twice": func(o map[string]any) {
		set(o, []any{map[string]any{"on": []any{"A"}, "true": []any{"A"}, "delete": true}}, "spec", "reducer", "rules")
	},
	"an undeclared field": func(o map[string]any) {
		set(o, []any{map[string]any{"on": []any{"A"}, "set": map[string]any{"b": "c"}}}, "spec", "reducer", "rules")
	},
	"a field's name with a dash": func(o map[string]any) {
		set(o, []any{map[string]any{"name": "a-b", "type": "String"}}, "spec", "readModel", "fields")
	},
	"a URL with a password":   func(o map[string]any) { set(o, "redis://u:p@h", "spec", "source", "redis", "url") },
	"a URL of http":           func(o map[string]any) { set(o, "http://h", "spec", "source", "redis", "url") },
	"tls with redis://":       func(o map[string]any) { set(o, map[string]any{}, "spec", "source", "redis", "tls") },
	"tls of the source's URL": func(o map[string]any) { set(o, map[string]any{}, "spec", "readModel", "redisHash", "tls") },
	"a prefix of Refold's":    func(o map[string]any) { set(o, "refold:x", "spec", "readModel", "redisHash", "keyPrefix") },
	"a prefix with a space":   func(o map[string]any) { set(o, "a b", "spec", "readModel", "redisHash", "keyPrefix") },
	"until before from": func(o map[string]any) {
		set(o, "9-0", "spec", "source", "from")
		set(o, "5-0", "spec", "source", "until")
	},
	"too little memory": func(o map[string]any) {
		set(o, map[string]any{"limits": map[string]any{"memory": "1Mi"}}, "spec", "projector", "resources")
	},
	"a quantity of a word": func(o map[string]any) {
		set(o, map[string]any{"limits": map[string]any{"cpu": "much"}}, "spec", "projector", "resources")
	},
	"labels of Refold's":    func(o map[string]any) { set(o, map[string]any{"refold.dev/x": "y"}, "spec", "projector", "podLabels") },
	"an unknown field":      func(o map[string]any) { set(o, "x", "spec", "source", "strem") },
	"unknown metadata":      func(o map[string]any) { set(o, "x", "metadata", "nam") },
	"unknown at the top":    func(o map[string]any) { set(o, "x", "specs") },
	"a status of one's own": func(o map[string]any) { set(o, map[string]any{"lastAckedID": "1-0"}, "status") },
	"many errors at once": func(o map[string]any) {
		set(o, 5, "spec", "source", "stream")
		set(o, "Twice", "spec", "replay", "strategy")
		set(o, "B", "metadata", "name")
	},
	"a percent of a word":     func(o map[string]any) { set(o, "all", "spec", "replay", "promotion", "maxChangedPercent") },
	"a fraction of a percent": func(o map[string]any) { set(o, 1.5, "spec", "replay", "promotion", "maxChangedPercent") },
}

func set(object map[string]any, value any, path ...string) {
	if n, ok := value.(int); ok {
		value = int64(n)
	}
	if err := unstructured.SetNestedField(object, value, path...); err != nil {
		panic(err)
	}
}

func unset(object map[string]any, path ...string) { unstructured.RemoveNestedField(object, path...) }

func TestItSaysWhatTheAPIServerSays(t *testing.T) {
	server := apiServer(t)
	validator, err := admission.NewValidator()
	if err != nil {
		t.Fatal(err)
	}
	for name, object := range manifests(t) {
		t.Run(name, func(t *testing.T) {
			remote := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(object)}
			want := said(server.Create(t.Context(), remote, client.DryRunAll, client.FieldValidation("Strict")))
			unknown, invalid := validator.Admit(t.Context(), object)
			got := said(asServer(unknown, invalid))
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("- the API server, + admission:\n%s", diff)
			}
			if len(want) == 0 {
				unset(remote.Object, "metadata")
				unset(object, "metadata")
				if diff := gocmp.Diff(remote.Object, object); diff != "" {
					t.Errorf("defaults: - the API server, + admission:\n%s", diff)
				}
			}
		})
	}
}

// manifests are the edits, and what lint is tested with.
func manifests(t *testing.T) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for name, edit := range edits {
		object := map[string]any{}
		if err := yaml.Unmarshal([]byte(manifestText), &object); err != nil {
			t.Fatal(err)
		}
		edit(object)
		out[name] = object
	}
	files, err := filepath.Glob("../testdata/lint/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	documents, _, err := manifest.Files(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range documents {
		if d.IsProjection() {
			set(d.Object, "default", "metadata", "namespace")
			out[d.At().String()] = d.Object
		}
	}
	return out
}

// asServer is how the API server says it: unknown fields before all others.
func asServer(unknown []string, invalid field.ErrorList) error {
	var words []string
	for _, path := range unknown {
		words = append(words, fmt.Sprintf("unknown field %q", path))
	}
	switch {
	case len(words) > 0:
		return apierrors.NewBadRequest("strict decoding error: " + strings.Join(words, ", "))
	case len(invalid) > 0:
		return apierrors.NewInvalid(schema.GroupKind{Group: "refold.dev", Kind: "Projection"}, "", invalid)
	}
	return nil
}

// said is what an error of the API server says, cause by cause.
func said(err error) []string {
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		if err != nil {
			return []string{err.Error()}
		}
		return nil
	}
	if status.ErrStatus.Details == nil || len(status.ErrStatus.Details.Causes) == 0 {
		_, words, _ := strings.Cut(status.ErrStatus.Message, "strict decoding error: ")
		return []string{words}
	}
	var out []string
	for _, cause := range status.ErrStatus.Details.Causes {
		out = append(out, cause.Field+": "+cause.Message)
	}
	slices.SortFunc(out, cmp.Compare)
	return out
}

func apiServer(t *testing.T) client.Client {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		command := exec.Command("go", "run", "./hack/testbed", "assets")
		command.Dir, command.Stderr = "../../../..", os.Stderr
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		assets = strings.TrimSpace(string(out))
	}
	env := &envtest.Environment{BinaryAssetsDirectory: assets, ErrorIfCRDPathMissing: true,
		CRDDirectoryPaths: []string{filepath.Join("..", "..", "..", "..", "config", "crd", "bases")}}
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Stop() })
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
