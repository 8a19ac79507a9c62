package controllers

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// asManager is a user who may do what config/rbac allows the manager, no more.
func (w *world) asManager() *rest.Config {
	w.t.Helper()
	data, err := os.ReadFile("../config/rbac/role.yaml")
	w.Expect(err).NotTo(HaveOccurred())
	role := &rbacv1.ClusterRole{}
	w.Expect(yaml.UnmarshalStrict(data, role)).To(Succeed())
	w.Expect(w.client.Create(w.ctx, role)).To(Succeed())
	w.Expect(w.client.Create(w.ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "manager"}},
	})).To(Succeed())
	user, err := apiServer.env.AddUser(envtest.User{Name: "manager"}, nil)
	w.Expect(err).NotTo(HaveOccurred())
	return user.Config()
}

func TestTheManagersRoleHasNoAccessToSecretsAndNoWildcard(t *testing.T) {
	data, err := os.ReadFile("../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"secrets", "'*'", "\"*\"", "escalate", "impersonate"} {
		if strings.Contains(string(data), word) {
			t.Errorf("config/rbac/role.yaml holds %s", word)
		}
	}
}

// startManager runs the operator as cmd/manager does, for one namespace.
func (w *world) startManager() {
	w.t.Helper()
	options := CacheOptions()
	options.DefaultNamespaces = map[string]cache.Config{w.namespace: {}}
	mgr, err := ctrl.NewManager(w.asManager(), ctrl.Options{
		Scheme:  newScheme(),
		Cache:   options,
		Client:  client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: ptr.To(true)}},
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	w.Expect(err).NotTo(HaveOccurred())
	r := &Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("refold"),
		Clock: clock.RealClock{}, Status: w.cluster.projectors, Check: compiles, Image: "refold-projector:v1"}
	w.Expect(r.SetupWithManager(mgr)).To(Succeed())
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		w.Expect(<-done).To(Succeed())
	})
}

// eventually steps the cluster until what is asked for holds.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		w.cluster.step()
		if holds() {
			return
		}
	}
	w.t.Fatalf("not within 30 s: %s", what)
}

func (w *world) isReady(p *v1alpha1.Projection) bool {
	w.refresh(p)
	return meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionReady) && p.Status.ObservedGeneration == p.Generation
}

func TestTheManagerWatchesWhatItMustReactTo(t *testing.T) {
	w := newWorld(t)
	w.startManager()
	first := w.create(named("first", "user:"))
	w.eventually("ready", func() bool { return w.isReady(first) })

	w.Expect(w.client.Delete(w.ctx, ptr.To(w.contracts()[0]))).To(Succeed())
	w.eventually("a contract deleted by hand is back", func() bool { return len(w.contracts()) == 1 })
	w.Expect(w.client.Delete(w.ctx, ptr.To(w.deployments()[0]))).To(Succeed())
	w.eventually("a Deployment deleted by hand is back", func() bool { return len(w.deployments()) == 1 && w.isReady(first) })
	d := w.deployments()[0]
	d.Labels = nil // which takes it out of the operator's cache
	w.Expect(w.client.Update(w.ctx, &d)).To(Succeed())
	w.eventually("labels removed by hand are back", func() bool { return len(w.deployments()[0].Labels) > 0 })

	second := w.create(named("second", "user:"))
	w.eventually("the second waits for the first", func() bool {
		c := meta.FindStatusCondition(w.refresh(second).Status.Conditions, v1alpha1.ConditionStalled)
		return c != nil && c.Reason == v1alpha1.ReasonTargetConflict
	})
	w.delete(first)
	w.eventually("the first is gone", func() bool { return !w.exists(first) })
	for _, d := range w.deployments() { // envtest has no garbage collector
		w.cluster.delete(&d)
	}
	w.eventually("the second starts by itself", func() bool { return w.isReady(second) })
	w.delete(second)
	w.eventually("the second is gone", func() bool { return !w.exists(second) })
	var recorded eventsv1.EventList
	w.Expect(w.client.List(w.ctx, &recorded, client.InNamespace(w.namespace))).To(Succeed())
	w.Expect(recorded.Items).NotTo(BeEmpty(), "and it may record events")
}
