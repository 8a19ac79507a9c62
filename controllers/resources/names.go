package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// ManagedByLabel and ManagedBy mark every object of the operator; its caches
// hold no others.
const (
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "refold"
	componentLabel = "app.kubernetes.io/component"
)

// Component says what an object is for.
type Component string

// Values of Component.
const (
	Projector Component = "projector"
	Drop      Component = "drop"    // removes all of a Projection
	Verify    Component = "verify"  // compares a revision with the active one
	Cutover   Component = "cutover" // publishes a revision
	Retire    Component = "retire"  // removes one revision
)

// maxName is what a label value holds; names of objects stay within it too.
const maxName = 63

// DeploymentName is <projection>-<revision>.
func DeploymentName(projection, revision string) string { return join(projection, revision) }

// ConfigMapName is <projection>-<revision>-<8 characters of the content's hash>.
func ConfigMapName(projection, revision string, document []byte) string {
	return join(projection, revision+"-"+ContractHash(document)[:8])
}

// DropJobName is <projection>-drop-<attempt>.
func DropJobName(projection string, attempt int) string {
	return join(projection, "drop-"+strconv.Itoa(attempt))
}

// RevisionJobName is <projection>-<component>-<revision>-<attempt>.
func RevisionJobName(projection string, component Component, revision string, attempt int) string {
	return join(projection, string(component)+"-"+revision+"-"+strconv.Itoa(attempt))
}

func join(projection, suffix string) string {
	return Shorten(projection, maxName-1-len(suffix)) + "-" + suffix
}

// Shorten keeps name within max characters; a name that is longer ends in a
// hash of the whole, so that two long names never meet.
func Shorten(name string, max int) string {
	if len(name) <= max {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.TrimRight(name[:max-9], "-.") + "-" + hex.EncodeToString(sum[:4])
}

// ContractHash is the hex SHA-256 of a contract, as a projector reports it.
func ContractHash(document []byte) string {
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:])
}

// ProjectionLabels select every object of one Projection.
func ProjectionLabels(projection string) map[string]string {
	return map[string]string{
		ManagedByLabel:           ManagedBy,
		v1alpha1.ProjectionLabel: Shorten(projection, maxName),
	}
}

// SelectorLabels select the pods of one component of one revision.
func SelectorLabels(projection, revision string, component Component) map[string]string {
	labels := ProjectionLabels(projection)
	labels[v1alpha1.RevisionLabel] = revision
	labels[componentLabel] = string(component)
	return labels
}

// ComponentOf is what an object with these labels is for.
func ComponentOf(labels map[string]string) Component { return Component(labels[componentLabel]) }

// IsProjector tells a projector's pod from a Job's by its labels.
func IsProjector(labels map[string]string) bool { return ComponentOf(labels) == Projector }

func objectMeta(p *v1alpha1.Projection, name, revision string, component Component) metav1.ObjectMeta {
	labels := SelectorLabels(p.Name, revision, component)
	labels["app.kubernetes.io/name"] = "refold"
	labels["app.kubernetes.io/instance"] = Shorten(p.Name, maxName)
	return metav1.ObjectMeta{
		Namespace:       p.Namespace,
		Name:            name,
		Labels:          labels,
		OwnerReferences: []metav1.OwnerReference{ownerReference(p)},
	}
}

// ownerReference blocks no deletion: under a foreground deletion the garbage
// collector would otherwise go on removing the Job that drops.
func ownerReference(p *v1alpha1.Projection) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion.String(),
		Kind:       "Projection",
		Name:       p.Name,
		UID:        p.UID,
		Controller: ptr.To(true),
	}
}

func merged(maps_ ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range maps_ {
		maps.Copy(out, m)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
