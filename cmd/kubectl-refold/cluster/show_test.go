package cluster

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
)

// pod makes one of a revision, and what its kubelet says of it.
func (w *world) pod(p *v1alpha1.Projection, revision, name string, component resources.Component, status corev1.PodStatus) {
	w.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name, Labels: resources.SelectorLabels(p.Name, revision, component)},
		Spec:       corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "projector", Image: "refold-projector:v1"}}},
	}
	w.Expect(w.client.Create(w.ctx, pod)).To(Succeed())
	pod.Status = status
	w.Expect(w.client.Status().Update(w.ctx, pod)).To(Succeed())
}

func running(ready bool, restarts int32) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "projector", Ready: ready, RestartCount: restarts, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}
}

func (w *world) event(p *v1alpha1.Projection, kind, reason, message string, age time.Duration) {
	w.t.Helper()
	w.Expect(w.client.Create(w.ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: w.namespace, GenerateName: p.Name + "."},
		InvolvedObject: corev1.ObjectReference{Kind: "Projection", Name: p.Name, Namespace: p.Namespace, UID: p.UID},
		Type:           kind, Reason: reason, Message: message,
		EventTime: metav1.NewMicroTime(now.Add(-age)), Action: "Replay",
		ReportingController: "refold", ReportingInstance: "refold-1",
	})).To(Succeed())
}

// stories are Projections in the states that people meet.
var stories = map[string]func(w *world) *v1alpha1.Projection{
	"new": func(w *world) *v1alpha1.Projection { return w.create() },
	"live": func(w *world) *v1alpha1.Projection {
		p := w.create()
		w.says(p, func(s *v1alpha1.ProjectionStatus) {
			s.ActiveRevision, s.LastAckedID, s.Events = "7f3k2m4q", "1795412031120-356", 160000
			s.LagEvents, s.LagSeconds = new(int64(12)), new(int64(1))
			s.Partitions = []v1alpha1.PartitionStatus{{Stream: "user_events", LastAckedID: "1795412031120-356", LagEvents: new(int64(12))}}
			s.Conditions = conditions("Ready", "Folding", "revision 7f3k2m4q folds stream user_events")
			s.Revisions = []v1alpha1.RevisionStatus{{Name: "7f3k2m4q", State: "Active", LastAckedID: "1795412031120-356", PromotedAt: ago(3 * time.Hour)}}
		})
		w.pod(p, "7f3k2m4q", "user-profile-7f3k2m4q-5d8f7c9b6-x2x4k", resources.Projector, running(true, 0))
		return p
	},
	"building": func(w *world) *v1alpha1.Projection {
		p := w.create()
		w.says(p, func(s *v1alpha1.ProjectionStatus) {
			s.ActiveRevision, s.LastAckedID, s.Events = "7f3k2m4q", "1795412031120-356", 160000
			s.LagEvents, s.LagSeconds = new(int64(0)), new(int64(0))
			s.Partitions = []v1alpha1.PartitionStatus{{Stream: "user_events", LastAckedID: "1795412031120-356", LagEvents: new(int64(0))}}
			s.Conditions = conditions("Reconciling", "Replaying", "revision b4axw2ad is built beside revision 7f3k2m4q, which readers read: 40 % is done, about 5 minutes to go")
			s.Revisions = []v1alpha1.RevisionStatus{
				{Name: "b4axw2ad", State: "Building", LastAckedID: "1795411000000-0", Progress: &v1alpha1.ReplayProgress{Percent: new(int32(42)), Events: 67200, EventsPerSecond: 12345, EtaSeconds: new(int64(192))}},
				{Name: "7f3k2m4q", State: "Active", LastAckedID: "1795412031120-356", PromotedAt: ago(3 * time.Hour)},
				{Name: "5xk27aaa", State: "Retained", LastAckedID: "1795412031120-356", RetainedUntil: ago(-42 * time.Minute)},
				{Name: "3ok27aab", State: "Retiring"},
			}
		})
		w.pod(p, "7f3k2m4q", "user-profile-7f3k2m4q-5d8f7c9b6-x2x4k", resources.Projector, running(true, 2))
		w.pod(p, "b4axw2ad", "user-profile-b4axw2ad-6c9d5b7f4-qq9zt", resources.Projector, running(false, 0))
		w.pod(p, "5xk27aaa", "user-profile-5xk27aaa-7d8c6f5b4-kk2mn", resources.Projector, corev1.PodStatus{Phase: corev1.PodRunning,
			ContainerStatuses: []corev1.ContainerStatus{{Name: "projector", RestartCount: 7, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}})
		w.event(p, "Normal", "ReplayStarted", "Revision b4axw2ad is built from 0-0 on: the spec's fold has changed", 2*time.Minute)
		return p
	},
	"held": func(w *world) *v1alpha1.Projection {
		p := w.create()
		w.says(p, func(s *v1alpha1.ProjectionStatus) {
			s.ActiveRevision, s.LastAckedID = "7f3k2m4q", "1795412031120-356"
			s.LagEvents, s.LagSeconds = new(int64(0)), new(int64(0))
			s.Conditions = conditions("Held", "AwaitingApproval", "revision b4axw2ad is built and awaits approval; readers still read revision 7f3k2m4q. To publish it: …")
			s.Revisions = []v1alpha1.RevisionStatus{
				{Name: "b4axw2ad", State: "Held", LastAckedID: "1795412031120-356", Progress: &v1alpha1.ReplayProgress{Percent: new(int32(100)), Events: 160000},
					Diff: &v1alpha1.RevisionDiff{AtID: "1795412031120-356", Same: 5980, Added: 12, Removed: 8, Changed: 4000, ChangedFields: map[string]int64{"email": 3990, "city": 10}}},
				{Name: "7f3k2m4q", State: "Active", LastAckedID: "1795412031120-356", PromotedAt: ago(49 * time.Hour)},
			}
		})
		w.event(p, "Normal", "ReplayStarted", "Revision b4axw2ad is built from 0-0 on: the spec's fold has changed", 12*time.Minute)
		w.event(p, "Normal", "Verified", "Revision b4axw2ad is compared. Of the entities 5980 are the same, 12 added, 8 removed and 4000 changed (email 3990, city 10), both folded up to 1795412031120-356.", 3*time.Minute)
		return p
	},
	"stalled": func(w *world) *v1alpha1.Projection {
		p := w.create(func(p *v1alpha1.Projection) { p.Spec.ReadModel.RedisHash.Cutover = "Pointer" })
		w.says(p, func(s *v1alpha1.ProjectionStatus) {
			s.ActiveRevision, s.LastAckedID = "7f3k2m4q", "1795412031120-356"
			s.Conditions = append(conditions("Stalled", "EventFailed", "event 1795412031120-357: rule 3 (OrderPlaced): add.spent_cents: event.cents is not an int. Correct the producer, or handle such events in the expression or with when."),
				metav1.Condition{Type: "HistoryComplete", Status: "False", Reason: "HistoryIncomplete", Message: "the stream no longer holds everything from source.from on: a replay would miss what is gone, and is refused unless spec.replay.history is Available"})
			s.Revisions = []v1alpha1.RevisionStatus{{Name: "7f3k2m4q", State: "Active", LastAckedID: "1795412031120-356"}}
		})
		w.event(p, "Warning", "EventFailed", "event 1795412031120-357: \x1b[2Jrule 3 (OrderPlaced): add.spent_cents", 3*time.Minute)
		return p
	},
}

func TestStatusAsPeopleSeeIt(t *testing.T) {
	for name, story := range stories {
		w := newWorld(t)
		w.clock.SetTime(now)
		p := story(w)
		for _, columns := range []int{80, 200} {
			w.columns = columns
			got := w.run("status", p.Name)
			w.Expect(got.code).To(Equal(0), got.err)
			w.Expect(got.err).To(BeEmpty())
			golden(t, fmt.Sprintf("status-%s-%d", name, columns), got.out)
		}
	}
}

func TestGetAsPeopleSeeIt(t *testing.T) {
	w := newWorld(t)
	for name, story := range stories {
		other := &world{WithT: w.WithT, t: t, ctx: w.ctx, namespace: w.namespace, client: renaming{w.client, name}, clock: w.clock}
		story(other)
	}
	for _, columns := range []int{60, 80, 200} {
		w.columns = columns
		got := w.run("get")
		w.Expect(got.code).To(Equal(0), got.err)
		golden(t, fmt.Sprintf("get-%d", columns), got.out)
	}
	golden(t, "get-wide", w.run("get", "-o", "wide").out)
	w.Expect(w.run("get", "-o", "name", "held", "live").out).To(Equal("projection.refold.dev/held\nprojection.refold.dev/live\n"))
	var list struct{ Items []v1alpha1.Projection }
	w.Expect(json.Unmarshal([]byte(w.run("get", "-o", "json").out), &list)).To(Succeed())
	w.Expect(list.Items).To(HaveLen(len(stories)))
	var all struct{ Items []v1alpha1.Projection }
	w.Expect(json.Unmarshal([]byte(w.run("get", "-A", "-o", "json").out), &all)).To(Succeed())
	w.Expect(len(all.Items)).To(BeNumerically(">=", len(stories)))
	w.Expect(w.run("get", "-A").out).To(HavePrefix("NAMESPACE "))
	w.Expect(w.run("get", "-A", "x").code).To(Equal(3))

	empty := newWorld(t)
	got := empty.run("get")
	w.Expect(got).To(Equal(result{err: "There are no Projections in namespace shop.\n"}))
}

func TestStatusForPrograms(t *testing.T) {
	w := newWorld(t)
	p := stories["building"](w)
	var got struct {
		Projection v1alpha1.Projection
		Pods       []podSummary
	}
	w.Expect(json.Unmarshal([]byte(w.run("status", p.Name, "-o", "json").out), &got)).To(Succeed())
	w.Expect(got.Projection.Status.ActiveRevision).To(Equal("7f3k2m4q"))
	w.Expect(got.Pods).To(HaveLen(3))
	w.Expect(w.run("status", p.Name, "-o", "yaml").out).To(ContainSubstring("activeRevision: 7f3k2m4q"))
}

func TestStatesAndFieldsOfANewerOperatorAreShownAsTheyAre(t *testing.T) {
	o := &object{Projection: &v1alpha1.Projection{}, Unknown: []string{"status.shards"}}
	o.Status.Revisions = []v1alpha1.RevisionStatus{{Name: "b4axw2ad", State: "Reviewing"}}
	d := drawing{now: now, version: "v1.0.0"}
	text := d.draw(&view{object: o})
	for _, want := range []string{
		"b4axw2ad  Reviewing",
		"hint: kubectl-refold v1.0.0 does not know the state Reviewing of revision b4axw2ad: the operator is of a newer release",
		"hint: kubectl-refold v1.0.0 does not know the field status.shards",
	} {
		NewWithT(t).Expect(text).To(ContainSubstring(want))
	}
}

func TestAnOperatorWithoutRevisionsHasAnActiveOne(t *testing.T) {
	o := &object{Projection: &v1alpha1.Projection{}}
	o.Status.ActiveRevision, o.Status.LastAckedID = "7f3k2m4q", "5-0"
	text := drawing{now: now}.draw(&view{object: o})
	NewWithT(t).Expect(text).To(ContainSubstring("└─ 7f3k2m4q  Active"))
	NewWithT(t).Expect(text).To(ContainSubstring("at 5-0"))
}

func TestTheRateIsSeenBetweenTwoLooks(t *testing.T) {
	g := NewWithT(t)
	r := newRates()
	for _, look := range []struct {
		events  int64
		seconds int
		want    any
	}{{100, 0, nil}, {100, 2, nil}, {300, 4, 50.0}, {300, 10, 50.0}, {300, 40, 0.0}, {5, 50, nil}} {
		o := &object{Projection: &v1alpha1.Projection{}}
		o.Status.ActiveRevision, o.Status.Events = "a", look.events
		v := &view{object: o, Rates: map[string]float64{}}
		r.see(v, now.Add(time.Duration(look.seconds)*time.Second))
		if look.want == nil {
			g.Expect(v.Rates).To(BeEmpty(), "at %d s", look.seconds)
			continue
		}
		g.Expect(v.Rates).To(HaveKeyWithValue("a", look.want), "at %d s", look.seconds)
	}
}

func TestCompletionOfNamesAndRevisions(t *testing.T) {
	w := newWorld(t)
	p, _, candidate := w.held()
	for args, want := range map[string]string{
		"status":                p.Name + "\n",
		"promote user-profile":  candidate + "\tHeld\n",
		"rollback user-profile": "",
		"get":                   p.Name + "\n",
		"suspend user-profile":  "",
	} {
		out := w.complete(strings.Fields(args)...)
		w.Expect(out).To(HavePrefix(want+":"), args)
	}
}

func TestCompletionOfFlags(t *testing.T) {
	w := newWorld(t)
	w.Expect(w.bare("__complete", "get", "--kubeconfig", apiServer.kubeconfig, "-n", "").out).To(ContainSubstring("shop\n"))
	w.Expect(w.bare("__complete", "get", "--kubeconfig", apiServer.kubeconfig, "--context", "").out).To(HavePrefix("envtest\n:"))
}

func (w *world) complete(args ...string) string {
	w.t.Helper()
	// kubectl hands flags on in front of what is to be completed.
	all := append([]string{"__complete", args[0], "--kubeconfig", apiServer.kubeconfig, "-n", w.namespace}, args[1:]...)
	return w.bare(append(all, "")...).out
}
