package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

// Annotations of the operator's own book-keeping.
const (
	// ImageAnnotation is the projector image that was applied last.
	ImageAnnotation = "refold.dev/image"
	// TemplateAnnotation is a hash of the pod template but its image.
	TemplateAnnotation = "refold.dev/template"
	// ContractAnnotation is a copy of the contract: should somebody delete the
	// ConfigMap of a revision that the spec no longer names, it is made anew from it.
	ContractAnnotation = "refold.dev/contract"
	// AttemptAnnotation counts the Jobs of one work.
	AttemptAnnotation = "refold.dev/attempt"
	// KindAnnotation is what a Job does: verify, cutover or retire.
	KindAnnotation = "refold.dev/job"
	// AgainstAnnotation is the revision that readers read while a Job verifies or
	// publishes another one.
	AgainstAnnotation = "refold.dev/against"
)

// maxContractCopy keeps ContractAnnotation well below the limit of all
// annotations together, 256 KiB.
const maxContractCopy = 128 << 10

// Deployment runs a projector, one at a time.
func Deployment(p *v1alpha1.Projection, in Input) *appsv1.Deployment {
	revision := in.Contract.Revision
	template := podTemplate(p, in, Projector, "run", contractFlag())
	serve(&template.Spec.Containers[0])
	object := &appsv1.Deployment{
		ObjectMeta: objectMeta(p, DeploymentName(p.Name, revision), revision, Projector),
		Spec: appsv1.DeploymentSpec{
			Replicas:             ptr.To(in.Replicas),
			Strategy:             appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			RevisionHistoryLimit: ptr.To[int32](1),
			Selector:             &metav1.LabelSelector{MatchLabels: SelectorLabels(p.Name, revision, Projector)},
			Template:             template,
		},
	}
	object.Annotations = map[string]string{ImageAnnotation: in.Image, TemplateAnnotation: templateHash(template)}
	if len(in.Document) <= maxContractCopy {
		object.Annotations[ContractAnnotation] = string(in.Document)
	}
	if in.Trigger != "" {
		object.Annotations[TriggerAnnotation] = in.Trigger
	}
	object.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
	return object
}

// serve declares the port that others may reach. That of the inspect API is none:
// it is on the loopback, and port-forward needs no declaration.
func serve(c *corev1.Container) {
	c.Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: contract.Port, Protocol: corev1.ProtocolTCP}}
	c.Env = append(c.Env, corev1.EnvVar{Name: contract.InspectVariable, Value: contract.InspectAddress})
	c.LivenessProbe = probe("/healthz", 10, 6)
	c.ReadinessProbe = probe("/readyz", 2, 2)
}

func probe(path string, periodSeconds, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http")}},
		PeriodSeconds:    periodSeconds,
		FailureThreshold: failures,
		TimeoutSeconds:   2,
	}
}

// KeepImage returns the image for a Deployment that exists: the one it runs,
// unless something else of its pod template changes too. So an upgrade of the
// operator alone restarts no pod. live is nil where there is none.
func KeepImage(live *appsv1.Deployment, p *v1alpha1.Projection, in Input) string {
	if live == nil || live.Annotations[ImageAnnotation] == "" {
		return in.Image
	}
	next := Deployment(p, in)
	if live.Annotations[TemplateAnnotation] != next.Annotations[TemplateAnnotation] {
		return in.Image
	}
	return live.Annotations[ImageAnnotation]
}

func templateHash(template corev1.PodTemplateSpec) string {
	bare := template.DeepCopy()
	bare.Spec.Containers[0].Image = ""
	out, err := json.Marshal(bare)
	if err != nil {
		panic(fmt.Sprintf("resources: a pod template always encodes: %v", err))
	}
	sum := sha256.Sum256(out)
	return hex.EncodeToString(sum[:8])
}
