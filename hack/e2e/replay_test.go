//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// doubled counts each order twice; of all users that have one everything changes.
var doubled = strings.Replace(defaultRules, `orders: "1"`, `orders: "2"`, 1)

func (w *world) status() v1alpha1.ProjectionStatus {
	w.t.Helper()
	var p v1alpha1.Projection
	if err := json.Unmarshal([]byte(w.kubectl("get", "projection/users", "-o", "json")), &p); err != nil {
		w.t.Fatal(err)
	}
	return p.Status
}

// awaitStatus waits until the status of projection users is as wanted.
func (w *world) awaitStatus(what string, holds func(v1alpha1.ProjectionStatus) bool) v1alpha1.ProjectionStatus {
	w.t.Helper()
	var s v1alpha1.ProjectionStatus
	w.await(150*time.Second, what, func() bool {
		s = w.status()
		return holds(s)
	})
	return s
}

func inState(s v1alpha1.ProjectionStatus, state v1alpha1.RevisionState) (found v1alpha1.RevisionStatus) {
	for _, revision := range s.Revisions {
		if revision.State == state {
			found = revision
		}
	}
	return found
}

func (w *world) awaitHeld() v1alpha1.RevisionStatus {
	w.t.Helper()
	return inState(w.awaitStatus("held", func(s v1alpha1.ProjectionStatus) bool { return inState(s, v1alpha1.RevisionHeld).Name != "" }), v1alpha1.RevisionHeld)
}

func (w *world) awaitActive(revision string) v1alpha1.ProjectionStatus {
	w.t.Helper()
	return w.awaitStatus("active: "+revision, func(s v1alpha1.ProjectionStatus) bool { return s.ActiveRevision == revision })
}

func (w *world) approve(revision string) {
	w.t.Helper()
	w.kubectl("patch", "projection/users", "--type", "merge", "-p", fmt.Sprintf(`{"spec":{"replay":{"promotion":{"approve":%q}}}}`, revision))
}

// awaitOnly waits until of all revisions one is left: in status, in the cluster
// and on the server.
func (w *world) awaitOnly(revision string) {
	w.t.Helper()
	w.awaitStatus("only "+revision, func(s v1alpha1.ProjectionStatus) bool {
		return len(s.Revisions) == 1 && s.Revisions[0].Name == revision && s.Revisions[0].State == v1alpha1.RevisionActive
	})
	w.awaitReady()
	for _, key := range w.keys() {
		if strings.HasPrefix(key, "~") || strings.HasPrefix(key, "refold:") && strings.Contains(key, "}:") && !strings.Contains(key, "}:"+revision+":") {
			w.t.Errorf("left behind: %s", key)
		}
	}
	for field := range w.client.HGetAll(context.Background(), "refold:{"+w.namespace+"/users}").Val() {
		if field == "op" || strings.HasPrefix(field, "ledger:") && field != "ledger:"+revision+":0" {
			w.t.Errorf("left behind in the ledger: %s", field)
		}
	}
	if groups := w.groups(); len(groups) != 1 || !strings.HasSuffix(groups[0].Name, ":"+revision) {
		w.t.Errorf("groups: %v", groups)
	}
	for _, kind := range []string{"deployments", "configmaps", "jobs", "pods"} {
		if others := w.kubectl("get", kind, "-l", "refold.dev/projection=users,refold.dev/revision!="+revision, "-o", "name"); others != "" {
			w.t.Errorf("left behind: %s", others)
		}
	}
}

func TestAReplayIsHeldApprovedRolledBackAndLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.orders(1000, 100)
	w.project(options{extraSpec: "replay: {rollbackWindowSeconds: 600}"})
	w.awaitReady()
	first := w.status().ActiveRevision

	w.project(options{rules: doubled, extraSpec: "replay: {rollbackWindowSeconds: 600}"})
	held := w.awaitHeld()
	if d := held.Diff; d == nil || d.Changed != 100 || d.Same+d.Added+d.Removed != 0 || d.ChangedFields["orders"] != 100 || d.Digest == "" || len(d.Sample) == 0 {
		t.Errorf("the diff: %+v", d)
	}
	t.Log(w.awaitCondition("Held", "AwaitingApproval"))
	w.awaitHash("user:0", map[string]string{"orders": "10", "spent": "10"})
	w.approve("aaaaaaaa") // another one
	w.orders(100, 100)    // both fold on
	w.awaitHash("user:0", map[string]string{"orders": "11", "spent": "11"})
	w.awaitHash("~"+held.Name+":user:0", map[string]string{"orders": "22", "spent": "11"})
	if now := w.status().ActiveRevision; now != first {
		t.Fatalf("%s was published by an approval of another one", now)
	}
	w.approve(held.Name)
	w.awaitActive(held.Name)
	w.awaitHash("user:0", map[string]string{"orders": "22", "spent": "11"})
	w.awaitReady()

	w.orders(100, 100) // the retained one folds on, too
	w.awaitHash("user:0", map[string]string{"orders": "24", "spent": "12"})
	w.project(options{extraSpec: "replay: {rollbackWindowSeconds: 600}"})
	w.awaitActive(first)
	w.awaitHash("user:0", map[string]string{"orders": "12", "spent": "12"})
	w.awaitReady()
	t.Log(w.kubectl("describe", "projection", "users"))

	w.kubectl("patch", "projection/users", "--type", "merge", "-p", `{"spec":{"replay":{"rollbackWindowSeconds":0}}}`)
	w.awaitOnly(first)
	record := w.status().Replays
	causes := make([]v1alpha1.ReplayCause, 0, len(record))
	for _, r := range record {
		causes = append(causes, r.Cause)
		if r.Outcome != v1alpha1.OutcomePromoted || r.StartedAt == nil || r.FinishedAt == nil {
			t.Errorf("%+v", r)
		}
	}
	if want := []v1alpha1.ReplayCause{v1alpha1.CauseRollback, v1alpha1.CauseSpecChanged, v1alpha1.CauseFirstBuild}; !slices.Equal(causes, want) {
		t.Errorf("recorded %v, want %v", causes, want)
	}
}

func TestEditsInQuickSuccessionEndInTheNewestAlone(t *testing.T) {
	w := newWorld(t)
	w.orders(1000, 100)
	open := "replay: {rollbackWindowSeconds: 0, promotion: {maxChangedPercent: 100}}"
	w.project(options{extraSpec: open})
	w.awaitReady()
	first := w.status().ActiveRevision
	w.project(options{rules: doubled, extraSpec: open})
	time.Sleep(3 * time.Second)
	w.project(options{extraSpec: open})
	w.awaitOnly(first)
	w.awaitHash("user:0", map[string]string{"orders": "10", "spent": "10"})

	w.project(options{rules: doubled, extraSpec: open})
	tripled := strings.Replace(defaultRules, `orders: "1"`, `orders: "3"`, 1)
	w.project(options{rules: tripled, extraSpec: open})
	last := w.awaitStatus("another one", func(s v1alpha1.ProjectionStatus) bool {
		return s.ActiveRevision != first && w.client.HGet(context.Background(), "user:0", "orders").Val() == "30"
	}).ActiveRevision
	w.awaitOnly(last)
}

// What is killed while a replay goes on changes nothing of its end.
func TestAReplayEndsWhateverIsKilled(t *testing.T) {
	w := newWorld(t)
	w.orders(20_000, 2000)
	open := "replay: {rollbackWindowSeconds: 0, promotion: {maxChangedPercent: 100}}"
	w.project(options{extraSpec: open})
	w.awaitReady()
	first := w.status().ActiveRevision
	w.project(options{rules: doubled, extraSpec: open})
	victims := [][]string{{"-n", w.namespace, "delete", "pods", "--all"}, {"-n", "refold-system", "delete", "pods", "--all"}}
	done := func() bool { s := w.status(); return s.ActiveRevision != first && len(s.Revisions) == 1 }
	for kill := 0; kill < 8 && !done(); kill++ {
		args := append(victims[kill%2], "--force", "--grace-period=0")
		if out, err := cluster.Kubectl(context.Background(), "", args...); err != nil {
			t.Logf("%v: %v %s", args, err, out)
		}
		w.orders(100, 100)
		time.Sleep(4 * time.Second)
	}
	last := w.awaitStatus("another one", func(s v1alpha1.ProjectionStatus) bool { return s.ActiveRevision != first }).ActiveRevision
	w.awaitOnly(last)
	events := w.client.XLen(context.Background(), "user_events").Val()
	total := int64(0)
	for user := range 2000 {
		n, _ := w.client.HGet(context.Background(), fmt.Sprintf("user:%d", user), "orders").Int64()
		total += n
	}
	if total != 2*events {
		t.Errorf("%d orders of %d events: each counts 2", total, events)
	}
}

func TestTheSameLogAndFoldGiveTheSameDigestElsewhere(t *testing.T) {
	w := newWorld(t)
	digest := func() string {
		t.Helper()
		open := "replay: {rollbackWindowSeconds: 0, promotion: {maxChangedPercent: 100}}"
		w.project(options{extraSpec: open})
		w.awaitReady()
		w.project(options{rules: doubled, extraSpec: open})
		w.awaitStatus("promoted", func(s v1alpha1.ProjectionStatus) bool {
			return len(s.Replays) == 2 && s.Replays[0].Outcome == v1alpha1.OutcomePromoted
		})
		return w.status().Replays[0].Digest
	}
	w.orders(500, 50)
	dump := w.client.Dump(context.Background(), "user_events").Val()
	here := digest()
	elsewhere := newWorldAlone(t)
	if err := elsewhere.client.RestoreReplace(context.Background(), "user_events", 0, dump).Err(); err != nil {
		t.Fatal(err)
	}
	w = elsewhere
	if there := digest(); here == "" || here != there {
		t.Errorf("here %q, there %q", here, there)
	}
}

func TestTimeTravelCompletesAndStops(t *testing.T) {
	w := newWorld(t)
	w.orders(50, 1)
	until := w.xadd("type", "OrderPlaced", "id", "0", "cents", "1")
	w.orders(50, 1)
	w.project(options{extraSource: "", extraSpec: "", prefix: "then:"})
	w.kubectl("patch", "projection/users", "--type", "merge", "-p", fmt.Sprintf(`{"spec":{"source":{"until":%q},"replay":{"rollbackWindowSeconds":0,"promotion":{"maxChangedPercent":100}}}}`, until))
	w.awaitCondition("Ready", "Completed")
	w.awaitHash("then:0", map[string]string{"orders": "51", "spent": "51"})
	w.await(60*time.Second, "no pod", func() bool { return len(w.pods()) == 0 })
	if got := w.status().LastAckedID; got != until {
		t.Errorf("lastAckedID is %s, want %s", got, until)
	}
	w.awaitCondition("Ready", "Completed") // and stays
}

func TestInPlaceEmptiesAndFoldsAnew(t *testing.T) {
	w := newWorld(t)
	w.orders(100, 10)
	in := "replay: {strategy: InPlace}"
	w.project(options{extraSpec: in})
	w.awaitReady()
	w.project(options{rules: doubled, extraSpec: in})
	w.awaitHash("user:0", map[string]string{"orders": "20", "spent": "10"})
	w.awaitReady()
	w.awaitOnly(w.status().ActiveRevision)
}

func TestAReplayOfALogThatLostItsBeginningIsRefused(t *testing.T) {
	w := newWorld(t)
	w.orders(100, 10)
	w.project(options{})
	w.awaitReady()
	first := w.status().ActiveRevision
	w.client.XTrimMaxLen(context.Background(), "user_events", 50)
	w.await(60*time.Second, "HistoryComplete=False", func() bool {
		return w.get("projection/users", `{.status.conditions[?(@.type=="HistoryComplete")].status}`) == "False"
	})
	w.project(options{rules: doubled})
	t.Log(w.awaitCondition("Stalled", "HistoryRequired"))
	if keys := w.keys(); slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(key, "~") }) {
		t.Errorf("a shadow was begun: %v", keys)
	}
	w.orders(10, 10)
	w.awaitHash("user:0", map[string]string{"orders": "11", "spent": "11"}) // the live one goes on
	w.project(options{rules: doubled, extraSpec: "replay: {history: Available, promotion: {maxChangedPercent: 100}}"})
	w.awaitStatus("promoted", func(s v1alpha1.ProjectionStatus) bool { return s.ActiveRevision != first })
	w.awaitHash("user:0", map[string]string{"orders": "12", "spent": "6"})
}

func TestAPointerSwitchesAllAtOnce(t *testing.T) {
	w := newWorld(t)
	w.orders(100, 10)
	pointed := func(rules string) {
		manifest := w.manifest(options{rules: rules, extraSpec: "replay: {promotion: {maxChangedPercent: 100}}"})
		w.apply(strings.Replace(manifest, `redisHash: {`, `redisHash: {cutover: Pointer, `, 1))
	}
	pointed("")
	w.awaitReady()
	read := func() map[string]string {
		revision := w.client.Get(context.Background(), "user:@active").Val()
		return w.client.HGetAll(context.Background(), "user:@"+revision+":0").Val()
	}
	if got := read(); got["orders"] != "10" {
		t.Errorf("%v", got)
	}
	pointed(doubled)
	w.await(150*time.Second, "switched", func() bool { return read()["orders"] == "20" })
}
