package engine

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/refold-dev/refold/projector/contract"
)

// registered are the metrics of a partition, each with all its labels.
func registered(t *testing.T) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewRegistry()
	m := NewMetrics(prometheus.WrapRegistererWith(prometheus.Labels{"stream": "user_events"}, registry))
	m.retries.WithLabelValues("x").Inc()
	m.is(contract.StateLive)
	return registry
}

func TestMetricsFollowTheConventions(t *testing.T) {
	families, err := registered(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", err, problems)
	}
}

// row is a line of the table of metrics: name, type and labels.
var row = regexp.MustCompile("(?m)^\\| `(refold_projector_[a-z_]+)` \\| ([a-z]+) \\|([^|]*)\\|")

func TestTheTableOfMetricsIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, found := range row.FindAllStringSubmatch(string(text), -1) {
		documented[found[1]] = strings.TrimSpace(found[2] + found[3])
	}
	families, err := registered(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]string{}
	for _, family := range families {
		labels := map[string]bool{}
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels["`"+label.GetName()+"`"] = true
		}
		delete(labels, "`stream`") // all have it
		there[family.GetName()] = strings.TrimSpace(strings.ToLower(family.GetType().String()) + " " + strings.Join(slices.Sorted(maps.Keys(labels)), ", "))
	}
	if diff := cmp.Diff(there, documented); diff != "" {
		t.Errorf("docs/operations.md (-registered +documented):\n%s", diff)
	}
}
