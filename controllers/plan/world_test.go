package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

// The world of this test: servers with ledgers, projectors that fold, Jobs that
// may be lost, and an operator whose writes may be. Next decides in it.
type world struct {
	t                       *rapid.T
	now                     time.Time
	spec                    worldSpec
	tail                    int64
	ledgers                 map[string]*ledger  // by store
	procs                   map[string]*process // projectors, by revision
	stores                  map[string]string   // contracts there are: where each revision keeps its model
	jobs                    map[string]*job     // by revision
	status                  worldStatus         // as stored
	older                   worldStatus         // as it was one write before
	gateOK                  map[string]bool     // an approval, or a gate that let it pass, was seen
	steps                   int
	emptied                 bool // InPlace has been wanted
	approvedOnce, abandoned map[string]bool
}

type worldSpec struct {
	name    string
	store   string
	invalid bool
	replay  ReplaySpec
}

type worldStatus struct {
	active      string
	publication int64
	list        []Step
	events      map[string]int64
	claimed     map[string]bool
}

type ledger struct {
	active      string
	publication int64 // counts what was active
	folds       map[string]int64
}

type process struct {
	claimed, published bool
	publication        int64 // as claimed
	stopping           bool
}

type job struct {
	work    Work
	ended   bool
	result  *contract.Result
	retryAt time.Time
}

func (w *world) ledger(store string) *ledger {
	if w.ledgers[store] == nil {
		w.ledgers[store] = &ledger{folds: map[string]int64{}}
	}
	return w.ledgers[store]
}

func (w *world) of(revision string) *ledger { return w.ledger(w.stores[revision]) }

// input is what an operator knows that reads the given status.
func (w *world) input(status worldStatus) Input {
	in := Input{Now: w.now, Desired: w.spec.name, Spec: w.spec.replay, Store: w.spec.store, Active: status.active, Publication: status.publication, History: HistoryComplete}
	if w.spec.invalid {
		in.Invalid = &Fault{Reason: v1alpha1.ReasonInvalidReducer, Message: "no"}
	}
	names := map[string]bool{}
	add := func(name string, s Step) {
		if names[name] {
			return
		}
		names[name] = true
		k := Known{Name: name, State: s.State, PromotedAt: s.PromotedAt, RetainedUntil: s.RetainedUntil, Completed: s.Completed, Diff: s.Diff,
			Events: status.events[name], Claimed: status.claimed[name], Store: w.stores[name], Runnable: w.stores[name] != ""}
		if pr := w.procs[name]; pr != nil {
			k.Running = true
			if !pr.stopping && rapid.IntRange(0, 9).Draw(w.t, "answers") > 0 {
				folded := w.of(name).folds[name]
				k.Projector = &Projector{Claimed: pr.claimed, Published: pr.published, Publication: pr.publication, Events: folded, CaughtUp: pr.claimed && folded == w.tail,
					Completed: pr.claimed && folded == w.tail && strings.HasPrefix(name, "u")}
				k.Claimed = k.Claimed || pr.claimed
			}
		}
		if j := w.jobs[name]; j != nil {
			k.Job = &Job{Kind: j.work.Kind, Ended: j.ended, Result: j.result, Attempt: j.work.Attempt, RetryAt: j.retryAt}
		}
		in.Known = append(in.Known, k)
	}
	for _, s := range status.list {
		add(s.Name, s)
	}
	for _, name := range sortedKeys(w.procs) {
		add(name, Step{})
	}
	for _, name := range sortedKeys(w.jobs) {
		add(name, Step{})
	}
	for _, name := range sortedKeys(w.stores) {
		add(name, Step{})
	}
	return in
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// reconcile is one pass of an operator: it decides, acts, and writes status.
func (w *world) reconcile(faulty bool) Decision {
	w.steps++
	status, stale := w.status, false
	if faulty && rapid.IntRange(0, 19).Draw(w.t, "stale") == 0 {
		status, stale = w.older, true
	}
	in := w.input(status)
	d := Next(in)
	w.t.Logf("%s=> %+v", describe(in), d)
	w.check(in, d)
	w.abandon(in, d)
	if faulty && rapid.IntRange(0, 9).Draw(w.t, "dies") == 0 {
		return d // before it has done anything
	}
	w.act(d)
	if stale {
		return d // the API server refuses its write
	}
	if faulty && rapid.IntRange(0, 9).Draw(w.t, "status lost") == 0 {
		return d
	}
	next := worldStatus{active: d.Active, publication: d.Publication, list: d.Revisions, events: map[string]int64{}, claimed: map[string]bool{}}
	for _, s := range d.Revisions {
		next.events[s.Name], next.claimed[s.Name] = status.events[s.Name], status.claimed[s.Name]
		for _, k := range in.Known {
			if k.Name == s.Name && k.Projector != nil {
				next.events[s.Name], next.claimed[s.Name] = k.Projector.Events, k.Claimed
			}
		}
	}
	w.older, w.status = w.status, next
	return d
}

// abandon notes what is given up: what nobody saw claim, on a server that the
// spec names no more. Of that alone may anything be left.
func (w *world) abandon(in Input, d Decision) {
	for _, k := range in.Known {
		listed := slices.ContainsFunc(d.Revisions, func(s Step) bool { return s.Name == k.Name })
		forgotten := k.Name == in.Desired && k.State == "" && !k.Running && k.Job == nil // status was lost twice
		if !listed && (len(d.Revisions) == maxRevisions || !k.Claimed && k.Store != in.Store || forgotten) {
			w.abandoned[k.Name] = true
		}
	}
}

func (w *world) act(d Decision) {
	for _, name := range d.Forget {
		delete(w.jobs, name)
	}
	for _, s := range d.Revisions {
		if s.Name == w.spec.name && s.Run {
			w.stores[s.Name] = w.spec.store
		}
		pr := w.procs[s.Name]
		switch {
		case s.Run && s.Replicas == 1 && pr == nil:
			w.procs[s.Name] = &process{}
		case s.Run && s.Replicas == 0 && pr != nil, !s.Run && pr != nil:
			pr.stopping = true
		case s.Run && pr != nil && pr.stopping:
			// the Deployment waits for its pod to go
		}
	}
	listed := func(name string) bool {
		return slices.ContainsFunc(d.Revisions, func(s Step) bool { return s.Name == name })
	}
	for _, name := range sortedKeys(w.procs) {
		if !listed(name) {
			w.procs[name].stopping = true
		}
	}
	for _, name := range sortedKeys(w.stores) {
		if !listed(name) && w.procs[name] == nil && w.jobs[name] == nil {
			delete(w.stores, name)
		}
	}
	if d.Job != nil && d.Job.Revision == w.spec.name {
		w.stores[w.spec.name] = w.spec.store // the spec says its contract
	}
	if d.Job != nil && (w.jobs[d.Job.Revision] == nil || w.jobs[d.Job.Revision].work.Attempt < d.Job.Attempt) {
		w.jobs[d.Job.Revision] = &job{work: *d.Job}
	}
}

// check holds every decision against what must never be.
func (w *world) check(in Input, d Decision) {
	fail := func(format string, args ...any) {
		w.t.Helper()
		w.t.Fatalf("%s\nin: %s\nout: %+v", fmt.Sprintf(format, args...), describe(in), d)
	}
	running := 0
	for name, j := range w.jobs {
		if !j.ended && !slices.Contains(d.Forget, name) {
			running++
			if d.Job != nil && (d.Job.Revision != name || d.Job.Kind != j.work.Kind || d.Job.Attempt != j.work.Attempt) {
				fail("a second Job beside %+v", j.work)
			}
		}
		if slices.Contains(d.Forget, name) && !j.ended && j.work.Kind == JobCutover {
			fail("a cutover is stopped half way")
		}
	}
	if l := w.of(d.Active); d.Active != "" && l.active != "" && d.Publication == l.publication && d.Active != l.active {
		fail("%s is said to be published, and %s is", d.Active, l.active)
	}
	if len(d.Revisions) > 4 {
		fail("%d revisions", len(d.Revisions))
	}
	if d.Job != nil && w.jobs[d.Job.Revision] == nil {
		w.checkBegun(in, d, fail)
	}
	for _, s := range d.Revisions {
		if s.State == v1alpha1.RevisionPromoting && !wholeOnce(in, d.Active) {
			w.gateOK[s.Name], w.approvedOnce[s.Name] = true, true // there is nothing whole to compare it with
		}
	}
}

func wholeOnce(in Input, active string) bool {
	for _, k := range in.Known {
		if k.Name == active {
			return (&revision{Known: k}).caughtUpOnce()
		}
	}
	return false
}

func (w *world) checkBegun(in Input, d Decision, fail func(string, ...any)) {
	job := d.Job
	var k Known
	for _, each := range in.Known {
		if each.Name == job.Revision {
			k = each
		}
	}
	l := w.of(job.Revision)
	published := d.Active == job.Revision || d.Active != "" && w.stores[d.Active] == w.stores[job.Revision] && l.active == job.Revision
	switch job.Kind {
	case JobRetire:
		if published && l.active == job.Revision && job.Published && !w.emptied {
			fail("%s is published and is removed", job.Revision)
		}
		if w.procs[job.Revision] != nil {
			fail("%s runs and is removed", job.Revision)
		}
	case JobCutover:
		if k.State != v1alpha1.RevisionPromoting {
			fail("a cutover before status says so")
		}
	}
	if w.spec.replay.Suspend {
		fail("a Job is begun while suspended")
	}
}

func describe(in Input) string {
	var b strings.Builder
	fmt.Fprintf(&b, "desired %s at %s active %q spec %+v invalid %v\n", in.Desired, in.Store, in.Active, in.Spec, in.Invalid != nil)
	for _, k := range in.Known {
		fmt.Fprintf(&b, "  %s %s running %t claimed %t events %d store %s runnable %t promoted %t", k.Name, k.State, k.Running, k.Claimed, k.Events, k.Store, k.Runnable, !k.PromotedAt.IsZero())
		if k.Projector != nil {
			fmt.Fprintf(&b, " projector %+v", *k.Projector)
		}
		if k.Job != nil {
			fmt.Fprintf(&b, " job %+v", *k.Job)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// live is a step of everything but the operator: pods go, projectors claim and
// fold, Jobs do their work as far as the ledger lets them.
func (w *world) live(faulty bool) {
	w.now = w.now.Add(time.Second)
	for _, name := range sortedKeys(w.procs) {
		pr := w.procs[name]
		if pr.stopping {
			delete(w.procs, name)
			continue
		}
		w.fold(name, pr, faulty)
	}
	for _, name := range sortedKeys(w.jobs) {
		if j := w.jobs[name]; !j.ended {
			w.run(name, j, faulty)
		}
	}
}

func (w *world) fold(name string, pr *process, faulty bool) {
	if faulty && rapid.IntRange(0, 3).Draw(w.t, "slow") == 0 {
		return
	}
	if w.stores[name] == "" {
		return // its contract is gone: it does not start
	}
	l := w.of(name)
	if _, ok := l.folds[name]; !ok || !pr.claimed || pr.publication != l.publication {
		if ok && pr.claimed && faulty && rapid.IntRange(0, 3).Draw(w.t, "idle") > 0 {
			return // it has not found out yet
		}
		if l.active == "" || l.folds[l.active] == 0 && l.active != name {
			delete(l.folds, l.active)
			l.active = name
			l.publication++
		}
		if _, ok := l.folds[name]; !ok {
			l.folds[name] = 0
		}
		pr.claimed, pr.published, pr.publication = true, l.active == name, l.publication
		return
	}
	l.folds[name] = min(w.tail, l.folds[name]+max(1, w.tail/3))
}

func (w *world) run(name string, j *job, faulty bool) {
	fate := 0
	if faulty {
		fate = rapid.IntRange(0, 7).Draw(w.t, "fate of a Job")
	}
	if w.stores[name] == "" {
		fate = 5
	}
	switch fate {
	case 5: // dies before it has done anything
		w.end(j, nil)
		return
	case 6:
		delete(w.jobs, name) // by hand
		return
	case 7:
		return
	}
	result := w.do(name, j.work)
	if fate == 4 { // did it, and nobody heard
		result = nil
	}
	w.t.Logf("job %+v result %+v ledger %+v", j.work, result, *w.of(name))
	w.end(j, result)
}

func (w *world) end(j *job, result *contract.Result) {
	j.ended, j.result = true, result
	j.retryAt = w.now.Add(time.Second)
}

func problem(reason string, permanent bool) *contract.Result {
	return &contract.Result{Problem: &contract.Problem{Reason: reason, Permanent: permanent, Message: "m", Remedy: "r"}}
}

func (w *world) do(name string, work Work) *contract.Result {
	l := w.of(name)
	switch work.Kind {
	case JobVerify:
		w.gateOK[name] = true
		changed := int64(0)
		if strings.HasSuffix(name, "x") {
			changed = 90
		}
		return &contract.Result{Done: true, Diff: &contract.Diff{AtID: "1-0", Same: 100 - changed, Changed: changed}}
	case JobCutover:
		if l.active != name {
			if !w.abandoned[l.active] {
				w.mayPublish(name)
			}
			l.active = name
			l.publication++
		}
		return &contract.Result{Done: true, Cutover: &contract.Cutover{To: name, Publication: l.publication}}
	case JobRetire:
		if l.active == name && !work.Published {
			return problem(contract.ReasonNotOwned, true)
		}
		if l.active == name {
			if work.Published && w.status.active == name && !w.emptied {
				w.t.Fatalf("what readers read is removed: %s", name)
			}
			l.active = ""
			l.publication++
		}
		delete(l.folds, name)
	}
	return &contract.Result{Done: true}
}

// mayPublish judges a cutover that changes what readers read.
func (w *world) mayPublish(name string) {
	for _, s := range w.status.list {
		if s.Name == name && !s.PromotedAt.IsZero() {
			return // a rollback
		}
		if s.Name == w.of(name).active && s.State == v1alpha1.RevisionBuilding {
			return // nobody ever read a whole one
		}
	}
	if w.stores[w.status.active] != w.stores[name] {
		return // nobody reads there yet
	}
	if !w.gateOK[name] {
		w.t.Fatalf("%s is published and was never compared: %+v", name, w.status)
	}
	if strings.HasSuffix(name, "x") && !w.approvedOnce[name] {
		w.t.Fatalf("%s is published without approval", name)
	}
}
