package cluster

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
)

func TestAGitOpsToolIsNamedWithWhatToDoInGit(t *testing.T) {
	for name, test := range map[string]struct {
		mark func(*v1alpha1.Projection)
		by   string // field manager that creates it
		want string
	}{
		"Argo CD by its tracking annotation": {func(p *v1alpha1.Projection) {
			p.Annotations = map[string]string{argoTracking: "shop-app:refold.dev/Projection:shop/user-profile"}
		}, "", "Argo CD (application shop-app)"},
		"Argo CD by its label and its writes": {func(p *v1alpha1.Projection) {
			p.Labels = map[string]string{argoInstance: "shop-app"}
		}, argoManager, "Argo CD (application shop-app)"},
		"Flux by a Kustomization": {func(p *v1alpha1.Projection) {
			p.Labels = map[string]string{kustomizeName: "apps", kustomizeIn: "flux-system"}
		}, "", "Flux (Kustomization flux-system/apps)"},
		"Flux by a HelmRelease": {func(p *v1alpha1.Projection) {
			p.Labels = map[string]string{helmName: "shop", helmIn: "shop"}
		}, "", "Flux (HelmRelease shop/shop)"},
		"Flux by its writes alone": {func(*v1alpha1.Projection) {}, "kustomize-controller", "Flux (a Kustomization)"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := readSample(t)
			p.Namespace, p.Spec.Replay.Trigger = w.namespace, "first" // which is in git
			test.mark(p)
			w.Expect(w.client.Create(w.ctx, p, client.FieldOwner(test.by))).To(Succeed())
			got := w.run("replay", p.Name, "--trigger", "x")
			w.Expect(got.code).To(Equal(0), got.err)
			w.Expect(got.err).To(Equal("warning: " + test.want + " manages this Projection and will revert the change when it syncs; to make it last, in git: set spec.replay.trigger to \"x\"\n"))
		})
	}
	w := newWorld(t)
	p := w.create(func(p *v1alpha1.Projection) { p.Labels = map[string]string{argoInstance: "shop"} })
	w.Expect(w.run("suspend", p.Name).err).To(BeEmpty(), "a label that Helm charts set too is no sign by itself")
}

func TestAGitOpsToolLeavesAloneWhatIsNotInGit(t *testing.T) {
	w := newWorld(t)
	p := readSample(t)
	p.Namespace, p.Spec.Replay.Trigger = w.namespace, "first"
	p.Labels = map[string]string{kustomizeName: "apps", kustomizeIn: "flux-system"}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(p)
	w.Expect(err).NotTo(HaveOccurred())
	delete(fields, "status")
	manifest := &unstructured.Unstructured{Object: fields}
	manifest.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Projection"))
	unstructured.RemoveNestedField(fields, "metadata", "creationTimestamp")
	sync := func() {
		w.Expect(w.client.Apply(w.ctx, client.ApplyConfigurationFromUnstructured(manifest.DeepCopy()), client.FieldOwner(kustomizeManager), client.ForceOwnership)).To(Succeed())
	}
	const flux = "warning: Flux (Kustomization flux-system/apps) manages this Projection"
	sync()
	w.Expect(w.run("suspend", p.Name).err).To(Equal(flux + "; spec.suspend is not in git and will stay; put it there, or undo it by hand\n"))
	got := w.run("replay", p.Name, "--trigger", "x")
	w.Expect(got.err).To(ContainSubstring(flux + " and will revert the change when it syncs; to make it last, in git: set spec.replay.trigger to \"x\"\n"))
	got = w.run("replay", p.Name, "--trigger", "y")
	w.Expect(got.err).To(ContainSubstring(flux + " and will revert the change when it syncs, if git has spec.replay.trigger; to make it last, in git: "))
	sync()
	w.refresh(p)
	w.Expect(p.Spec.Suspend).To(BeTrue())
	w.Expect(p.Spec.Replay.Trigger).To(Equal("first"))
}
