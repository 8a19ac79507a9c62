package plan

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/api/v1alpha1"
)

const whole = `
source: {redis: {url: "rediss://redis"}, stream: events, from: "5", until: "9-0", format: JSON, payloadField: doc, typeField: kind}
reducer: {type: Rules, key: event.id, rules: [{"on": [A], when: event.a == 'x', set: {a: event.a}, add: {b: event.b}, unset: [c], delete: false}]}
readModel: {fields: [{name: a, type: String}], redisHash: {keyPrefix: "x:", cutover: Rename}}
`

// fields says of every field of a spec, as an edit of the whole one, whether it
// makes another revision.
var fields = map[string]struct {
	value   any
	another bool
}{
	"suspend":                                  {true, false},
	"source.redis.url":                         {"rediss://other", true},
	"source.redis.credentialsSecretRef":        {map[string]any{"name": "x"}, false},
	"source.redis.tls":                         {map[string]any{"serverName": "x"}, false},
	"source.stream":                            {"other", true},
	"source.from":                              {"6", true},
	"source.until":                             {"10-0", true},
	"source.format":                            {"CloudEvents", true},
	"source.payloadField":                      {"other", true},
	"source.typeField":                         {"other", true},
	"reducer.type":                             {"Other", true},
	"reducer.key":                              {"event.other", true},
	"reducer.rules.on":                         {[]any{"B"}, true},
	"reducer.rules.true":                       {[]any{"A"}, false}, // on is there
	"reducer.rules.when":                       {"event.a == 'y'", true},
	"reducer.rules.set":                        {map[string]any{"a": "event.b"}, true},
	"reducer.rules.add":                        {map[string]any{"b": "event.a"}, true},
	"reducer.rules.unset":                      {[]any{"d"}, true},
	"reducer.rules.delete":                     {true, true},
	"readModel.fields.name":                    {"b", true},
	"readModel.fields.type":                    {"Integer", true},
	"readModel.redisHash.keyPrefix":            {"y:", true},
	"readModel.redisHash.cutover":              {"Pointer", true},
	"readModel.redisHash.url":                  {"rediss://other", true},
	"readModel.redisHash.credentialsSecretRef": {map[string]any{"name": "x"}, false},
	"readModel.redisHash.tls":                  {map[string]any{"serverName": "x"}, false},
	"replay.strategy":                          {"InPlace", false},
	"replay.trigger":                           {"x", true},
	"replay.promotion":                         {map[string]any{"mode": "Manual", "maxChangedPercent": 3, "approve": "abc"}, false},
	"replay.rollbackWindowSeconds":             {5, false},
	"replay.maxEventsPerSecond":                {5, false},
	"replay.history":                           {"Available", false},
	"errorPolicy":                              {map[string]any{"onError": "Halt"}, false},
	"projector":                                {map[string]any{"priorityClassName": "x"}, false},
	"deletionPolicy":                           {"Delete", false},
}

func TestEveryFieldOfASpecIsKnownToMakeAnotherRevisionOrNot(t *testing.T) {
	var base map[string]any
	if err := yaml.Unmarshal([]byte(whole), &base); err != nil {
		t.Fatal(err)
	}
	var known []string
	list(reflect.TypeFor[v1alpha1.ProjectionSpec](), "", &known)
	slices.Sort(known)
	if diff := cmp.Diff(known, slices.Sorted(maps.Keys(fields))); diff != "" {
		t.Fatalf("fields of a spec that this test does not classify (-), or that are gone (+):\n%s", diff)
	}
	want := Revision(spec(t, whole))
	for name, field := range fields {
		t.Run(name, func(t *testing.T) {
			var edited map[string]any
			if err := yaml.Unmarshal([]byte(whole), &edited); err != nil {
				t.Fatal(err)
			}
			set(edited, strings.Split(name, "."), field.value)
			text, err := yaml.Marshal(edited)
			if err != nil {
				t.Fatal(err)
			}
			if got := Revision(spec(t, string(text))); (got != want) != field.another {
				t.Errorf("%s and %s; another revision is wanted: %t", want, got, field.another)
			}
		})
	}
}

// list walks down to what is edited as one.
func list(in reflect.Type, path string, out *[]string) {
	if _, ok := fields[path]; ok || !strings.Contains(in.PkgPath(), "refold") || in.Kind() != reflect.Struct {
		*out = append(*out, path)
		return
	}
	for i := range in.NumField() {
		name, _, _ := strings.Cut(in.Field(i).Tag.Get("json"), ",")
		child := in.Field(i).Type
		for child.Kind() == reflect.Pointer || child.Kind() == reflect.Slice && child.Elem().Kind() == reflect.Struct {
			child = child.Elem()
		}
		list(child, strings.TrimPrefix(path+"."+name, "."), out)
	}
}

// set sets a member of an object, or of the first of a list of objects.
func set(in map[string]any, path []string, value any) {
	if len(path) == 1 {
		in[path[0]] = value
		return
	}
	switch child := in[path[0]].(type) {
	case map[string]any:
		set(child, path[1:], value)
	case []any:
		set(child[0].(map[string]any), path[1:], value)
	default:
		in[path[0]] = map[string]any{}
		set(in[path[0]].(map[string]any), path[1:], value)
	}
}
