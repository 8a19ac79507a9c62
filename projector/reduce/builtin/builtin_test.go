package builtin_test

import (
	"strings"
	"testing"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/reduce/builtin"
)

func TestRegistryBuildsRulesAndNamesWhatItHas(t *testing.T) {
	schema, err := projector.NewSchema([]contract.Field{{Name: "name", Type: contract.TypeString}})
	if err != nil {
		t.Fatal(err)
	}
	config := projector.Config{Format: contract.FormatFields, Schema: schema, Reducer: contract.Reducer{
		Type: "Rules", Key: "event.id", Rules: []contract.Rule{{On: []string{"Named"}, Set: map[string]string{"name": "event.name"}}},
	}}
	if _, err := builtin.Registry().New(config); err != nil {
		t.Error(err)
	}
	config.Reducer.Type = "Rule"
	if _, err := builtin.Registry().New(config); err == nil || !strings.Contains(err.Error(), `it has ["Rules"]`) {
		t.Errorf("an unknown type: got %v", err)
	}
}

func TestANameIsRegisteredOnce(t *testing.T) {
	r := builtin.Registry()
	if err := r.Register("Rules", nil); err == nil {
		t.Error("the name Rules was taken from the built-in reducer")
	}
	if err := r.Register("Mine", nil); err != nil {
		t.Error(err)
	}
}
