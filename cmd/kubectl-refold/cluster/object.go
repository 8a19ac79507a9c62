package cluster

import (
	"fmt"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/plan"
)

// object is a Projection as this program understands it, beside what the API
// server has said.
type object struct {
	*v1alpha1.Projection
	Raw     *unstructured.Unstructured
	Unknown []string // fields that this program does not know: the operator is newer
}

func newObject(u *unstructured.Unstructured) (*object, error) {
	out := &object{Projection: &v1alpha1.Projection{}, Raw: u}
	err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, out.Projection, true)
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		for _, e := range strict.Errors() {
			out.Unknown = append(out.Unknown, fieldIn(e.Error()))
		}
		return out, nil
	}
	if err != nil {
		return nil, cli.Failf("the Projection %s/%s is not of a shape that this program knows: %v", u.GetNamespace(), u.GetName(), err).
			WithHint("the operator is of another release: take the kubectl-refold that belongs to it; kubectl get -o yaml shows the resource as it is")
	}
	return out, nil
}

var quoted = regexp.MustCompile(`"([^"]*)"`)

func fieldIn(message string) string {
	if m := quoted.FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return message
}

// revision finds one by its name, nil if status has none such.
func (o *object) revision(name string) *v1alpha1.RevisionStatus {
	for i := range o.Status.Revisions {
		if o.Status.Revisions[i].Name == name {
			return &o.Status.Revisions[i]
		}
	}
	return nil
}

func (o *object) inState(states ...v1alpha1.RevisionState) (out []v1alpha1.RevisionStatus) {
	for _, r := range o.Status.Revisions {
		if slices.Contains(states, r.State) {
			out = append(out, r)
		}
	}
	return out
}

// candidates are revisions on their way to readers.
func (o *object) candidates() []v1alpha1.RevisionStatus {
	return o.inState(v1alpha1.RevisionBuilding, v1alpha1.RevisionVerifying, v1alpha1.RevisionHeld, v1alpha1.RevisionPromoting)
}

// desired is the revision that the spec names.
func (o *object) desired() string { return plan.Revision(o.Spec) }

func (o *object) condition(kind string) *metav1.Condition {
	return meta.FindStatusCondition(o.Status.Conditions, kind)
}

func (o *object) is(kind string) bool {
	return meta.IsStatusConditionTrue(o.Status.Conditions, kind)
}

// seen tells whether status is about the spec as it stands.
func (o *object) seen() bool { return o.Status.ObservedGeneration >= o.Generation }

// standing is the condition that says how things stand, in one word: Ready,
// Stalled, Held, Reconciling, or what Ready's reason is.
func (o *object) standing() string {
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionStalled, v1alpha1.ConditionHeld, v1alpha1.ConditionReconciling} {
		if o.is(kind) {
			return kind
		}
	}
	if ready := o.condition(v1alpha1.ConditionReady); ready != nil {
		return ready.Reason
	}
	return "Pending"
}

func (o *object) reason() string {
	if ready := o.condition(v1alpha1.ConditionReady); ready != nil {
		return ready.Reason
	}
	return ""
}

func (o *object) message() string {
	if ready := o.condition(v1alpha1.ConditionReady); ready != nil {
		return ready.Message
	}
	return "the operator has not seen it yet"
}

// known are the states of a revision that this program knows.
var known = []v1alpha1.RevisionState{
	v1alpha1.RevisionBuilding, v1alpha1.RevisionVerifying, v1alpha1.RevisionHeld, v1alpha1.RevisionPromoting,
	v1alpha1.RevisionActive, v1alpha1.RevisionRetained, v1alpha1.RevisionRetiring, v1alpha1.RevisionFailed,
}

// strange says what of an object this program does not know, and what to do.
func (o *object) strange(version string) (out []string) {
	for _, r := range o.Status.Revisions {
		if !slices.Contains(known, r.State) {
			out = append(out, fmt.Sprintf("the state %s of revision %s", r.State, r.Name))
		}
	}
	for _, field := range o.Unknown {
		out = append(out, "the field "+field)
	}
	for i := range out {
		out[i] = fmt.Sprintf("kubectl-refold %s does not know %s: the operator is of a newer release; -o yaml shows all there is", version, cli.Safe(out[i]))
	}
	return out
}

func (o *object) path() string { return o.Namespace + "/" + o.Name }
