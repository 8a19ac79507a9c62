package controllers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// errKilled is how an operator ends in a test: with it no later write happens.
var errKilled = errors.New("killed")

// story is a Projection's whole life with every kind of write in it.
var story = []struct {
	name string
	do   func(*world, *v1alpha1.Projection)
	end  func(*world, *v1alpha1.Projection)
}{
	{"created", func(*world, *v1alpha1.Projection) {}, (*world).expectReady},
	{"credentials changed", func(w *world, p *v1alpha1.Projection) { w.edit(p, newCredentials) }, (*world).expectReady},
	{"suspended", func(w *world, p *v1alpha1.Projection) { w.edit(p, suspend) }, func(w *world, _ *v1alpha1.Projection) {
		w.Expect(w.pods()).To(BeEmpty())
	}},
	{"resumed", func(w *world, p *v1alpha1.Projection) { w.edit(p, resume) }, (*world).expectReady},
	{"deleted", func(w *world, p *v1alpha1.Projection) { w.delete(p) }, func(w *world, p *v1alpha1.Projection) {
		w.Expect(w.exists(p)).To(BeFalse())
		w.Expect(w.projectors().dropped).NotTo(BeEmpty())
		w.Expect(w.deployments()).To(BeEmpty())
	}},
}

// live tells the story; the operator may fail as the writes' hooks say.
func (w *world) live() {
	w.t.Helper()
	p := w.create()
	for _, chapter := range story {
		chapter.do(w, p)
		w.settle(p)
		chapter.end(w, p)
		w.Expect(len(w.deployments())).To(BeNumerically("<=", 1), chapter.name)
		w.Expect(len(w.contracts())).To(BeNumerically("<=", 1), chapter.name)
	}
}

func cleanRun(t *testing.T) int {
	w := newWorld(t)
	w.live()
	return len(w.writes.log)
}

func TestTheOperatorMayBeKilledBeforeAndAfterAnyWrite(t *testing.T) {
	n := cleanRun(t)
	if n < 10 {
		t.Fatalf("a clean run has only %d writes", n)
	}
	t.Logf("a clean run has %d writes", n)
	for k := 1; k <= n; k++ {
		t.Run(fmt.Sprintf("write %d", k), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.killAround(k)
			w.live()
		})
	}
}

// killAround kills the operator before its write k, and the one after it behind the
// write that it does in its place.
func (w *world) killAround(k int) {
	kill := func(at int) func(int) error {
		return func(n int) error {
			if n != at {
				return nil
			}
			w.restart() // the next pass is a new operator's
			w.writes.dead = true
			return errKilled
		}
	}
	w.writes.before, w.writes.after = kill(k), kill(k+1)
}

func TestErrorsOfTheAPIServerDelayNothingForEver(t *testing.T) {
	resource := schema.GroupResource{Resource: "things"}
	faults := map[string]error{
		"409": apierrors.NewConflict(resource, "x", errors.New("changed")),
		"429": apierrors.NewTooManyRequests("slow down", 1),
		"500": apierrors.NewInternalError(errors.New("boom")),
		"503": apierrors.NewServiceUnavailable("away"),
		"504": apierrors.NewTimeoutError("too late", 1),
		"cut": io.ErrUnexpectedEOF,
	}
	for name, fault := range faults {
		t.Run(name+" of every second write", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.writes.before = func(n int) error {
				if n%2 == 1 {
					return fault
				}
				return nil
			}
			w.live()
		})
		t.Run(name+" of writes that did succeed", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.writes.after = func(n int) error {
				if n%2 == 1 {
					return fault
				}
				return nil
			}
			w.live()
		})
	}
}

func TestTwoOperatorsWithoutLeaderElectionComeToRest(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	one := w.r
	w.restart()
	other := w.r
	for range 15 {
		for _, w.r = range []*Reconciler{one, other} {
			_, err := w.reconcile(p)
			w.Expect(err).NotTo(HaveOccurred())
			w.cluster.step()
		}
	}
	w.expectReady(p)
	writes := len(w.writes.log)
	for _, w.r = range []*Reconciler{one, other, one, other} {
		_, err := w.reconcile(p)
		w.Expect(err).NotTo(HaveOccurred())
	}
	w.Expect(w.writes.log[writes:]).To(BeEmpty())
	w.Expect(w.projectors().starts).To(Equal(1))
}

func TestFailingRequestsAreSaidAndHeal(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	w.writes.before = func(n int) error {
		if n == 2 {
			return apierrors.NewInternalError(errors.New("boom"))
		}
		return nil
	}
	_, err := w.reconcile(p)
	w.Expect(err).To(HaveOccurred())
	w.expectReconciling(p, v1alpha1.ReasonRetrying)
	w.settle(p)
	w.expectReady(p)
}

// TestAStaleCacheDoesNoHarm reads everything as it was some passes ago.
func TestAStaleCacheDoesNoHarm(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	w.settle(p)
	old := w.snapshotReads()
	w.edit(p, newCredentials)
	w.settle(p)
	w.expectReady(p)
	deployment, contractName := w.deployments()[0].UID, w.contracts()[0].Name

	w.r.Client = interceptor.NewClient(w.client, interceptor.Funcs{Get: old.get, List: old.list})
	for range 3 {
		_, err := w.r.Reconcile(w.ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(p)})
		w.Expect(err).NotTo(HaveOccurred())
	}
	w.restart()
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.deployments()).To(HaveLen(1))
	w.Expect(w.deployments()[0].UID).To(Equal(deployment))
	w.Expect(w.contracts()[0].Name).To(Equal(contractName))
	w.Expect(w.mounted().Source.Redis.Credentials.SecretName).To(Equal("redis-new"))
}

func TestAnEmptyCacheAdoptsNothingAndMakesNothingTwice(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	before := w.deployments()[0].UID
	w.r.Client = interceptor.NewClient(w.client, interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return nil },
	})
	_, err := w.r.Reconcile(w.ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(p)})
	w.Expect(err).NotTo(HaveOccurred())
	w.restart()
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.deployments()[0].UID).To(Equal(before))
}
