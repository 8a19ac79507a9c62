package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/refold-dev/refold/api/v1alpha1"
)

func named(name, prefix string) func(*v1alpha1.Projection) {
	return func(p *v1alpha1.Projection) {
		p.Name = name
		p.Spec.ReadModel.RedisHash.KeyPrefix = prefix
	}
}

func TestTwoProjectionsNeverWriteTheSameKeys(t *testing.T) {
	w := newWorld(t)
	first := w.ready(named("first", "user:"))
	second := w.create(named("second", "user:vip:"), func(p *v1alpha1.Projection) {
		p.Spec.Source.Redis.URL = v1alpha1.URL("redis://REDIS." + w.namespace + ".svc") // the same server in other words
	})
	w.settle(second)
	message := w.expectStalled(second, v1alpha1.ReasonTargetConflict)
	w.Expect(message).To(ContainSubstring(w.namespace + "/first"))
	w.Expect(w.deployments()).To(HaveLen(1))
	w.Expect(w.r.conflictedProjections(w.ctx, first)).To(HaveLen(1), "the other's end wakes it")

	w.settle(first)
	w.expectReady(first)
	w.Expect(w.client.Delete(w.ctx, first)).To(Succeed())
	w.settle(first)
	w.settle(second)
	w.expectReady(second)
}

func TestAnotherDatabaseIsAnotherTarget(t *testing.T) {
	w := newWorld(t)
	w.ready(named("first", "user:"))
	w.ready(named("second", "user:"), func(p *v1alpha1.Projection) {
		p.Spec.Source.Redis.URL = v1alpha1.URL("redis://redis." + w.namespace + ".svc:6379/1")
	})
}

func TestTheLaterOfTwoThatNeverStartedWaits(t *testing.T) {
	w := newWorld(t)
	first := w.create(named("zz", "user:"))
	time.Sleep(1100 * time.Millisecond) // creation times have whole seconds
	second := w.create(named("aa", "user:"))
	w.settle(second)
	w.expectStalled(second, v1alpha1.ReasonTargetConflict)
	w.settle(first)
	w.expectReady(first)
}

func TestAnEditTakesNobodysKeys(t *testing.T) {
	w := newWorld(t)
	first := w.ready(named("first", "a:"))
	second := w.ready(named("second", "b:"))
	w.edit(first, func(p *v1alpha1.Projection) { p.Spec.ReadModel.RedisHash.KeyPrefix = "b:" })
	w.settle(first)
	w.Expect(w.expectStalled(first, v1alpha1.ReasonTargetConflict)).To(ContainSubstring("second"))
	w.settle(second)
	w.expectReady(second)
	w.Expect(w.deployments()).To(HaveLen(2), "what ran before the edit runs on")

	third := w.create(named("third", "a:"))
	w.settle(third)
	w.Expect(w.expectStalled(third, v1alpha1.ReasonTargetConflict)).To(ContainSubstring("first"),
		"first still keeps the keys that its old spec named")
}
