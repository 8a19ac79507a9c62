package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

func TestADeploymentEditedByHandIsPutRight(t *testing.T) {
	edits := map[string]func(*appsv1.Deployment){
		"scaled":          func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](3) },
		"another image":   func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "evil:1" },
		"other arguments": func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Args = []string{"run"} },
		"no memory limit": func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
		},
		"no environment":     func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Env = nil },
		"another strategy":   func(d *appsv1.Deployment) { d.Spec.Strategy = appsv1.DeploymentStrategy{Type: "RollingUpdate"} },
		"a token is mounted": func(d *appsv1.Deployment) { d.Spec.Template.Spec.AutomountServiceAccountToken = ptr.To(true) },
		"labels are removed": func(d *appsv1.Deployment) { d.Labels = nil },
		"no probes":          func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].LivenessProbe = nil },
		"no annotations":     func(d *appsv1.Deployment) { d.Annotations = nil },
		"can become root": func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = ptr.To(true)
		},
	}
	w := newWorld(t)
	p := w.ready()
	want := w.deployments()[0].Spec
	for name, edit := range edits {
		t.Run(name, func(*testing.T) {
			d := w.deployments()[0]
			edit(&d)
			w.Expect(w.client.Update(w.ctx, &d)).To(Succeed())
			w.settle(p)
			w.expectReady(p)
			w.Expect(w.deployments()).To(HaveLen(1))
			w.Expect(w.deployments()[0].Spec).To(Equal(want))
			w.Expect(w.deployments()[0].Labels).To(HaveKey(resources.ManagedByLabel))
		})
	}
}

func TestWhatOthersAddToADeploymentStays(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	d := w.deployments()[0]
	d.Spec.Template.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "now"}
	d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers, corev1.Container{Name: "sidecar", Image: "mesh:1"})
	w.Expect(w.client.Update(w.ctx, &d)).To(Succeed())
	writes := len(w.writes.log)
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.deployments()[0].Spec.Template.Spec.Containers).To(HaveLen(2))
	for _, write := range w.writes.log[writes:] {
		w.Expect(write).NotTo(HavePrefix("apply"), "nobody fights over it")
	}
}

func TestDeletedChildrenAreMadeAnew(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	revision := w.refresh(p).Status.ActiveRevision
	for range 2 {
		w.Expect(w.client.Delete(w.ctx, ptr.To(w.deployments()[0]))).To(Succeed())
		w.Expect(w.client.Delete(w.ctx, ptr.To(w.contracts()[0]))).To(Succeed())
		w.settle(p)
		w.expectReady(p)
		w.Expect(w.deployments()).To(HaveLen(1))
		w.Expect(w.contracts()).To(HaveLen(1))
		w.Expect(w.refresh(p).Status.ActiveRevision).To(Equal(revision))
	}
}

func TestAContractReplacedByHandIsReplacedBack(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	before := w.contracts()[0]
	w.Expect(w.client.Delete(w.ctx, before.DeepCopy())).To(Succeed())
	forged := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: before.Namespace, Name: before.Name,
		Labels: before.Labels, OwnerReferences: before.OwnerReferences}, Data: map[string]string{contract.FileName: "{}"}, Immutable: ptr.To(true)}
	w.Expect(w.client.Create(w.ctx, forged)).To(Succeed())
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.contracts()[0].Data).To(Equal(before.Data))
}

func TestWhatIsNotOursIsNeverTouched(t *testing.T) {
	w := newWorld(t)
	p := w.sample()
	labels := map[string]string{"app": "foreign"}
	name := resources.DeploymentName(p.Name, resources.Document(p).Revision)
	foreign := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name, Labels: resources.ProjectionLabels(p.Name)},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Replicas: ptr.To[int32](0),
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}}}
	w.Expect(w.client.Create(w.ctx, foreign)).To(Succeed())
	version := foreign.ResourceVersion
	w.Expect(w.client.Create(w.ctx, p)).To(Succeed())
	result, err := w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(result.RequeueAfter).To(Equal(pollForeign))
	message := w.expectStalled(p, contract.ReasonNotOwned)
	w.Expect(message).To(ContainSubstring("Deployment " + name))
	w.Expect(w.deployments()[0].ResourceVersion).To(Equal(version))

	w.Expect(w.client.Delete(w.ctx, foreign)).To(Succeed())
	w.settle(p)
	w.expectReady(p)
}

func TestAForeignContractIsNeverTouched(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	document := resources.Encode(resources.Document(w.refresh(p)))
	foreign := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace,
		Name: resources.ConfigMapName(p.Name, resources.Document(p).Revision, document)}}
	w.Expect(w.client.Create(w.ctx, foreign)).To(Succeed())
	_, err := w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.expectStalled(p, contract.ReasonNotOwned)
	w.Expect(w.deployments()).To(BeEmpty())
}

func TestAnObjectThatTheAPIServerRefusesIsExplained(t *testing.T) {
	w := newWorld(t)
	p := w.create(func(p *v1alpha1.Projection) { p.Spec.Projector.ServiceAccountName = "Not A Name" })
	for range 2 {
		result, err := w.reconcile(p)
		w.Expect(err).NotTo(HaveOccurred())
		w.Expect(result.RequeueAfter).To(Equal(pollRefused))
	}
	w.Expect(w.expectStalled(p, v1alpha1.ReasonObjectRefused)).To(ContainSubstring("serviceAccountName"))
	w.edit(p, func(p *v1alpha1.Projection) { p.Spec.Projector.ServiceAccountName = "" })
	w.settle(p)
	w.expectReady(p)
}
