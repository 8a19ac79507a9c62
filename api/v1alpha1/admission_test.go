package v1alpha1_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"
)

func apiServer(t *testing.T) client.Client {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		command := exec.Command("go", "run", "./hack/testbed", "assets")
		command.Dir, command.Stderr = "../..", os.Stderr
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		assets = strings.TrimSpace(string(out))
	}
	env := &envtest.Environment{BinaryAssetsDirectory: assets, ErrorIfCRDPathMissing: true,
		CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")}}
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

const manifest = `
apiVersion: refold.dev/v1alpha1
kind: Projection
metadata: {name: a, namespace: default}
spec:
  source: {redis: {url: "redis://redis"}, stream: events%s}
  reducer: {key: event.id, rules: [{"on": [A], delete: true}]}
  readModel: {fields: [{name: a, type: String}], redisHash: {keyPrefix: "x:"%s}}
  replay: {%s}
`

func TestReplaysAreAdmittedOrRefused(t *testing.T) {
	tests := map[string]struct{ source, hash, replay, want string }{
		"nothing said":                      {},
		"everything said":                   {`, until: "5-0"`, ", cutover: Pointer", `strategy: InPlace, trigger: x, promotion: {mode: Manual, maxChangedPercent: 0, approve: b4axw2ad}, rollbackWindowSeconds: 0, maxEventsPerSecond: 5, history: Available`, ""},
		"until as a time":                   {`, until: "2026-11-23T00:00:00Z"`, "", "", ""},
		"until as a word":                   {`, until: now`, "", "", "must be a stream ID"},
		"until is $":                        {`, until: "$"`, "", "", "must be a stream ID"},
		"until is empty":                    {`, until: ""`, "", "", ""},
		"until before from":                 {`, from: "5-0", until: "4"`, "", "", "until is before from"},
		"until is from":                     {`, from: "5-0", until: "5"`, "", "", ""},
		"until a time before from":          {`, from: "2026-11-23T00:00:00Z", until: "2026-11-22T00:00:00Z"`, "", "", "until is before from"},
		"an ID and a time are not compared": {`, from: "2026-11-23T00:00:00Z", until: "5"`, "", "", ""},
		"times in two zones are not":        {`, from: "2026-11-23T00:00:00Z", until: "2026-11-22T23:00:00-05:00"`, "", "", ""},
		"IDs past 64 bits are not":          {`, from: "5", until: "99999999999999999999"`, "", "", ""},
		"a cutover that is none":            {"", ", cutover: Swap", "", "Unsupported value"},
		"a strategy that is none":           {"", "", "strategy: Blue", "Unsupported value"},
		"a mode that is none":               {"", "", "promotion: {mode: Auto}", "Unsupported value"},
		"more than all":                     {"", "", "promotion: {maxChangedPercent: 101}", "maxChangedPercent"},
		"less than nothing":                 {"", "", "promotion: {maxChangedPercent: -1}", "maxChangedPercent"},
		"an approval of no revision":        {"", "", "promotion: {approve: Yes!}", "approve"},
		"a window before now":               {"", "", "rollbackWindowSeconds: -1", "rollbackWindowSeconds"},
		"a window of years":                 {"", "", "rollbackWindowSeconds: 31536001", "rollbackWindowSeconds"},
		"a rate below nothing":              {"", "", "maxEventsPerSecond: -1", "maxEventsPerSecond"},
		"a history that is none":            {"", "", "history: Some", "Unsupported value"},
		"a long trigger":                    {"", "", "trigger: " + strings.Repeat("a", 257), "trigger"},
	}
	c := apiServer(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			u := &unstructured.Unstructured{}
			if err := yaml.Unmarshal(fmt.Appendf(nil, manifest, tc.source, tc.hash, tc.replay), &u.Object); err != nil {
				t.Fatal(err)
			}
			err := c.Create(t.Context(), u, client.DryRunAll, client.FieldValidation("Strict"))
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
