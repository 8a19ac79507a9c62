package controllers

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
)

func TestTheFieldsOfReplaysAreChecked(t *testing.T) {
	w := newWorld(t)
	for path, tc := range map[string]struct{ good, bad []any }{
		"source.until":                       {[]any{"", "0", "1795412031120-0", "2026-11-23T00:00:00Z"}, []any{"now", "2026-13-01T00:00:00Z", int64(5)}},
		"readModel.redisHash.cutover":        {[]any{"Rename", "Pointer"}, []any{"", "pointer"}},
		"replay.strategy":                    {[]any{"Shadow", "InPlace"}, []any{"", "Inplace"}},
		"replay.trigger":                     {[]any{"", strings.Repeat("x", 256)}, []any{strings.Repeat("x", 257)}},
		"replay.promotion.mode":              {[]any{"Automatic", "Manual"}, []any{"", "Auto"}},
		"replay.promotion.maxChangedPercent": {[]any{int64(0), int64(100)}, []any{int64(-1), int64(101), "20", 0.5}},
		"replay.promotion.approve":           {[]any{"", "b4axw2ad"}, []any{"B4AXW2AD", "b4axw2a1", strings.Repeat("a", 64)}},
		"replay.rollbackWindowSeconds":       {[]any{int64(0), int64(31536000)}, []any{int64(-1), int64(31536001), "1h"}},
		"replay.maxEventsPerSecond":          {[]any{int64(0), int64(100000000)}, []any{int64(-1), int64(100000001)}},
		"replay.history":                     {[]any{"Required", "Available"}, []any{"", "Any"}},
	} {
		try := func(value any) error {
			object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(w.sample())
			w.Expect(err).NotTo(HaveOccurred())
			delete(object, "status")
			u := &unstructured.Unstructured{Object: object}
			u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Projection"))
			fields := append([]string{"spec"}, strings.Split(path, ".")...)
			w.Expect(unstructured.SetNestedField(u.Object, value, fields...)).To(Succeed())
			return w.client.Create(w.ctx, u, client.DryRunAll, client.FieldValidation("Strict"))
		}
		for _, value := range tc.good {
			w.Expect(try(value)).To(Succeed(), fmt.Sprintf("%s: %v", path, value))
		}
		for _, value := range tc.bad {
			w.Expect(try(value)).To(MatchError(ContainSubstring("spec."+path)), fmt.Sprintf("%s: %v", path, value))
		}
	}
}
