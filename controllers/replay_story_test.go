package controllers

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/projector/contract"
)

func TestAnUpgradeAloneStartsNoJobAndLeavesReadyAlone(t *testing.T) {
	for name, publication := range map[string]int64{"ledgers that number": 1, "ledgers from before": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.ready()
			w.projectors().oldImage = "refold-projector:v1"
			w.projectors().model(w).publication = publication
			w.forgetPublication(p)
			w.events()
			w.restart()
			w.r.Image = "refold-projector:v2"
			for range 20 {
				w.pass(p)
				w.Expect(w.jobs()).To(BeEmpty())
				w.expectReady(p)
			}
			w.Expect(w.projectors().did).To(BeEmpty())
			w.Expect(w.events()).To(BeEmpty())
			w.expectNoWrites(p)
		})
	}
}

// forgetPublication makes status one of an operator that did not know it.
func (w *world) forgetPublication(p *v1alpha1.Projection) {
	w.t.Helper()
	w.refresh(p).Status.Publication = 0
	w.Expect(w.client.Status().Update(w.ctx, p)).To(Succeed())
}

func TestTheStoryOfAReplayIsNoMoreThanItsChapters(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	a := w.refresh(p).Status.ActiveRevision
	w.Expect(w.events()).NotTo(Or(ContainSubstring("Starting"), ContainSubstring("StatusUnavailable"), ContainSubstring("Claiming")))
	w.edit(p, newFold)
	b := w.desired(p)
	w.comesTo(p, b)
	w.settle(p)
	w.Expect(reasons(w.events())).To(Equal("ReplayStarted Verified Promoted Folding"))
	w.edit(p, oldFold)
	w.comesTo(p, a)
	w.settle(p)
	w.Expect(reasons(w.events())).To(Equal("ReplayStarted RolledBack Folding"))
}

// reasons of events, in their order.
func reasons(events string) string {
	var out []string
	for _, line := range strings.Split(events, "\n") {
		if fields := strings.Fields(line); len(fields) > 1 {
			out = append(out, fields[1])
		}
	}
	return strings.Join(out, " ")
}

func TestNoPassOfARollbackSpeaksOfAReplay(t *testing.T) {
	w := newWorld(t)
	w.projectors().late = 4
	p := w.ready()
	a := w.refresh(p).Status.ActiveRevision
	w.edit(p, newFold)
	b := w.desired(p)
	for range 40 {
		w.pass(p)
		w.Expect(w.condition(p, v1alpha1.ConditionReady).Message).NotTo(ContainSubstring("is begun when"))
	}
	w.Expect(w.stateOf(p, b)).To(Equal(v1alpha1.RevisionActive))
	w.edit(p, oldFold)
	for range 20 {
		w.pass(p)
		ready := w.condition(p, v1alpha1.ConditionReady)
		w.Expect(ready.Reason).To(BeElementOf(v1alpha1.ReasonFolding, v1alpha1.ReasonRollingBack), ready.Message)
	}
	w.Expect(w.refresh(p).Status.ActiveRevision).To(Equal(a))
	w.Expect(p.Status.Replays).To(HaveLen(3))
}

// An edit back right after a cutover, while its Job and the projectors' word are still there.
func TestARollbackInTheSecondOfAPromotionIsOne(t *testing.T) {
	for late := range 4 {
		w := newWorld(t)
		w.projectors().late = late
		p := w.ready()
		a := w.refresh(p).Status.ActiveRevision
		w.edit(p, newFold)
		b := w.desired(p)
		w.reaches(p, b, v1alpha1.RevisionActive)
		w.edit(p, oldFold)
		for range 30 {
			w.pass(p)
			message := w.condition(p, v1alpha1.ConditionReady).Message
			w.Expect(message).NotTo(Or(ContainSubstring("is begun when"), ContainSubstring("is built beside")), w.states(p))
		}
		w.Expect(w.states(p)).To(Equal(a + ":*Active " + b + ":Retained"))
		w.Expect(w.projectors().did).To(Equal([]string{"verify " + b, "cutover " + b, "cutover " + a}))
		w.Expect(p.Status.Replays).To(HaveLen(3))
	}
}

func TestThePromotedEventCountsEntitiesWhoeverTellsFirst(t *testing.T) {
	for late := range 3 {
		w := newWorld(t)
		w.projectors().late = late
		w.cluster.slowJobs = true
		p := w.ready()
		w.edit(p, newFold)
		b := w.desired(p)
		w.reaches(p, b, v1alpha1.RevisionPromoting)
		w.events()
		w.comesTo(p, b)
		w.Expect(w.events()).To(ContainSubstring("100 entities were switched over"))
	}
}

func TestTheCommandThatApprovesIsNeverClipped(t *testing.T) {
	w := newWorld(t)
	name := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 61)
	fields := map[string]int64{}
	for _, c := range "abcdefghijklmnopqrst" {
		fields[strings.Repeat(string(c), 128)] = 1 << 60
	}
	p := w.ready(func(p *v1alpha1.Projection) { p.Name = name }, manual)
	w.projectors().diff = contract.Diff{AtID: "1795412031120-100", Same: 1 << 60, Added: 1 << 60, Removed: 1 << 60, Changed: 1 << 60, ChangedFields: fields}
	w.edit(p, func(p *v1alpha1.Projection) { newFold(p); p.Spec.Replay.Promotion.Approve = strings.Repeat("z", 63) })
	b := w.desired(p)
	w.reaches(p, b, v1alpha1.RevisionHeld)
	w.settle(p)
	message := w.condition(p, v1alpha1.ConditionHeld).Message
	command := `kubectl -n ` + w.namespace + ` patch projection ` + name + ` --type merge -p '{"spec":{"replay":{"promotion":{"approve":"` + b + `"}}}}'`
	w.Expect(message).To(And(ContainSubstring(command), ContainSubstring("put the old spec back")))
	w.Expect(len([]rune(message))).To(BeNumerically("<=", maxMessage))
	w.expectNoWrites(p)
}

// A live projector looks at the log's history now and then: a replay may begin before
// it tells, and is then stopped by the candidate itself.
func TestAReplayThatFindsTheHistoryIncompleteItselfHealsBothWays(t *testing.T) {
	for name, tells := range map[string]bool{"the active one tells later": true, "the active one never tells": false} {
		for way, edit := range map[string]func(*v1alpha1.Projection){
			"back": oldFold, "available": func(p *v1alpha1.Projection) { p.Spec.Replay.History = v1alpha1.HistoryAvailable },
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				p := w.ready()
				a := w.refresh(p).Status.ActiveRevision
				w.edit(p, newFold)
				b := w.desired(p)
				told, available := false, false
				w.projectors().changeOf = func(revision string, p *contract.Partition) {
					if told || revision == b {
						p.History = contract.HistoryIncomplete
					}
					if revision == b && !available {
						p.State, p.CaughtUp, p.Events = contract.StateHalted, false, 0
						p.Problem = &contract.Problem{Reason: contract.ReasonHistoryIncomplete, Permanent: true, Message: "entries are gone",
							Remedy: "put the old spec back, or set spec.replay.history to Available"}
					}
				}
				w.settle(p)
				told = tells
				w.settle(p)
				w.Expect(w.expectStalled(p, contract.ReasonHistoryIncomplete)).To(ContainSubstring("readers still read revision " + a))
				w.expectNoWrites(p)
				w.edit(p, edit)
				available = way == "available"
				w.settle(p)
				w.expectReady(p)
				if available {
					w.Expect(p.Status.ActiveRevision).To(Equal(b))
					return
				}
				w.Expect(w.states(p)).To(Equal(a + ":*Active"))
				w.Expect(w.projectors().model(w).events).To(HaveLen(1))
				w.Expect(w.contracts()).To(HaveLen(1))
				w.Expect(meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionStalled)).To(BeFalse())
			})
		}
	}
}

func TestAnApprovalGivenBeforehandStillComparesFirst(t *testing.T) {
	w := newWorld(t)
	p := w.ready(manual, window(0))
	w.projectors().diff.Changed = 1000
	other := w.sample(manual, window(0), newFold)
	b := plan.Revision(other.Spec)
	w.edit(p, approve(b))
	w.settle(p)
	w.expectReady(p)
	w.expectNoWrites(p)
	w.edit(p, newFold)
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.states(p)).To(Equal(b + ":*Active"))
	w.Expect(w.projectors().did[:2]).To(Equal([]string{"verify " + b, "cutover " + b}))
}
