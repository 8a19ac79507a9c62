package plan

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files anew")

func spec(t *testing.T, text string) v1alpha1.ProjectionSpec {
	t.Helper()
	var out v1alpha1.ProjectionSpec
	if err := yaml.UnmarshalStrict([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A name that changes is a replay that nobody asked for: add cases, never change one.
func TestRevisionsKeepTheirNames(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no specs: %v", err)
	}
	var got bytes.Buffer
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s %s\n", strings.TrimSuffix(filepath.Base(file), ".yaml"), Revision(spec(t, string(text))))
	}
	const golden = "testdata/revisions.golden"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDifferentFoldsHaveDifferentNames(t *testing.T) {
	file, err := os.Open("testdata/revisions.golden")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var names []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		names = append(names, strings.Fields(lines.Text())[1])
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("two specs of testdata have one name: %v", names)
	}
}

func TestUntilHasOneSpelling(t *testing.T) {
	until := func(text string) string {
		return Revision(spec(t, strings.Replace(bare, "stream: events", "stream: events, until: \""+text+"\"", 1)))
	}
	if until("5") != until("5-18446744073709551615") || until("1970-01-01T00:00:00.005Z") != until("5") || until("5") == until("5-0") {
		t.Error("5, its last ID and its time are one; 5-0 is another")
	}
	for text, want := range map[string]bool{"": true, "5": true, "5-0": true, "4": false, "4-9": false, "1970-01-01T00:00:00.004Z": false,
		"2026-02-30T00:00:00Z": false, "18446744073709551616": false, "5-": false} {
		if err := CheckUntil("5", text); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		} else if err != nil && !strings.Contains(err.Error(), "source.until") {
			t.Errorf("%q: %v does not say where", text, err)
		}
	}
}

const bare = `
source: {redis: {url: "redis://redis"}, stream: events}
reducer: {key: event.id, rules: [{"on": [B, A], set: {a: event.a, b: event.b}}]}
readModel: {fields: [{name: a, type: String}, {name: b, type: Integer}], redisHash: {keyPrefix: "x:"}}
`

func TestSpecsThatFoldTheSameHaveOneName(t *testing.T) {
	want := Revision(spec(t, bare))
	replace := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(bare) }
	for name, text := range map[string]string{
		"defaults written out":         replace("stream: events", `stream: events, from: "0", format: Fields, typeField: type`, "{key:", "{type: Rules, key:"),
		"another spelling of from":     replace("stream: events", `stream: events, from: "0-0"`),
		"the time 0":                   replace("stream: events", `stream: events, from: "1970-01-01T00:00:00Z"`),
		"another spelling of URL":      replace("redis://redis", "redis://REDIS:6379/0"),
		"the read model's own URL":     replace(`{keyPrefix: "x:"}`, `{keyPrefix: "x:", url: "redis://redis:6379"}`),
		"types in another order":       replace("[B, A]", "[A, B]"),
		"fields in another order":      replace("{name: a, type: String}, {name: b, type: Integer}", "{name: b, type: Integer}, {name: a, type: String}"),
		"maps in another order":        replace("{a: event.a, b: event.b}", "{b: event.b, a: event.a}"),
		"on without quotes":            replace(`"on"`, `"true"`),
		"Rename written out":           replace(`{keyPrefix: "x:"}`, `{keyPrefix: "x:", cutover: Rename}`),
		"white space in an expression": replace("a: event.a", "a: ' event . a '", "'", `"`),
		"a comment in an expression":   replace("a: event.a", `a: "event.a // why"`),
		"the defaults of replay":       bare + "replay: {strategy: Shadow, trigger: '', promotion: {mode: Automatic, maxChangedPercent: 20}, history: Required}",
		"another way to replay":        bare + "replay: {strategy: InPlace, promotion: {mode: Manual, approve: abc}, rollbackWindowSeconds: 0, maxEventsPerSecond: 5, history: Available}",
		"credentials":                  replace(`url: "redis://redis"`, `url: "redis://redis", credentialsSecretRef: {name: redis}`),
		"everything that only rolls":   bare + "\nsuspend: true\ndeletionPolicy: Delete\nerrorPolicy: {onError: Halt}\nprojector: {priorityClassName: high}\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got := Revision(spec(t, text)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
