package pod

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
)

// story is a shop in which a little has happened, and something odd.
func story(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.add(0, "UserCreated", "id", "42", "name", "Ada Lovelace", "email", "ada@example.org")
	w.add(60, "UserCreated", "id", "43", "name", "Bob", "email", "bob@example.org")
	w.add(61, "AddressUpdated", "id", "42", "city", "London")
	w.add(120, "OrderPlaced", "id", "42", "cents", "1250")
	w.add(180, "OrderPlaced", "id", "42", "cents", "0")
	w.add(240, "PageViewed", "id", "42", "url", "/shop")
	w.add(300, "EmailUpdated", "id", "42", "email", "ada.lovelace@analytical-engine.example.org")
	w.add(301, "EmailUpdated", "id", "43", "email", "bob\xff\xfe")
	w.add(360, "OrderPlaced", "id", "42", "cents", "799")
	w.add(420, "UserDeleted", "id", "43")
	w.add(480, "EmailUpdated", "id", "42", "email", "ada.lovelace@analytical-engine.example.org")
	w.fold(w.projection)
	return w
}

func TestAsPeopleSeeIt(t *testing.T) {
	w := story(t)
	for name, args := range map[string][]string{
		"explain":         {"explain", "user-profile", "42"},
		"explain-field":   {"explain", "user-profile", "42", "--field", "email"},
		"explain-unset":   {"explain", "user-profile", "43", "--field", "city"},
		"explain-deleted": {"explain", "user-profile", "43"},
		"explain-never":   {"explain", "user-profile", "44"},
		"explain-full":    {"explain", "user-profile", "42", "--full"},
		"at":              {"at", "user-profile", "--key", "42", "--time", "2026-01-01T00:02:30Z"},
		"at-ago":          {"at", "user-profile", "--key", "43", "--time", "55m"},
		"at-id":           {"at", "user-profile", "--key", "42", "--id", "1767225600000-0"},
		"at-gone":         {"at", "user-profile", "--key", "43", "--time", "0s"},
		"at-before":       {"at", "user-profile", "--key", "42", "--time", "2025-01-01T00:00:00Z"},
		"at-not-yet":      {"at", "user-profile", "--key", "43", "--time", "2026-01-01T00:00:30Z"},
		"at-json":         {"at", "user-profile", "--key", "42", "--time", "0s", "-o", "json"},
		"at-all":          {"at", "user-profile", "--time", "2026-01-01T00:05:01Z"},
		"at-all-json":     {"at", "user-profile", "--time", "2026-01-01T00:05:01Z", "-o", "json"},
		"at-all-csv":      {"at", "user-profile", "--time", "2026-01-01T00:05:00Z", "-o", "csv"},
		"at-prefix":       {"at", "user-profile", "--time", "0s", "--prefix", "9", "-o", "json"},
		"log":             {"log", "user-profile"},
		"log-key":         {"log", "user-profile", "--key", "43"},
		"log-limit":       {"log", "user-profile", "--limit", "2"},
		"log-since":       {"log", "user-profile", "--since", "54m", "--limit", "2"},
		"log-type":        {"log", "user-profile", "--type", "UserDeleted", "--type", "PageViewed"},
		"log-none":        {"log", "user-profile", "--type", "Nothing"},
		"log-json":        {"log", "user-profile", "--key", "43", "-o", "json"},
	} {
		for _, w.columns = range []int{80, 200} {
			golden(t, fmt.Sprintf("%s-%d", name, w.columns), w.run(args...).String())
		}
	}
}

// compared is a world with a candidate beside what readers read.
func compared(t *testing.T) (w *world, candidate string) {
	t.Helper()
	w = newWorld(t)
	for i := range 20 {
		w.add(i, "UserCreated", "id", i, "name", fmt.Sprintf("User %d", i), "email", fmt.Sprintf("u%d@example.org", i))
	}
	for i := range 20 {
		w.add(100+i, "OrderPlaced", "id", i, "cents", 100*(i%4))
	}
	w.add(200, "UserDeleted", "id", "19")
	w.fold(w.projection)
	next := w.projection.DeepCopy()
	rules := next.Spec.Reducer.Rules
	rules[0].When = "event.id != '7'"
	rules[3].When += " && event.id != '7'"
	rules[3].Add["orders"] = "event.id in ['3', '5', '6'] ? 2 : 1"
	rules[4].When = "event.id != '19'"
	candidate = w.fold(next)
	w.projection.Status.Revisions = append([]v1alpha1.RevisionStatus{{Name: candidate, State: v1alpha1.RevisionHeld}}, w.projection.Status.Revisions...)
	return w, candidate
}

func TestADiffAsPeopleSeeIt(t *testing.T) {
	w, candidate := compared(t)
	for name, args := range map[string][]string{
		"diff":         {"diff", "user-profile"},
		"diff-key":     {"diff", "user-profile", "--key", "3"},
		"diff-nobody":  {"diff", "user-profile", "--key", "nobody"},
		"diff-unknown": {"diff", "user-profile", "--candidate", "zzzzzzzz"},
	} {
		for _, w.columns = range []int{80, 200} {
			got := w.run(args...).String()
			golden(t, fmt.Sprintf("%s-%d", name, w.columns), strings.ReplaceAll(got, candidate, "candidat"))
		}
	}
	for _, all := range []bool{false, true} {
		args := []string{"diff", "user-profile", "-o", "json"}
		if all {
			args = append(args, "--all")
		}
		var got struct {
			Differences []struct{ Key, Change string }
			Sampled     bool
			Counts      struct{ Same, Added, Removed, Changed int }
		}
		if err := json.Unmarshal([]byte(w.run(args...).out), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Differences) != 5 || got.Sampled || got.Counts.Changed != 3 {
			t.Errorf("%+v", got)
		}
	}
	w.projection.Status.Revisions = w.projection.Status.Revisions[1:]
	golden(t, "diff-no-candidate", w.run("diff", "user-profile").String())
	w.projection.Status.Revisions = append(w.projection.Status.Revisions, v1alpha1.RevisionStatus{Name: candidate, State: v1alpha1.RevisionRetained})
	golden(t, "diff-retained", strings.ReplaceAll(w.run("diff", "user-profile").String(), candidate, "candidat"))
}

func TestAFileIsThereWholeOrNotAtAll(t *testing.T) {
	w := story(t)
	dir := t.TempDir()
	for name, begins := range map[string]string{
		"users.json": "[\n  {\"key\":\"42\",\"fields\":{\"id\":\"42\",",
		"users.yaml": "\"42\":\n  id: \"42\"\n",
		"users.csv":  "key,id,name,email,city,orders,spent_cents,created_at\n42,42,Ada Lovelace,",
	} {
		path := filepath.Join(dir, name)
		got := w.run("at", "user-profile", "--id", "1767225900000-0", "--file", path)
		data, err := os.ReadFile(path)
		if err != nil || got.code != 0 || !strings.HasPrefix(string(data), begins) {
			t.Errorf("%v %v: %s", got, err, data)
		}
		if want := "2 entities as of 1767225900000-0 (2026-01-01T00:05:00.000Z) written to " + path + "\n"; got.err != want || got.out != "" {
			t.Errorf("it says %q", got.err)
		}
	}
	kept := filepath.Join(dir, "kept.csv")
	if err := os.WriteFile(kept, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := w.run("at", "user-profile", "--time", "2025-01-01T00:00:00Z", "--file", kept); got.code != 1 {
		t.Error(got)
	}
	if data, _ := os.ReadFile(kept); string(data) != "kept" {
		t.Errorf("%s", data)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAModelThatIsTooLargeForTheProjectorComesInParts(t *testing.T) {
	w := newWorld(t)
	bulk := strings.Repeat("x", 100<<10)
	want := map[string]bool{}
	for i := range 80 {
		w.add(i, "UserCreated", "id", i, "name", bulk, "email", "")
		want[fmt.Sprint(i)] = true
	}
	w.memory = 64 << 20 // of which a scan may have 2 MiB
	var got []struct{ Key string }
	result := w.run("at", "user-profile", "--time", "0s", "-o", "json")
	if err := json.Unmarshal([]byte(result.out), &got); err != nil {
		t.Fatal(err, result.err)
	}
	keys := map[string]bool{}
	for _, e := range got {
		keys[e.Key] = true
	}
	if diff := cmp.Diff(want, keys); diff != "" || len(got) != len(want) {
		t.Errorf("%d entities: %s", len(got), diff)
	}
}

func TestProgramsGetAnExplanation(t *testing.T) {
	w := story(t)
	var got struct {
		Revision string
		Steps    []struct {
			ID        string
			Rules     []int
			RuleTexts []string
			Changes   []struct{ Field, Old, New string }
		}
		Entity struct{ Fields map[string]string }
	}
	if err := json.Unmarshal([]byte(w.run("explain", "user-profile", "42", "-o", "json").out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Revision != plan.Revision(w.projection.Spec) || len(got.Steps) != 7 || got.Entity.Fields["orders"] != "2" {
		t.Errorf("%+v", got)
	}
	want := "spec.reducer.rules[3] on OrderPlaced when int(event.cents) > 0: add orders = 1, spent_cents = int(event.cents)"
	if diff := cmp.Diff([]string{want}, got.Steps[2].RuleTexts); diff != "" {
		t.Error(diff)
	}
}
