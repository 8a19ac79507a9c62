package controllers

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// liveReplay tells a whole replay, from an edit to the removal of the revision that
// was read before, and a rollback in between. faults begin with the edit.
func (w *world) liveReplay(faults func()) {
	w.t.Helper()
	p := w.ready()
	a := w.refresh(p).Status.ActiveRevision
	w.writes.log = nil
	faults()
	w.edit(p, newFold)
	b := w.desired(p)
	w.comesTo(p, b)
	w.edit(p, oldFold)
	w.comesTo(p, a)
	w.clock.SetTime(w.clock.Now().Add(2 * time.Hour))
	w.until(p, func() bool {
		return len(w.refresh(p).Status.Revisions) == 1 && len(w.jobs()) == 0 && len(w.contracts()) == 1
	})
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.states(p)).To(Equal(a + ":*Active"))
	w.Expect(w.deployments()).To(HaveLen(1))
	w.Expect(w.jobs()).To(BeEmpty())
	model := w.projectors().model(w)
	w.Expect(model.active).To(Equal(a))
	w.Expect(model.events).To(HaveLen(1))
	var outcomes []string
	for _, record := range p.Status.Replays {
		outcomes = append(outcomes, fmt.Sprint(record.Revision, record.Cause, record.Outcome))
	}
	w.Expect(outcomes).To(Equal([]string{a + "RollbackPromoted", b + "SpecChangedPromoted", a + "FirstBuildPromoted"}))
	w.expectNoWrites(p)
}

// comesTo waits until a revision is what readers read, and said to be.
func (w *world) comesTo(p *v1alpha1.Projection, revision string) {
	w.t.Helper()
	w.until(p, func() bool { return w.isReady(p) && p.Status.ActiveRevision == revision })
}

func TestTheOperatorMayBeKilledBeforeAndAfterAnyWriteOfAReplay(t *testing.T) {
	w := newWorld(t)
	w.liveReplay(func() {})
	n := len(w.writes.log)
	t.Logf("a replay, a rollback and the removal have %d writes", n)
	if n < 20 || n > 80 {
		t.Fatal("these are not as many as they should be")
	}
	for k := 1; k <= n; k++ {
		t.Run(fmt.Sprintf("write %d", k), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.liveReplay(func() { w.killAround(k) })
		})
	}
}

func TestTwoOperatorsWithoutLeaderElectionHarmNoReplay(t *testing.T) {
	w := newWorld(t)
	w.liveReplay(func() {
		operators := []*Reconciler{w.r}
		w.restart()
		operators = append(operators, w.r)
		turn := 0
		w.before = func() {
			w.r = operators[turn%len(operators)]
			turn++
		}
	})
}

func TestErrorsOfTheAPIServerHoldUpNoReplay(t *testing.T) {
	resource := schema.GroupResource{Resource: "things"}
	for name, fault := range map[string]error{
		"409": apierrors.NewConflict(resource, "x", io.ErrUnexpectedEOF),
		"503": apierrors.NewServiceUnavailable("away"),
		"cut": io.ErrUnexpectedEOF,
	} {
		hook := func(n int) error {
			if n%2 == 1 {
				return fault
			}
			return nil
		}
		t.Run(name+" of every second write", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.liveReplay(func() { w.writes.before = hook; t.Cleanup(func() { w.writes.before = nil }) })
		})
		t.Run(name+" of writes that did succeed", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.liveReplay(func() { w.writes.after = hook; t.Cleanup(func() { w.writes.after = nil }) })
		})
	}
}

// A cache that stands still in each state of a replay, while the world goes on.
func TestAStaleCacheHarmsNoReplay(t *testing.T) {
	for state := range stages {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p, _, b := w.staged(state)
			old := w.snapshotReads()
			w.pass(p)
			w.relieve()
			w.until(p, func() bool { return w.isReady(p) || w.stateOf(p, b) == v1alpha1.RevisionHeld })
			w.settle(p)
			active := w.refresh(p).Status.ActiveRevision
			did := len(w.projectors().did)

			w.r.Client = interceptor.NewClient(w.client, interceptor.Funcs{Get: old.get, List: old.list})
			for range 3 {
				// A write by what is old is refused by its preconditions.
				_, _ = w.r.Reconcile(w.ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(p)})
				w.cluster.step()
			}
			w.restart()
			w.until(p, func() bool { return w.isReady(p) || w.stateOf(p, b) == v1alpha1.RevisionHeld })
			w.settle(p)
			w.Expect(w.refresh(p).Status.ActiveRevision).To(Equal(active))
			for _, done := range w.projectors().did[did:] {
				w.Expect(done).NotTo(HavePrefix("retire " + active))
			}
			w.Expect(w.projectors().violations).To(BeEmpty())
		})
	}
}

// A newer operator may have written what this one does not know.
func TestAStatusOfANewerOperatorIsLeftInPeace(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	a := w.refresh(p).Status.ActiveRevision
	newer := func(p *v1alpha1.Projection) {
		p.Status.Revisions = append(p.Status.Revisions, v1alpha1.RevisionStatus{Name: "bcdefghi", State: "Hibernating"})
		p.Status.Conditions[0].Reason = "Dreaming"
	}
	w.r.Client = interceptor.NewClient(w.client, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			err := c.Get(ctx, key, o, opts...)
			if p, ok := o.(*v1alpha1.Projection); ok && err == nil {
				newer(p)
			}
			return err
		},
	})
	for range 3 {
		_, _ = w.r.Reconcile(w.ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(p)})
		w.cluster.step()
	}
	w.Expect(w.projectors().did).To(BeEmpty(), "nothing is retired")
	w.Expect(w.deployments()).To(HaveLen(1))
	w.restart()
	w.settle(p)
	w.Expect(w.refresh(p).Status.ActiveRevision).To(Equal(a))
}
