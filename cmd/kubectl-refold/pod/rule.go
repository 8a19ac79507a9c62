package pod

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/refold-dev/refold/projector/contract"
)

// ruleText is where a rule stands in the manifest, and the rule on one line.
func ruleText(rules []contract.Rule, i int) string {
	place := fmt.Sprintf("spec.reducer.rules[%d]", i)
	if i < 0 || i >= len(rules) {
		return place
	}
	r := rules[i]
	text := place + "  on " + strings.Join(r.On, ", ")
	if r.When != "" {
		text += " when " + r.When
	}
	var does []string
	does = append(does, assignments("set", r.Set)...)
	does = append(does, assignments("add", r.Add)...)
	if len(r.Unset) > 0 {
		does = append(does, "unset "+strings.Join(r.Unset, ", "))
	}
	if r.Delete {
		does = append(does, "delete")
	}
	return safe(strings.Join(strings.Fields(text+": "+strings.Join(does, "; ")), " "))
}

func assignments(verb string, to map[string]string) []string {
	if len(to) == 0 {
		return nil
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(to)) {
		parts = append(parts, name+" = "+to[name])
	}
	return []string{verb + " " + strings.Join(parts, ", ")}
}
