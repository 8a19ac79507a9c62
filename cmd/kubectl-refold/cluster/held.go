package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/plan"
)

// diff is what publishing a revision would change.
func (d drawing) diff(diff v1alpha1.RevisionDiff) []string {
	out := []string{diffText(diff)}
	if fields := fieldsText(diff.ChangedFields); fields != "" {
		out = append(out, "fields: "+fields)
	}
	if diff.AtID != "" {
		out = append(out, "compared at "+cli.Safe(diff.AtID))
	} else {
		out = append(out, "the two have no log in common: there is no moment at which they could be compared")
	}
	return out
}

func diffText(diff v1alpha1.RevisionDiff) string {
	differ := diff.Added + diff.Removed + diff.Changed
	all := differ + diff.Same
	if differ == 0 {
		return fmt.Sprintf("changes nothing: all %s entities are the same", cli.Count(all))
	}
	percent := float64(differ) / float64(all) * 100
	return fmt.Sprintf("changes %s of %s entities (%.3g %%): %s added, %s removed, %s changed",
		cli.Count(differ), cli.Count(all), percent, cli.Count(diff.Added), cli.Count(diff.Removed), cli.Count(diff.Changed))
}

// maxFields keeps a line readable; -o yaml has them all.
const maxFields = 6

// fieldsText lists fields, those that differ most often first.
func fieldsText(counts map[string]int64) string {
	names := slices.Sorted(maps.Keys(counts))
	slices.SortStableFunc(names, func(a, b string) int { return int(min(max(counts[b]-counts[a], -1), 1)) })
	var out []string
	for _, name := range names[:min(len(names), maxFields)] {
		out = append(out, fmt.Sprintf("%s %s", cli.Safe(name), cli.Count(counts[name])))
	}
	if left := len(names) - maxFields; left > 0 {
		out = append(out, fmt.Sprintf("and %d more", left))
	}
	return strings.Join(out, ", ")
}

// held says what to do with a finished replay.
func (d drawing) held(out *strings.Builder, v *view) {
	for _, r := range v.inState(v1alpha1.RevisionHeld) {
		fmt.Fprintln(out)
		fmt.Fprintln(out, d.paint.Busy(fmt.Sprintf("%s is finished and held: %s", cli.Safe(r.Name), whyHeld(v.Projection, r))))
		fmt.Fprintf(out, "  publish it:  kubectl refold promote -n %s %s\n", v.Namespace, v.Name)
		fmt.Fprintf(out, "  refuse it:   kubectl refold reject -n %s %s\n", v.Namespace, v.Name)
		if approve := v.Spec.Replay.Promotion.Approve; approve != "" && approve != r.Name {
			fmt.Fprintf(out, "  spec.replay.promotion.approve names %s, which is another one\n", cli.Safe(approve))
		}
	}
}

func whyHeld(p *v1alpha1.Projection, r v1alpha1.RevisionStatus) string {
	promotion := plan.Defaulted(p.Spec).Replay.Promotion
	switch {
	case promotion.Mode == v1alpha1.PromotionManual:
		return "promotion.mode is Manual"
	case r.Diff != nil && r.Diff.AtID == "":
		return "it could not be compared at one moment"
	}
	return fmt.Sprintf("it changes more than maxChangedPercent (%d %%)", *promotion.MaxChangedPercent)
}

// maxEvents is how many events are shown.
const maxEvents = 6

func (d drawing) events(out *strings.Builder, v *view) {
	if len(v.Events) == 0 {
		return
	}
	fmt.Fprintln(out)
	fmt.Fprintln(out, d.paint.Strong("Events"))
	for _, e := range v.Events[max(0, len(v.Events)-maxEvents):] {
		reason := fmt.Sprintf("%-18s", cli.Safe(e.Reason))
		if e.Type == corev1.EventTypeWarning {
			reason = d.paint.Bad(reason)
		}
		before := age(d.now, lastSeen(e))
		lines := cli.Wrap(cli.Safe(e.Message), indent(d.columns, 30))
		fmt.Fprintf(out, "%5s ago  %s %s\n", before, reason, lines[0])
		for _, line := range lines[1:] {
			fmt.Fprintf(out, "%30s%s\n", "", line)
		}
	}
}
