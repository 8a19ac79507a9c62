package change

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
)

// fields compares two defaulted specs, value by value. Rules that are the same
// are not taken for others because one was put before them.
func fields(old, next v1alpha1.ProjectionSpec) []Field {
	was, is := content(old), content(next)
	pairRules(was, is)
	nameFields(was)
	nameFields(is)
	a, b := map[string]string{}, map[string]string{}
	flatten(a, "spec", was)
	flatten(b, "spec", is)
	var out []Field
	paths := maps.Clone(a)
	maps.Copy(paths, b)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		before, had := a[path]
		after, has := b[path]
		if had == has && before == after {
			continue
		}
		f := Field{Path: shown(path), Effect: effectOf(path)}
		if had {
			f.Old = &before
		}
		if has {
			f.New = &after
		}
		if f.Effect == EffectReplay && had && has && normal(path, before) == normal(path, after) {
			f.Effect = EffectNone
		}
		out = append(out, f)
	}
	return out
}

func content(spec v1alpha1.ProjectionSpec) map[string]any {
	text, err := json.Marshal(spec)
	if err != nil {
		panic("change: a spec always encodes: " + err.Error())
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		panic("change: a spec that was encoded always decodes: " + err.Error())
	}
	return out
}

// pairRules gives each rule a name that its counterpart has too: rules that are
// equal are paired first, in order, and what stands between them next.
func pairRules(was, is map[string]any) {
	a, b := rulesIn(was), rulesIn(is)
	pairs := common(a, b)
	left, right := map[string]any{}, map[string]any{}
	i, j := 0, 0
	for _, p := range append(pairs, [2]int{len(a), len(b)}) {
		for ; i < p[0] || j < p[1]; i, j = min(i+1, p[0]), min(j+1, p[1]) {
			switch {
			case i < p[0] && j < p[1]:
				left[ruleName(j)], right[ruleName(j)] = a[i], b[j]
			case i < p[0]:
				left[ruleName(i)+" of now"] = whole(a[i])
			default:
				right[ruleName(j)] = whole(b[j])
			}
		}
		if p[0] < len(a) && p[1] < len(b) {
			left[ruleName(p[1])], right[ruleName(p[1])] = a[p[0]], b[p[1]]
			i, j = p[0]+1, p[1]+1
		}
	}
	put(was, left)
	put(is, right)
}

// whole is a rule that comes or goes, as one value.
func whole(rule any) string {
	text, err := yaml.Marshal(rule)
	if err != nil {
		panic("change: a rule always encodes: " + err.Error())
	}
	return string(text)
}

func ruleName(i int) string { return fmt.Sprintf("rules[%d]", i) }

func rulesIn(spec map[string]any) []any {
	reducer, _ := spec["reducer"].(map[string]any)
	list, _ := reducer["rules"].([]any)
	return list
}

func put(spec, rules map[string]any) {
	reducer, ok := spec["reducer"].(map[string]any)
	if !ok {
		return
	}
	delete(reducer, "rules")
	maps.Copy(reducer, rules)
}

// common is the longest common subsequence of two lists, as pairs of indices.
func common(a, b []any) [][2]int {
	text := func(v any) string { out, _ := json.Marshal(v); return string(out) }
	length := make([][]int, len(a)+1)
	for i := range length {
		length[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if text(a[i]) == text(b[j]) {
				length[i][j] = length[i+1][j+1] + 1
				continue
			}
			length[i][j] = max(length[i+1][j], length[i][j+1])
		}
	}
	var out [][2]int
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case text(a[i]) == text(b[j]):
			out = append(out, [2]int{i, j})
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return out
}

// nameFields makes a map of the read model's fields, whose order means nothing.
func nameFields(spec map[string]any) {
	model, _ := spec["readModel"].(map[string]any)
	list, _ := model["fields"].([]any)
	delete(model, "fields")
	for _, one := range list {
		if f, ok := one.(map[string]any); ok {
			model[fmt.Sprintf("fields[%v]", f["name"])] = f["type"]
		}
	}
}

// password is what a URL of a manifest that was never applied may hold.
var password = regexp.MustCompile(`://[^/@]*@`)

// flatten writes down every value under its path.
func flatten(into map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, child := range v {
			flatten(into, path+"\x00"+name, child)
		}
	case string:
		into[path] = password.ReplaceAllString(v, "://…@")
	default:
		text, _ := json.Marshal(v)
		into[path] = string(text)
	}
}

func shown(path string) string {
	return strings.TrimSuffix(strings.ReplaceAll(path, "\x00", "."), " of now")
}

// effectOf is what a change of the field at path does: see docs/api.md.
func effectOf(path string) Effect {
	name := strings.TrimPrefix(shown(path), "spec.")
	switch {
	case within(name, "source.redis.credentialsSecretRef", "source.redis.tls",
		"readModel.redisHash.credentialsSecretRef", "readModel.redisHash.tls",
		"projector", "errorPolicy", "replay.maxEventsPerSecond", "replay.history", "suspend"):
		return EffectPods
	case within(name, "replay.trigger"):
		return EffectReplay
	case within(name, "replay", "deletionPolicy"):
		return EffectNothing
	}
	return EffectReplay
}

func within(name string, places ...string) bool {
	return slices.ContainsFunc(places, func(place string) bool {
		return name == place || strings.HasPrefix(name, place+".")
	})
}

// normal gives values that mean the same one spelling.
func normal(path, value string) string {
	name := shown(path)
	switch {
	case name == "spec.source.from":
		return plan.StartID(value)
	case name == "spec.source.until":
		return plan.EndID(value)
	case strings.HasSuffix(name, ".on"), strings.HasSuffix(name, ".unset"):
		return sortedList(value)
	case strings.HasPrefix(name, "spec.reducer."):
		return plan.NormalExpression(value)
	}
	return value
}

// sortedList is a set in one order.
func sortedList(value string) string {
	var list []string
	if json.Unmarshal([]byte(value), &list) != nil {
		return value
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), "\x00")
}
