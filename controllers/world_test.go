package controllers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

// world is a namespace on the real API server, a reconciler that tests call
// themselves, a clock that they step, and a cluster that stands for the
// controllers and the kubelet which envtest does not have.
type world struct {
	*WithT
	t         testing.TB
	ctx       context.Context
	namespace string
	client    client.WithWatch // the test's own; its writes do not count
	r         *Reconciler
	clock     *clocktesting.FakePassiveClock
	cluster   *cluster
	recorder  *events.FakeRecorder
	writes    *writes
	before    func()               // each pass; nil for nothing
	active    map[types.UID]string // status.activeRevision, as last seen
}

var namespaces atomic.Int64

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		WithT:     NewWithT(t),
		t:         t,
		ctx:       logContext(t),
		namespace: fmt.Sprintf("w%d-%d", os.Getpid(), namespaces.Add(1)),
		client:    apiClient(t),
		clock:     clocktesting.NewFakePassiveClock(time.Now()),
		recorder:  events.NewFakeRecorder(1000),
		writes:    &writes{},
		active:    map[types.UID]string{},
	}
	w.cluster = newCluster(w, newFakeProjectors())
	w.Expect(w.client.Create(w.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})).To(Succeed())
	t.Cleanup(w.leave)
	w.restart()
	return w
}

// leave takes the Projections away: an operator reads those of all namespaces, and
// every world would have to carry those before it.
func (w *world) leave() {
	all := &v1alpha1.ProjectionList{}
	w.Expect(w.client.List(w.ctx, all, client.InNamespace(w.namespace))).To(Succeed())
	for i := range all.Items {
		p := &all.Items[i]
		if len(p.Finalizers) > 0 {
			w.Expect(w.client.Patch(w.ctx, p, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))).To(Succeed())
		}
		w.Expect(client.IgnoreNotFound(w.client.Delete(w.ctx, p))).To(Succeed())
	}
}

// restart puts a new operator in the old one's place: nothing that it remembers
// is left.
func (w *world) restart() {
	counted := interceptor.NewClient(w.client, w.writes.funcs())
	w.r = &Reconciler{
		Client:   counted,
		Live:     w.client,
		Recorder: w.recorder,
		Clock:    w.clock,
		Status:   w.cluster.projectors,
		Check:    compiles,
		Image:    "refold-projector:v1",
	}
}

// compiles stands for the real compiler: an expression that holds "evnt" does not compile.
func compiles(d contract.Document) error {
	for i, rule := range d.Reducer.Rules {
		for field, expression := range rule.Set {
			if at := strings.Index(expression, "evnt"); at >= 0 {
				return fmt.Errorf("reducer.rules[%d].set.%s: 1:%d: undeclared reference to 'evnt'", i, field, at+1)
			}
		}
	}
	return nil
}

// sample is config/samples/user-profile.yaml with a Redis of this world's own.
func (w *world) sample(changes ...func(*v1alpha1.Projection)) *v1alpha1.Projection {
	w.t.Helper()
	p := readSample(w.t)
	p.Namespace = w.namespace
	p.Spec.Source.Redis.URL = v1alpha1.URL("redis://redis." + w.namespace + ".svc:6379/0")
	for _, change := range changes {
		change(p)
	}
	return p
}

func readSample(t testing.TB) *v1alpha1.Projection {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "config", "samples", "user-profile.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := &v1alpha1.Projection{}
	if err := yaml.UnmarshalStrict(data, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) create(changes ...func(*v1alpha1.Projection)) *v1alpha1.Projection {
	w.t.Helper()
	p := w.sample(changes...)
	w.Expect(w.client.Create(w.ctx, p)).To(Succeed())
	return p
}

// ready creates the sample and waits until it is Ready.
func (w *world) ready(changes ...func(*v1alpha1.Projection)) *v1alpha1.Projection {
	w.t.Helper()
	p := w.create(changes...)
	w.settle(p)
	w.expectReady(p)
	return p
}

func (w *world) refresh(p *v1alpha1.Projection) *v1alpha1.Projection {
	w.t.Helper()
	w.Expect(w.client.Get(w.ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
	return p
}

func (w *world) exists(p *v1alpha1.Projection) bool {
	w.t.Helper()
	err := w.client.Get(w.ctx, client.ObjectKeyFromObject(p), &v1alpha1.Projection{})
	w.Expect(client.IgnoreNotFound(err)).To(Succeed())
	return err == nil
}

func (w *world) edit(p *v1alpha1.Projection, change func(*v1alpha1.Projection)) {
	w.t.Helper()
	w.refresh(p)
	change(p)
	w.Expect(w.client.Update(w.ctx, p)).To(Succeed())
}

func (w *world) reconcile(p *v1alpha1.Projection) (ctrl.Result, error) {
	w.t.Helper()
	w.writes.dead = false
	if w.before != nil {
		w.before()
	}
	result, err := w.r.Reconcile(w.ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(p)})
	w.check(p)
	return result, err
}

// settle lets operator and cluster take turns, with errors and all, until neither
// has anything to do.
func (w *world) settle(p *v1alpha1.Projection) {
	w.t.Helper()
	for range 60 {
		before := w.written()
		result, err := w.reconcile(p)
		if err != nil && !errors.Is(err, reconcile.TerminalError(nil)) {
			w.t.Logf("reconcile: %v", err)
		}
		w.cluster.step()
		w.clock.SetTime(w.clock.Now().Add(max(result.RequeueAfter, time.Second)))
		idle := err == nil && w.written() == before
		if idle || errors.Is(err, reconcile.TerminalError(nil)) || !w.exists(p) {
			return
		}
	}
	w.t.Fatalf("does not settle:\n%s", w.fingerprint())
}

// written counts what operator and cluster have written.
func (w *world) written() int { return len(w.writes.log) + w.cluster.changed }

// fingerprint changes with every write in the namespace.
func (w *world) fingerprint() string {
	w.t.Helper()
	var out strings.Builder
	for _, list := range w.lists() {
		w.Expect(w.client.List(w.ctx, list, client.InNamespace(w.namespace))).To(Succeed())
		w.Expect(meta.EachListItem(list, func(o runtime.Object) error {
			object := o.(client.Object)
			_, err := fmt.Fprintf(&out, "%T %s %s\n", o, object.GetName(), object.GetResourceVersion())
			return err
		})).To(Succeed())
	}
	return out.String()
}

func (w *world) condition(p *v1alpha1.Projection, kind string) *metav1.Condition {
	w.t.Helper()
	return meta.FindStatusCondition(w.refresh(p).Status.Conditions, kind)
}

func (w *world) expectReady(p *v1alpha1.Projection) {
	w.t.Helper()
	ready := w.condition(p, v1alpha1.ConditionReady)
	w.Expect(ready).NotTo(BeNil())
	w.Expect(string(ready.Status)+" "+ready.Reason).To(Equal("True Folding"), ready.Message)
}

func (w *world) expectStalled(p *v1alpha1.Projection, reason string) string {
	w.t.Helper()
	stalled := w.condition(p, v1alpha1.ConditionStalled)
	w.Expect(stalled).NotTo(BeNil(), "conditions: %v", p.Status.Conditions)
	w.Expect(stalled.Reason).To(Equal(reason), stalled.Message)
	return stalled.Message
}

func (w *world) expectReconciling(p *v1alpha1.Projection, reason string) string {
	w.t.Helper()
	c := w.condition(p, v1alpha1.ConditionReconciling)
	w.Expect(c).NotTo(BeNil(), "conditions: %v", p.Status.Conditions)
	w.Expect(c.Reason).To(Equal(reason), c.Message)
	return c.Message
}

// check holds conditions against the rules of kstatus after every pass.
func (w *world) check(p *v1alpha1.Projection) {
	w.t.Helper()
	current := &v1alpha1.Projection{}
	if err := w.client.Get(w.ctx, client.ObjectKeyFromObject(p), current); err != nil {
		w.Expect(client.IgnoreNotFound(err)).To(Succeed())
		return
	}
	if fake, ok := w.cluster.projectors.(*fakeProjectors); ok && len(fake.violations) > 0 {
		w.t.Fatalf("the data plane was made to do wrong: %v", fake.violations)
	}
	w.checkActive(current)
	if problems := kstatusProblems(current); len(problems) > 0 {
		w.t.Fatalf("conditions break the rules: %v\n%v", problems, current.Status.Conditions)
	}
}

// checkActive holds status.activeRevision against the ledgers whenever it changes.
func (w *world) checkActive(p *v1alpha1.Projection) {
	w.t.Helper()
	fake, ok := w.cluster.projectors.(*fakeProjectors)
	now, last := p.Status.ActiveRevision, w.active[p.UID]
	w.active[p.UID] = now
	if !ok || now == "" || now == last || fake.publishes(p, now) {
		return
	}
	w.t.Fatalf("status.activeRevision goes from %q to %q, and no ledger says so:\n%v", last, now, p.Status.Revisions)
}

func kstatusProblems(p *v1alpha1.Projection) (problems []string) {
	conditions := p.Status.Conditions
	if len(conditions) == 0 {
		return nil // the first pass has not got that far
	}
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionCaughtUp, v1alpha1.ConditionHistoryComplete} {
		if meta.FindStatusCondition(conditions, kind) == nil {
			problems = append(problems, kind+" is missing")
		}
	}
	for _, c := range conditions {
		if c.ObservedGeneration != p.Status.ObservedGeneration {
			problems = append(problems, c.Type+" is about another generation")
		}
		if c.Reason == "" || c.Message == "" {
			problems = append(problems, c.Type+" says nothing")
		}
		abnormal := c.Type == v1alpha1.ConditionReconciling || c.Type == v1alpha1.ConditionStalled || c.Type == v1alpha1.ConditionHeld
		if abnormal && c.Status != metav1.ConditionTrue {
			problems = append(problems, c.Type+" is present and not True")
		}
		if abnormal && meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady) {
			problems = append(problems, c.Type+" beside Ready")
		}
	}
	if meta.FindStatusCondition(conditions, v1alpha1.ConditionHeld) != nil && len(conditions) != 4 {
		problems = append(problems, "Held beside others")
	}
	if meta.FindStatusCondition(conditions, v1alpha1.ConditionStalled) != nil &&
		meta.FindStatusCondition(conditions, v1alpha1.ConditionReconciling) != nil {
		problems = append(problems, "Stalled beside Reconciling")
	}
	return problems
}

// events that were recorded since the last call.
func (w *world) events() string {
	var out []string
	for {
		select {
		case event := <-w.recorder.Events:
			out = append(out, event)
		default:
			return strings.Join(out, "\n")
		}
	}
}
