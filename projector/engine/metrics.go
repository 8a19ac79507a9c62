package engine

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are one partition's, by the conventions of Prometheus.
type Metrics struct {
	read, folded                 prometheus.Counter
	skippedUnnamed, skippedNoKey prometheus.Counter
	commits, rejected            prometheus.Counter
	commitSeconds, commitSize    prometheus.Histogram
	lagEvents, lagSeconds        prometheus.Gauge
	retries                      *prometheus.CounterVec
}

// NewMetrics registers a partition's metrics; nil registers nothing. Registering
// twice with one registerer panics.
func NewMetrics(to prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "refold", Subsystem: "projector", Name: name, Help: help}
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(counter(name, help)))
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "refold", Subsystem: "projector", Name: name, Help: help, Buckets: buckets,
		})
	}
	skipped := prometheus.NewCounterVec(counter("events_skipped_total", "Events that touch no entity, by reason."), []string{"reason"})
	m := &Metrics{
		read:           prometheus.NewCounter(counter("events_read_total", "Events read from the stream, those read again after a fault too.")),
		folded:         prometheus.NewCounter(counter("events_folded_total", "Events whose effect was committed.")),
		skippedUnnamed: skipped.WithLabelValues("unnamed_type"),
		skippedNoKey:   skipped.WithLabelValues("no_key"),
		commits:        prometheus.NewCounter(counter("commits_total", "Transactions committed to the read model.")),
		rejected:       prometheus.NewCounter(counter("rejected_commits_total", "Commits refused because a successor holds the partition.")),
		commitSeconds:  histogram("commit_duration_seconds", "How long a commit took.", prometheus.ExponentialBuckets(0.000125, 2, 16)),
		commitSize:     histogram("commit_entities", "Entities in a commit.", prometheus.ExponentialBuckets(1, 4, 9)),
		lagEvents:      gauge("lag_events", "Entries after the committed position, -1 while unknown."),
		lagSeconds:     gauge("lag_seconds", "Age of the committed position against the stream's tail, by their IDs."),
		retries:        prometheus.NewCounterVec(counter("retries_total", "Faults after which the partition was tried again, by reason."), []string{"reason"}),
	}
	if to != nil {
		to.MustRegister(m.read, m.folded, skipped, m.commits, m.rejected, m.commitSeconds, m.commitSize,
			m.lagEvents, m.lagSeconds, m.retries)
	}
	return m
}

func (m *Metrics) committed(took time.Duration, entities int) {
	m.commits.Inc()
	m.commitSeconds.Observe(took.Seconds())
	m.commitSize.Observe(float64(entities))
}
