package change_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/change"
	"github.com/refold-dev/refold/controllers/plan"
)

const manifest = `
metadata: {name: users, namespace: shop}
spec:
  source: {redis: {url: "redis://redis"}, stream: events}
  reducer:
    key: event.id
    rules:
    - {on: [A], set: {a: event.a}}
    - {on: [B], add: {total: "1"}}
  readModel:
    fields: [{name: a, type: String}, {name: total, type: Integer}]
    redisHash: {keyPrefix: "x:"}
`

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func projection(t *testing.T, edits ...string) *v1alpha1.Projection {
	t.Helper()
	text := manifest
	for i := 0; i+1 < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("%q is not in the manifest", edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	var out v1alpha1.Projection
	if err := yaml.UnmarshalStrict([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

// live is the Projection in a cluster, well and caught up.
func live(t *testing.T) *v1alpha1.Projection {
	t.Helper()
	out := projection(t)
	lag := int64(311)
	active := plan.Revision(out.Spec)
	out.Status = v1alpha1.ProjectionStatus{
		ActiveRevision: active, Events: 1204000, LagEvents: &lag, LastAckedID: "5-0",
		Revisions: []v1alpha1.RevisionStatus{{Name: active, State: v1alpha1.RevisionActive, LastAckedID: "5-0", PromotedAt: at(-time.Hour)}},
		Replays: []v1alpha1.ReplayRecord{{
			Revision: active, Cause: v1alpha1.CauseFirstBuild, Outcome: v1alpha1.OutcomePromoted, Events: 1000000,
			StartedAt: at(-time.Hour), FinishedAt: at(-time.Hour + 20*time.Second),
		}},
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionHistoryComplete, Status: "True"}},
	}
	return out
}

func at(d time.Duration) *metav1.Time {
	out := metav1.NewTime(now.Add(d))
	return &out
}

const replayed = "set: {a: event.a}"

var changed = []string{replayed, "set: {a: event.b}"}

func add(p *v1alpha1.Projection, name string, state v1alpha1.RevisionState) {
	r := v1alpha1.RevisionStatus{Name: name, State: state}
	if state == v1alpha1.RevisionRetained {
		r.PromotedAt, r.RetainedUntil = at(-2*time.Hour), at(time.Hour)
	}
	p.Status.Revisions = append(p.Status.Revisions, r)
}

func TestClassesAreThoseThatTheOperatorWouldDecide(t *testing.T) {
	for name, test := range map[string]struct {
		edits []string
		live  func(old, next *v1alpha1.Projection)
		none  bool // there is no Projection yet
		want  change.Class
		phase plan.Phase // what controllers/plan makes of the same
	}{
		"a new Projection":            {nil, nil, true, change.FirstBuild, plan.PhaseBuilding},
		"the same":                    {nil, nil, false, change.Nothing, plan.PhaseSteady},
		"another spelling":            {[]string{"key: event.id", "key: ' event.id // the key'"}, nil, false, change.Nothing, plan.PhaseSteady},
		"another memory limit":        {[]string{"spec:", "spec:\n  projector: {resources: {limits: {memory: 1Gi}}}"}, nil, false, change.Pods, plan.PhaseSteady},
		"another window":              {[]string{"spec:", "spec:\n  replay: {rollbackWindowSeconds: 5}"}, nil, false, change.Settings, plan.PhaseSteady},
		"another rule":                {changed, nil, false, change.Replay, plan.PhaseReplaying},
		"a trigger":                   {[]string{"spec:", "spec:\n  replay: {trigger: x}"}, nil, false, change.Replay, plan.PhaseReplaying},
		"another rule, in place":      {append([]string{"spec:", "spec:\n  replay: {strategy: InPlace}"}, changed...), nil, false, change.InPlace, plan.PhaseEmptying},
		"another database":            {[]string{`"x:"`, `"x:", url: "redis://other"`}, nil, false, change.Move, plan.PhaseReplaying},
		"another database, in place":  {[]string{"spec:", "spec:\n  replay: {strategy: InPlace}", `"x:"`, `"x:", url: "redis://other"`}, nil, false, change.Move, plan.PhaseReplaying},
		"back to a retained revision": {changed, func(old, next *v1alpha1.Projection) { add(old, plan.Revision(next.Spec), v1alpha1.RevisionRetained) }, false, change.Rollback, plan.PhaseRollingBack},
		"what is being built already": {changed, func(old, next *v1alpha1.Projection) { add(old, plan.Revision(next.Spec), v1alpha1.RevisionBuilding) }, false, change.Continues, plan.PhaseReplaying},
		"back to the active one":      {nil, func(old, _ *v1alpha1.Projection) { add(old, "aaaaaaaa", v1alpha1.RevisionBuilding) }, false, change.CallsOff, plan.PhaseSteady},
		"again while a replay runs":   {changed, func(old, _ *v1alpha1.Projection) { add(old, "aaaaaaaa", v1alpha1.RevisionBuilding) }, false, change.Replay, plan.PhaseReplaying},
		"while the active one has folded nothing": {changed, func(old, _ *v1alpha1.Projection) {
			old.Status.Events, old.Status.LastAckedID = 0, ""
			old.Status.Revisions[0].LastAckedID = ""
		}, false, change.Replaces, plan.PhaseReplacing},
		"a stream without its beginning": {changed, func(old, _ *v1alpha1.Projection) { old.Status.Conditions[0].Status = "False" }, false, change.Refused, plan.PhaseBlocked},
		"the same, of what there is":     {append([]string{"spec:", "spec:\n  replay: {history: Available}"}, changed...), func(old, _ *v1alpha1.Projection) { old.Status.Conditions[0].Status = "False" }, false, change.Replay, plan.PhaseReplaying},
		"the same, of another stream":    {[]string{"stream: events", "stream: others"}, func(old, _ *v1alpha1.Projection) { old.Status.Conditions[0].Status = "False" }, false, change.Replay, plan.PhaseReplaying},
		"a rollback without a beginning": {changed, func(old, next *v1alpha1.Projection) {
			old.Status.Conditions[0].Status = "False"
			add(old, plan.Revision(next.Spec), v1alpha1.RevisionRetained)
		}, false, change.Rollback, plan.PhaseRollingBack},
	} {
		t.Run(name, func(t *testing.T) {
			next, old := projection(t, test.edits...), live(t)
			if test.live != nil {
				test.live(old, next)
			}
			if test.none {
				old = nil
			}
			got := change.Make(change.Input{New: next, Old: old, Live: true, Now: now})
			if got.Class != test.want {
				t.Errorf("got %s (%s), want %s", got.Class, got.Why, test.want)
			}
			if phase := decided(old, next); phase != test.phase {
				t.Errorf("the operator decides %s, and the test says %s", phase, test.phase)
			}
		})
	}
}

// decided asks controllers/plan, until it has settled what to do first.
func decided(old, next *v1alpha1.Projection) plan.Phase {
	in := plan.Input{Now: now, Desired: plan.Revision(next.Spec), Spec: plan.ReplaySpecOf(next.Spec), Store: plan.TargetOf(&next.Spec).Database}
	if old != nil {
		in.Active = old.Status.ActiveRevision
		if old.Status.Conditions[0].Status == "False" && old.Spec.Source.Stream == next.Spec.Source.Stream {
			in.History = plan.HistoryIncomplete
		}
		for _, r := range old.Status.Revisions {
			k := plan.Known{Name: r.Name, State: r.State, Running: true, Runnable: true, Store: plan.TargetOf(&old.Spec).Database, Claimed: r.LastAckedID != ""}
			if r.PromotedAt != nil {
				k.PromotedAt = r.PromotedAt.Time
			}
			if r.RetainedUntil != nil {
				k.RetainedUntil = r.RetainedUntil.Time
			}
			if r.Name == in.Active {
				k.Events = old.Status.Events
			}
			in.Known = append(in.Known, k)
		}
	}
	return plan.Next(in).Phase
}

func TestWhatIsSaidOfAReplay(t *testing.T) {
	got := change.Make(change.Input{New: projection(t, changed...), Old: live(t), Live: true, Now: now})
	events, seconds := int64(1204311), int64(25)
	want := &change.Reads{Server: "redis://redis:6379/0", Stream: "events", From: "0", Events: &events, EventsPerSecond: 50000, RateOf: "the replay of 2026-11-23", Seconds: &seconds}
	if diff := cmp.Diff(want, got.Reads); diff != "" {
		t.Error(diff)
	}
	if want := "~" + got.Revision + ":x:* in redis:6379/0, beside what is read"; got.Builds != want {
		t.Errorf("builds %q, want %q", got.Builds, want)
	}
}

func TestOnlyWhatDiffersIsListed(t *testing.T) {
	text := func(s string) *string { return &s }
	for name, test := range map[string]struct {
		edits []string
		want  []change.Field
	}{
		"one expression": {changed, []change.Field{{Path: "spec.reducer.rules[0].set.a", Old: text("event.a"), New: text("event.b"), Effect: change.EffectReplay}}},
		"a rule before the others": {
			[]string{"    - {on: [A]", "    - {on: [C], delete: true}\n    - {on: [A]"},
			[]change.Field{{Path: "spec.reducer.rules[0]", New: text("delete: true\n\"on\":\n- C\n"), Effect: change.EffectReplay}},
		},
		"a rule that goes": {
			[]string{"    - {on: [A], set: {a: event.a}}\n", ""},
			[]change.Field{{Path: "spec.reducer.rules[0]", Old: text("\"on\":\n- A\nset:\n  a: event.a\n"), Effect: change.EffectReplay}},
		},
		"fields in another order":  {[]string{"[{name: a, type: String}, {name: total, type: Integer}]", "[{name: total, type: Integer}, {name: a, type: String}]"}, []change.Field{}},
		"another type of a field":  {[]string{"type: Integer", "type: Number"}, []change.Field{{Path: "spec.readModel.fields[total]", Old: text("Integer"), New: text("Number"), Effect: change.EffectReplay}}},
		"a default written out":    {[]string{"stream: events", `stream: events, from: "0", format: Fields`}, []change.Field{}},
		"another spelling of from": {[]string{"stream: events", `stream: events, from: "0-0"`}, []change.Field{{Path: "spec.source.from", Old: text("0"), New: text("0-0"), Effect: change.EffectNone}}},
		"a password in a URL": {[]string{"redis://redis", "redis://u:secret@redis"}, []change.Field{
			{Path: "spec.readModel.redisHash.url", Old: text("redis://redis:6379/0"), New: text("redis://…@redis/0"), Effect: change.EffectReplay},
			{Path: "spec.source.redis.url", Old: text("redis://redis:6379/0"), New: text("redis://…@redis/0"), Effect: change.EffectReplay},
		}},
		"credentials": {[]string{`redis://redis"`, `redis://redis", credentialsSecretRef: {name: s}`}, []change.Field{
			{Path: "spec.readModel.redisHash.credentialsSecretRef.name", New: text("s"), Effect: change.EffectPods},
			{Path: "spec.source.redis.credentialsSecretRef.name", New: text("s"), Effect: change.EffectPods},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := change.Make(change.Input{New: projection(t, test.edits...), Old: live(t), Live: true, Now: now})
			want := test.want
			if len(want) == 0 {
				want = nil
			}
			if diff := cmp.Diff(want, got.Changes); diff != "" && len(got.Changes)+len(want) > 0 {
				t.Error(diff)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		edits []string
		live  func(*v1alpha1.Projection)
		want  string // one of the warnings begins with it; "" for none at all
	}{
		"a replay of a rule":             {changed, nil, ""},
		"a new field that is set":        {append([]string{"fields: [", "fields: [{name: c, type: String}, "}, replayed, "set: {a: event.a, c: event.c}"), nil, "it will probably be Held: every entity with the new field c differs"},
		"the same, where all may differ": {append([]string{"spec:", "spec:\n  replay: {promotion: {maxChangedPercent: 100}}", "fields: [", "fields: [{name: c, type: String}, "}, replayed, "set: {a: event.a, c: event.c}"), nil, ""},
		"another key":                    {[]string{"key: event.id", "key: event.a"}, nil, "it will probably be Held: entities have other keys"},
		"another prefix":                 {[]string{`"x:"`, `"y:"`}, nil, `hashes that stand under "y:" in redis:6379/0 already`},
		"readers of another prefix":      {[]string{`"x:"`, `"y:"`}, nil, "readers must read at y: and no longer at x:"},
		"another cutover":                {[]string{`"x:"`, `"x:", cutover: Pointer`}, nil, "readers must find entities in another way"},
		"another stream":                 {[]string{"stream: events", "stream: others"}, nil, "another log is read than now"},
		"suspended":                      {append([]string{"spec:", "spec:\n  suspend: true"}, changed...), nil, "spec.suspend is true"},
		"a replay that runs":             {changed, func(p *v1alpha1.Projection) { add(p, "aaaaaaaa", v1alpha1.RevisionHeld) }, "a replay is under way, of revision aaaaaaaa"},
		"a stream without its beginning": {append([]string{"spec:", "spec:\n  replay: {history: Available}"}, changed...), func(p *v1alpha1.Projection) { p.Status.Conditions[0].Status = "False" }, "the stream has lost its beginning"},
		"a window that ends": {changed, func(p *v1alpha1.Projection) {
			add(p, plan.Revision(projection(t, changed...).Spec), v1alpha1.RevisionRetained)
			p.Status.Revisions[1].RetainedUntil = at(time.Minute)
		}, "its rollback window ends at 2026-11-23T12:01:00Z"},
		"four revisions": {changed, func(p *v1alpha1.Projection) {
			for _, name := range []string{"aaaaaaaa", "bbbbbbbb", "cccccccc"} {
				add(p, name, v1alpha1.RevisionRetained)
			}
		}, "there are 4 revisions already"},
	} {
		t.Run(name, func(t *testing.T) {
			old := live(t)
			if test.live != nil {
				test.live(old)
			}
			got := change.Make(change.Input{New: projection(t, test.edits...), Old: old, Live: true, Now: now}).Warnings
			if test.want == "" && len(got) > 0 || test.want != "" && !strings.Contains("\n"+strings.Join(got, "\n"), "\n"+test.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}
