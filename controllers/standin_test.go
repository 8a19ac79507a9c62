package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// fakeProjectors fold a log of so many events into models that outlive them, and
// behave towards these as real read models do: several revisions side by side, of
// which readers read one.
type fakeProjectors struct {
	mu         sync.Mutex
	runs       map[string][]byte // pod → contract
	models     map[string]*model // by database and Projection
	ledgers    int64             // that were made
	starts     int
	length     int64                             // of the log
	speed      int64                             // events that a candidate folds between two questions; 0: all
	change     func(*contract.Partition)         // last word on what is reported
	changeOf   func(string, *contract.Partition) // the same, by revision
	silent     bool                              // nobody answers
	images     map[string]string                 // pod → image
	oldImage   string                            // of projectors from before there were replays
	dropped    []bool                            // keep, for every drop that was done
	dropErr    *contract.Problem
	jobErr     map[string]*contract.Problem // by kind: verify, cutover, retire
	diff       contract.Diff                // what a comparison finds
	did        []string                     // what Jobs have done, "kind revision"
	violations []string                     // what must never happen
	asked      []string                     // pods, in the order of questions
	late       int                          // after so many questions a projector sees that another revision is published
	sights     map[string]*sight            // pod → what it saw of the ledger last
}

// sight is what a projector has seen of the ledger, and how often it was asked
// since that is no longer so.
type sight struct {
	published   bool
	publication int64
	asked       int
}

// model is one Projection's read model on one server.
type model struct {
	active      string
	publication int64            // numbers what was active
	events      map[string]int64 // by revision
}

func (m *model) publish(revision string) {
	m.active = revision
	m.publication++
}

func newFakeProjectors() *fakeProjectors {
	return &fakeProjectors{late: 2, sights: map[string]*sight{}, images: map[string]string{}, runs: map[string][]byte{}, models: map[string]*model{}, length: 100,
		jobErr: map[string]*contract.Problem{}, diff: contract.Diff{AtID: "1795412031120-100", Same: 100, Digest: "d0"}}
}

func (w *world) projectors() *fakeProjectors { return w.cluster.projectors.(*fakeProjectors) }

// model is that of the sample.
func (f *fakeProjectors) model(w *world) *model {
	return f.models[fmt.Sprintf("redis.%s.svc:6379/0 %s/user-profile", w.namespace, w.namespace)]
}

// lose takes the sample's read model and ledger away, as a server does that comes
// back empty.
func (f *fakeProjectors) lose(w *world) {
	m := f.model(w)
	for key, other := range f.models {
		if other == m {
			delete(f.models, key)
		}
	}
}

// publishes tells whether readers of some server read that revision.
func (f *fakeProjectors) publishes(p *v1alpha1.Projection, revision string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, m := range f.models {
		if strings.HasSuffix(key, " "+p.Namespace+"/"+p.Name) && m.active == revision {
			return true
		}
	}
	return false
}

func (f *fakeProjectors) modelOf(d contract.Document) *model {
	key := databaseOf(d) + " " + d.Projection
	if f.models[key] == nil {
		f.models[key] = &model{events: map[string]int64{}, publication: 1000 * f.ledgers} // a later ledger's numbers are greater
		f.ledgers++
	}
	return f.models[key]
}

func (f *fakeProjectors) Run(pod *corev1.Pod, document []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs[pod.Name], f.images[pod.Name] = document, pod.Spec.Containers[0].Image
	delete(f.sights, pod.Name)
	f.starts++
}

func (f *fakeProjectors) Stop(pod *corev1.Pod) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.runs, pod.Name)
	delete(f.sights, pod.Name)
}

func (f *fakeProjectors) Job(args []string, document []byte) contract.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, err := contract.Decode(document)
	if err != nil {
		return contract.Result{Version: contract.Version, Message: err.Error()}
	}
	m := f.modelOf(d)
	switch {
	case args[0] == "verify":
		return f.verify(m, d.Revision, args)
	case args[0] == "cutover":
		return f.cutover(m, d.Revision)
	case slices.Contains(args, "--revision-only"):
		return f.retire(m, d, slices.Contains(args, "--published"))
	}
	return f.drop(d, args[len(args)-1] == "--keep=true")
}

func failed(problem *contract.Problem) contract.Result {
	return contract.Result{Version: contract.Version, Message: problem.Message, Problem: problem}
}

func (f *fakeProjectors) verify(m *model, revision string, args []string) contract.Result {
	if problem := f.jobErr["verify"]; problem != nil {
		return failed(problem)
	}
	if !slices.Contains(args, "--active="+m.active) {
		f.violate("verify %s: %v, but readers read %s", revision, args, m.active)
	}
	if _, ok := m.events[revision]; !ok {
		f.violate("verify %s: it has folded nothing", revision)
	}
	f.did = append(f.did, "verify "+revision)
	diff := f.diff
	return contract.Result{Version: contract.Version, Done: true, Diff: &diff}
}

func (f *fakeProjectors) cutover(m *model, revision string) contract.Result {
	if problem := f.jobErr["cutover"]; problem != nil {
		return failed(problem)
	}
	if _, ok := m.events[revision]; !ok {
		f.violate("cutover %s: it has folded nothing", revision)
	}
	f.did = append(f.did, "cutover "+revision)
	if m.active == revision {
		return contract.Result{Version: contract.Version, Done: true, Cutover: &contract.Cutover{To: revision, Publication: m.publication}}
	}
	done := &contract.Cutover{From: m.active, To: revision, Entities: m.events[revision], PausedMillis: 12}
	m.publish(revision)
	done.Publication = m.publication
	return contract.Result{Version: contract.Version, Done: true, Cutover: done}
}

func (f *fakeProjectors) retire(m *model, d contract.Document, published bool) contract.Result {
	if problem := f.jobErr["retire"]; problem != nil {
		return failed(problem)
	}
	for _, document := range f.runs {
		if run, err := contract.Decode(document); err == nil && run.Projection == d.Projection && run.Revision == d.Revision {
			f.violate("retire %s: it is still folded", d.Revision)
		}
	}
	if m.active == d.Revision {
		if !published {
			return failed(&contract.Problem{Reason: "Published", Message: "readers read it", Permanent: true})
		}
		m.publish("")
	}
	f.did = append(f.did, "retire "+d.Revision)
	delete(m.events, d.Revision)
	return contract.Result{Version: contract.Version, Done: true}
}

func (f *fakeProjectors) drop(d contract.Document, keep bool) contract.Result {
	if f.dropErr != nil {
		return failed(f.dropErr)
	}
	if !keep {
		delete(f.models, databaseOf(d)+" "+d.Projection)
	}
	f.dropped = append(f.dropped, keep)
	return contract.Result{Version: contract.Version, Done: true}
}

func (f *fakeProjectors) violate(format string, args ...any) {
	f.violations = append(f.violations, fmt.Sprintf(format, args...))
}

func (f *fakeProjectors) Read(_ context.Context, pod *corev1.Pod) (contract.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, pod.Name)
	document, runs := f.runs[pod.Name]
	if !runs || f.silent {
		return contract.Status{}, errors.New("connection refused")
	}
	d, err := contract.Decode(document)
	if err != nil {
		return contract.Status{}, err
	}
	p := f.fold(d)
	p.Published, p.Publication = f.sees(pod.Name, f.modelOf(d), d.Revision)
	if f.change != nil {
		f.change(&p)
	}
	if f.changeOf != nil {
		f.changeOf(d.Revision, &p)
	}
	return contract.Status{Version: contract.Version, Projection: d.Projection, Revision: d.Revision,
		Contract: resources.ContractHash(document), Partitions: []contract.Partition{p}}, nil
}

// fold claims and folds. What folded nothing gives way to another's claim.
func (f *fakeProjectors) fold(d contract.Document) contract.Partition {
	m := f.modelOf(d)
	if m.active == "" || m.active != d.Revision && m.events[m.active] == 0 {
		delete(m.events, m.active)
		m.publish(d.Revision)
	}
	end := f.length
	if d.Source.Until != "" {
		var ms int64
		if _, err := fmt.Sscanf(strings.Replace(d.Source.Until, "-", " ", 1), "%d %d", &ms, &end); err == nil {
			end = min(end, f.length)
		}
	}
	events, until := m.events[d.Revision], end
	if f.speed > 0 {
		end = min(events+f.speed, end)
	}
	events = end
	m.events[d.Revision] = events
	p := contract.Partition{Stream: d.Source.Stream, State: contract.StateLive, History: contract.HistoryComplete,
		Claimed: true, CaughtUp: events >= f.length,
		Events: events, Entries: events, EtaSeconds: -1, Position: fmt.Sprintf("1795412031120-%d", events), LagEvents: f.length - events}
	if events < f.length {
		p.State = contract.StateCatchingUp
	}
	if d.Source.Until != "" && events == until {
		p.State = contract.StateCompleted
	}
	return p
}

// sees is what a projector says of who is published: what it saw when it claimed, or
// looked again. One from before there were replays says nothing.
func (f *fakeProjectors) sees(pod string, m *model, revision string) (published bool, publication int64) {
	if f.oldImage != "" && f.images[pod] == f.oldImage {
		return false, 0
	}
	last := f.sights[pod]
	if last != nil && last.publication != m.publication && last.asked < f.late {
		last.asked++
		return last.published, last.publication
	}
	f.sights[pod] = &sight{published: m.active == revision, publication: m.publication}
	return m.active == revision, m.publication
}

func isJobPod(pod corev1.Pod) bool { return !resources.IsProjector(pod.Labels) }
