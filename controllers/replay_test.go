package controllers

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/projector/contract"
)

func strategy(in v1alpha1.ReplayStrategy) func(*v1alpha1.Projection) {
	return func(p *v1alpha1.Projection) { p.Spec.Replay.Strategy = in }
}

func manual(p *v1alpha1.Projection) { p.Spec.Replay.Promotion.Mode = v1alpha1.PromotionManual }

func approve(name string) func(*v1alpha1.Projection) {
	return func(p *v1alpha1.Projection) { p.Spec.Replay.Promotion.Approve = name }
}

func window(d time.Duration) func(*v1alpha1.Projection) {
	return func(p *v1alpha1.Projection) { p.Spec.Replay.RollbackWindowSeconds = ptr.To(int64(d / time.Second)) }
}

func elsewhere(p *v1alpha1.Projection) {
	p.Spec.ReadModel.RedisHash.URL = v1alpha1.URL("redis://other." + p.Namespace + ".svc:6379/0")
}

// states are those of status, as "name:State", the active revision marked.
func (w *world) states(p *v1alpha1.Projection) string {
	w.t.Helper()
	var out []string
	for _, revision := range w.refresh(p).Status.Revisions {
		state := string(revision.State)
		if revision.Name == p.Status.ActiveRevision {
			state = "*" + state
		}
		out = append(out, revision.Name+":"+state)
	}
	return strings.Join(out, " ")
}

func (w *world) stateOf(p *v1alpha1.Projection, name string) v1alpha1.RevisionState {
	w.t.Helper()
	if found := revisionIn(&w.refresh(p).Status, name); found != nil {
		return found.State
	}
	return ""
}

func (w *world) desired(p *v1alpha1.Projection) string {
	w.t.Helper()
	return plan.Revision(w.refresh(p).Spec)
}

// pass lets operator and cluster take one turn each, and time go on.
func (w *world) pass(p *v1alpha1.Projection) {
	w.t.Helper()
	result, err := w.reconcile(p)
	if err != nil {
		w.t.Logf("reconcile: %v", err)
	}
	w.cluster.step()
	w.clock.SetTime(w.clock.Now().Add(max(result.RequeueAfter, time.Second)))
}

func (w *world) reaches(p *v1alpha1.Projection, name string, state v1alpha1.RevisionState) {
	w.t.Helper()
	for range 60 {
		if w.stateOf(p, name) == state {
			return
		}
		w.pass(p)
	}
	w.t.Fatalf("%s does not become %q: %s\n%v", name, state, w.states(p), p.Status.Conditions)
}

func TestAReplay(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	a := w.refresh(p).Status.ActiveRevision
	w.projectors().length, w.projectors().speed = 10_000, 1000
	w.projectors().model(w).events[a] = 10_000
	w.settle(p)
	w.projectors().diff = contract.Diff{AtID: "1795412031120-10000", Same: 90, Added: 1, Changed: 9, Digest: "d1",
		ChangedFields: map[string]int64{"orders": 9}, Sample: []contract.DiffSample{{Key: "1", Change: contract.Changed, Fields: []string{"orders"}}}}
	w.events()
	writes := len(w.writes.log)

	w.edit(p, newFold)
	b := w.desired(p)
	w.reaches(p, b, v1alpha1.RevisionBuilding)
	w.pass(p)
	w.pass(p)
	message := w.expectReconciling(p, v1alpha1.ReasonReplaying)
	w.Expect(message).To(HavePrefix("revision " + b + " is built beside revision " + a + ", which readers read: "))
	w.Expect(p.Status.ActiveRevision).To(Equal(a))
	w.Expect(p.Status.LastAckedID).To(HaveSuffix("-10000"), "status is about what readers read")
	w.Expect(*revisionIn(&p.Status, b).Progress.Percent).To(BeNumerically("<", 100))
	w.Expect(w.deployments()).To(HaveLen(2))

	w.reaches(p, b, v1alpha1.RevisionVerifying)
	w.expectReconciling(p, v1alpha1.ReasonVerifying)
	w.reaches(p, b, v1alpha1.RevisionPromoting)
	w.expectReconciling(p, v1alpha1.ReasonPromoting)
	w.Expect(w.states(p)).To(HavePrefix(a + ":*Active"))
	w.reaches(p, b, v1alpha1.RevisionActive)
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.states(p)).To(Equal(b + ":*Active " + a + ":Retained"))
	w.Expect(w.jobs()).To(BeEmpty())
	w.Expect(w.deployments()).To(HaveLen(2), "the old one folds on")
	w.Expect(p.Status.Replays[0]).To(And(HaveField("Revision", b), HaveField("Cause", v1alpha1.CauseSpecChanged),
		HaveField("Outcome", v1alpha1.OutcomePromoted), HaveField("Digest", "d1"), HaveField("Events", BeEquivalentTo(10_000)),
		HaveField("Image", "refold-projector:v1")))
	w.expectNoWrites(p)

	w.clock.SetTime(p.Status.Revisions[1].RetainedUntil.Time)
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.states(p)).To(Equal(b + ":*Active"))
	w.Expect(w.deployments()).To(HaveLen(1))
	w.Expect(w.contracts()).To(HaveLen(1))
	w.Expect(w.jobs()).To(BeEmpty())
	w.Expect(w.projectors().did).To(Equal([]string{"verify " + b, "cutover " + b, "retire " + a}))
	story := w.events()
	for _, once := range []string{"ReplayStarted", "Verified", "Promoted", "Retired"} {
		w.Expect(strings.Count(story, "Normal "+once+" ")).To(Equal(1), "%s in\n%s", once, story)
	}
	w.Expect(story).To(ContainSubstring("10000 entities were switched over; writers stood still for 12 ms"))
	w.Expect(len(w.writes.log)-writes).To(BeNumerically("<=", 45), strings.Join(w.writes.log[writes:], "\n"))
	w.expectNoWrites(p)
}

func TestAReplayThatChangesTooMuchIsHeld(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	a := w.refresh(p).Status.ActiveRevision
	w.projectors().diff = contract.Diff{AtID: "1795412031120-100", Same: 90, Added: 1, Removed: 2, Changed: 70, Digest: "d1",
		ChangedFields: map[string]int64{"orders": 70, "email": 3}}
	w.events()
	w.edit(p, newFold)
	b := w.desired(p)
	w.reaches(p, b, v1alpha1.RevisionHeld)
	w.settle(p)
	held := w.condition(p, v1alpha1.ConditionHeld)
	w.Expect(held).NotTo(BeNil())
	w.Expect(held.Message).To(And(ContainSubstring("90 are the same, 1 added, 2 removed and 70 changed (orders 70, email 3)"),
		ContainSubstring(`kubectl -n `+w.namespace+` patch projection user-profile --type merge -p '{"spec":{"replay":{"promotion":{"approve":"`+b+`"}}}}'`),
		ContainSubstring("put the old spec back"), ContainSubstring("readers still read revision "+a)))
	ready := w.condition(p, v1alpha1.ConditionReady)
	w.Expect(string(ready.Status) + ready.Reason).To(Equal("FalseAwaitingApproval"))
	w.Expect(w.condition(p, v1alpha1.ConditionStalled)).To(BeNil())
	w.Expect(w.condition(p, v1alpha1.ConditionReconciling)).To(BeNil())
	w.Expect(w.jobs()).To(BeEmpty())
	w.expectNoWrites(p)
	w.restart()
	w.settle(p)
	w.Expect(w.states(p)).To(Equal(a + ":*Active " + b + ":Held"))

	w.edit(p, approve("another2"))
	w.settle(p)
	w.Expect(w.condition(p, v1alpha1.ConditionHeld).Message).To(ContainSubstring("names another2"))
	w.Expect(w.refresh(p).Status.ActiveRevision).To(Equal(a))
	w.edit(p, approve(b))
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.refresh(p).Status.ActiveRevision).To(Equal(b))
	w.Expect(w.projectors().did).To(Equal([]string{"verify " + b, "cutover " + b}))
	w.Expect(w.events()).To(ContainSubstring("Normal AwaitingApproval"))
}

func TestAHeldReplayIsDeclinedByPuttingTheOldSpecBack(t *testing.T) {
	w := newWorld(t)
	p := w.ready(manual)
	a := w.refresh(p).Status.ActiveRevision
	w.edit(p, newFold)
	b := w.desired(p)
	w.reaches(p, b, v1alpha1.RevisionHeld)
	w.events()
	w.edit(p, oldFold)
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.states(p)).To(Equal(a + ":*Active"))
	w.Expect(w.projectors().did).To(Equal([]string{"verify " + b, "retire " + b}))
	w.Expect(w.deployments()).To(HaveLen(1))
	w.Expect(w.events()).To(And(ContainSubstring("CalledOff"), ContainSubstring("Retired")))
	w.Expect(p.Status.Replays[0].Outcome).To(Equal(v1alpha1.OutcomeCalledOff))
}

func TestTwoEditsInASecondBuildTheLastOne(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.edit(p, newFold)
	b := w.desired(p)
	w.edit(p, func(p *v1alpha1.Projection) { p.Spec.Reducer.Rules[3].Add["orders"] = "3" })
	w.settle(p)
	w.expectReady(p)
	w.Expect(p.Status.ActiveRevision).To(Equal(w.desired(p)))
	w.Expect(strings.Join(w.projectors().did, "\n")).NotTo(ContainSubstring(b))
}

func TestAReplayTakesNobodysKeysAndNobodyTakesIts(t *testing.T) {
	w := newWorld(t)
	waiting := w.ready(named("waiting", "z:"))
	time.Sleep(1100 * time.Millisecond) // creation times have whole seconds
	first := w.ready(named("first", "a:"), manual)
	w.edit(waiting, named("waiting", "a:"))
	w.settle(waiting)
	w.expectStalled(waiting, v1alpha1.ReasonTargetConflict)
	w.edit(first, newFold)
	w.settle(first)
	w.Expect(w.condition(first, v1alpha1.ConditionHeld)).NotTo(BeNil(), "who waits for its keys does not hold up a replay")

	w.edit(first, func(p *v1alpha1.Projection) { p.Spec.ReadModel.RedisHash.KeyPrefix = "b:" })
	w.settle(first)
	third := w.create(named("third", "b:"))
	w.settle(third)
	w.Expect(w.expectStalled(third, v1alpha1.ReasonTargetConflict)).To(ContainSubstring("first"), "the candidate's keys are taken")
	w.edit(first, approve(w.desired(first)))
	w.settle(first)
	w.expectReady(first)
	w.settle(waiting)
	w.expectStalled(waiting, v1alpha1.ReasonTargetConflict) // a: is kept for a rollback
	w.clock.SetTime(w.clock.Now().Add(2 * time.Hour))
	w.settle(first)
	w.settle(waiting)
	w.expectReady(waiting)
}

func TestProgressOfAReplayIsWrittenEveryTwoSecondsAtMost(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.projectors().length, w.projectors().speed = 1_000_000, 10
	w.projectors().model(w).events[w.refresh(p).Status.ActiveRevision] = 1_000_000
	w.edit(p, newFold)
	w.reaches(p, w.desired(p), v1alpha1.RevisionBuilding)
	w.pass(p)
	w.pass(p)
	writes := len(w.writes.log)
	for range 20 {
		_, err := w.reconcile(p)
		w.Expect(err).NotTo(HaveOccurred())
		w.clock.SetTime(w.clock.Now().Add(500 * time.Millisecond))
	}
	w.Expect(len(w.writes.log) - writes).To(BeNumerically("~", 5, 1))
}
