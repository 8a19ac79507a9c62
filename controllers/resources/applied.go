package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// AppliedAnnotation is a hash of what was applied last. It tells a field that the
// operator has stopped setting from one that somebody else has added.
const AppliedAnnotation = "refold.dev/applied"

// Applied is the apply configuration of a whole object: what is set, no more.
func Applied(object runtime.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("convert %T: %w", object, err)
	}
	delete(content, "status")
	out := &unstructured.Unstructured{Object: prune(content).(map[string]any)}
	text, err := json.Marshal(out.Object)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", object, err)
	}
	sum := sha256.Sum256(text)
	annotations := out.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[AppliedAnnotation] = hex.EncodeToString(sum[:8])
	out.SetAnnotations(annotations)
	return out, nil
}

// prune removes nulls and empty maps: whoever sets them says nothing. Affinity is
// left alone: there an empty selector takes everything, and none takes nothing.
func prune(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, element := range v {
			if key == "affinity" {
				continue
			}
			element = prune(element)
			if m, isMap := element.(map[string]any); element == nil || isMap && len(m) == 0 {
				delete(v, key)
				continue
			}
			v[key] = element
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	}
	return value
}

// Differs tells whether live lacks something of want. What the server has
// defaulted and what others have added does not count.
func Differs(want *unstructured.Unstructured, live runtime.Object) (bool, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return false, fmt.Errorf("convert %T: %w", live, err)
	}
	// A typed object that comes out of a cache does not say what it is.
	content["apiVersion"], content["kind"] = want.Object["apiVersion"], want.Object["kind"]
	return !contains(content, want.Object), nil
}

// contains tells whether have holds all of want. Lists of named elements are
// compared by name, others as a whole.
func contains(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		return containsMap(have, want)
	case []any:
		return containsList(have, want)
	}
	return fmt.Sprint(have) == fmt.Sprint(want)
}

func containsMap(have any, want map[string]any) bool {
	m, ok := have.(map[string]any)
	if !ok {
		return false
	}
	for key, element := range want {
		if !contains(m[key], element) {
			return false
		}
	}
	return true
}

func containsList(have any, want []any) bool {
	list, ok := have.([]any)
	if !ok {
		return false
	}
	key := mergeKey(want)
	if key == "" && len(list) != len(want) {
		return false
	}
	for i, element := range want {
		if key != "" {
			i = find(list, key, element.(map[string]any)[key])
		}
		if i < 0 || !contains(list[i], element) {
			return false
		}
	}
	return true
}

// mergeKeys are the keys by which server-side apply tells elements apart, in the
// objects built here.
var mergeKeys = []string{"mountPath", "containerPort", "uid", "name"}

func mergeKey(list []any) string {
	for _, key := range mergeKeys {
		if allHave(list, key) {
			return key
		}
	}
	return ""
}

func allHave(list []any, key string) bool {
	for _, element := range list {
		m, ok := element.(map[string]any)
		if !ok || m[key] == nil {
			return false
		}
	}
	return len(list) > 0
}

func find(list []any, key string, value any) int {
	for i, element := range list {
		if m, ok := element.(map[string]any); ok && fmt.Sprint(m[key]) == fmt.Sprint(value) {
			return i
		}
	}
	return -1
}
