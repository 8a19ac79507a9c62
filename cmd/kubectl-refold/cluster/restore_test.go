package cluster

import (
	"strings"
	"testing"

	"github.com/refold-dev/refold/api/v1alpha1"
)

func TestASpecWithSomethingUnknownInItsFoldIsNotPutBack(t *testing.T) {
	for field, refused := range map[string]bool{
		"spec.source.compression":        true,
		"spec.reducer.rules[2].coalesce": true,
		"spec.readModel.sqlTable":        true,
		"spec.replay.schedule":           true,
		"spec.projector.gpu":             false,
		"status.shards":                  false,
	} {
		err := knowsFold(&object{Projection: &v1alpha1.Projection{}, Unknown: []string{field}})
		if (err != nil) != refused || refused && !strings.HasPrefix(err.Error(), field+" is a field") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
