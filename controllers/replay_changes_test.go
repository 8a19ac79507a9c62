package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// changes of a spec that are a new revision, other than of its fold.
var changes = map[string]func(*v1alpha1.Projection){
	"prefix":  func(p *v1alpha1.Projection) { p.Spec.ReadModel.RedisHash.KeyPrefix = "v2-user:" },
	"server":  elsewhere,
	"pointer": func(p *v1alpha1.Projection) { p.Spec.ReadModel.RedisHash.Cutover = v1alpha1.CutoverPointer },
	"trigger": func(p *v1alpha1.Projection) { p.Spec.Replay.Trigger = "again" },
	"until":   func(p *v1alpha1.Projection) { p.Spec.Source.Until = "1795412031120-100" },
}

func TestEveryChangeAndBackInEveryState(t *testing.T) {
	for name, change := range changes {
		for state := range stages {
			moves := name == "server" && (state == v1alpha1.RevisionVerifying || state == v1alpha1.RevisionPromoting)
			if moves {
				continue // nothing is compared or switched there
			}
			t.Run(fmt.Sprintf("%s %s", name, state), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				p := w.ready()
				a := w.refresh(p).Status.ActiveRevision
				old := p.Spec.DeepCopy()
				stages[state](w)
				w.edit(p, func(p *v1alpha1.Projection) {
					change(p)
					if state == v1alpha1.RevisionHeld {
						manual(p)
					}
				})
				b := w.desired(p)
				at := b
				if state == v1alpha1.RevisionRetained {
					at = a
				}
				w.reaches(p, at, state)
				w.edit(p, func(p *v1alpha1.Projection) { p.Spec = *old })
				w.pass(p)
				w.relieve()
				w.settle(p)
				w.expectReady(p)
				w.Expect(p.Status.ActiveRevision).To(Equal(a))
				w.clock.SetTime(w.clock.Now().Add(2 * time.Hour))
				w.settle(p)
				w.expectReady(p)
				w.Expect(w.states(p)).To(Equal(a + ":*Active"))
				w.Expect(w.deployments()).To(HaveLen(1))
				w.Expect(w.contracts()).To(HaveLen(1))
				w.Expect(w.jobs()).To(BeEmpty())
				for key, m := range w.projectors().models {
					if strings.Contains(key, "other.") {
						w.Expect(m.events).To(BeEmpty())
					} else {
						w.Expect(m.events).To(HaveLen(1))
					}
				}
				w.expectNoWrites(p)
			})
		}
	}
}

func TestAProjectionThatIsDeletedInAReplayAndMadeAnewComesToItsSpec(t *testing.T) {
	for state := range stages {
		for name, fold := range map[string]func(*v1alpha1.Projection){"as first": func(*v1alpha1.Projection) {}, "as last": newFold} {
			t.Run(fmt.Sprintf("%s %s", state, name), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				p, _, _ := w.staged(state)
				w.delete(p)
				w.relieve()
				w.until(p, func() bool { return !w.exists(p) })
				model := w.projectors().model(w)
				for revision := range model.events { // as the real drop leaves it: what is published alone
					if revision != model.active {
						delete(model.events, revision)
					}
				}
				for _, job := range w.jobs() {
					w.cluster.delete(&job)
				}
				for _, c := range w.contracts() {
					w.cluster.delete(&c)
				}
				w.cluster.step()
				p = w.create(fold)
				w.until(p, func() bool { return w.isReady(p) && model.active == w.desired(p) })
				w.settle(p)
				w.expectReady(p)
				w.Expect(p.Status.ActiveRevision).To(Equal(model.active))
				w.Expect(w.deployments()).To(HaveLen(len(p.Status.Revisions)))
			})
		}
	}
}
