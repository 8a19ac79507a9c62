package controllers

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// withMemory is the sample with a limit as somebody writes it, also where Go
// would not read it.
func (w *world) withMemory(quantity any) *unstructured.Unstructured {
	w.t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(w.sample())
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(unstructured.SetNestedField(content, quantity, "spec", "projector", "resources", "limits", "memory")).To(Succeed())
	object := &unstructured.Unstructured{Object: content}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Projection"))
	object.SetName("")
	object.SetGenerateName("quantity-")
	return object
}

func TestAQuantityThatWouldKeepTheOperatorFromItsWorkIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, quantity := range []any{"1e1.5", "1e+.5", "1e99999999999", "1e2147483647", "1e400", "1e9", "-1Gi", "-.5", int64(-1), ".", "1e", strings.Repeat("9", 40)} {
		w.Expect(w.client.Create(w.ctx, w.withMemory(quantity))).To(MatchError(ContainSubstring("spec.projector.resources.limits")), "%v", quantity)
	}
	for _, quantity := range []any{"512Mi", "0.5Gi", ".5Gi", "+1Gi", "1G", "1E", "1Ei", "1073741824", int64(1 << 30)} {
		w.Expect(w.client.Create(w.ctx, w.withMemory(quantity))).To(Succeed(), "%v", quantity)
	}
	for _, quantity := range []any{"63Mi", "64M", "100m", "0.01Gi", int64(1)} {
		w.Expect(w.client.Create(w.ctx, w.withMemory(quantity))).To(MatchError(ContainSubstring("needs 64Mi of memory or more")), "%v", quantity)
	}
	for _, quantity := range []any{"0", int64(0), "64Mi"} {
		w.Expect(w.client.Create(w.ctx, w.withMemory(quantity))).To(Succeed(), "%v", quantity)
	}
	w.Expect(w.client.List(w.ctx, &v1alpha1.ProjectionList{})).To(Succeed(), "one that cannot be read hides all others")
}
