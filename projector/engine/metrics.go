package engine

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/refold-dev/refold/projector/contract"
)

// Metrics are one partition's, by the conventions of Prometheus. A table in
// docs/operations.md lists them all.
type Metrics struct {
	read, folded                 prometheus.Counter
	skippedUnnamed, skippedNoKey prometheus.Counter
	batchBytes                   prometheus.Histogram

	commits, rejected                         prometheus.Counter
	commitSeconds, commitEntities, commitSize prometheus.Histogram

	lagEvents, lagSeconds, uncommitted prometheus.Gauge
	state                              *prometheus.GaugeVec
	retries                            *prometheus.CounterVec

	entities                          prometheus.Gauge
	loaded, evicted                   prometheus.Counter
	cleanBytes, dirtyBytes, keysBytes prometheus.Gauge
	budgetBytes                       prometheus.Gauge
}

// NewMetrics registers a partition's metrics; nil registers nothing. Registering
// twice with one registerer panics.
func NewMetrics(to prometheus.Registerer) *Metrics {
	m, f := &Metrics{}, factory{promauto.With(to)}
	m.makeEvents(f)
	m.makeCommits(f)
	m.makeProgress(f)
	m.makeMemory(f)
	return m
}

func (m *Metrics) makeEvents(f factory) {
	m.read = f.counter("events_read_total", "Events read from the stream, those read again after a fault too.")
	m.folded = f.counter("events_folded_total", "Events whose effect was committed.")
	skipped := f.counters("events_skipped_total", "Events that touch no entity, by reason.", "reason")
	m.skippedUnnamed, m.skippedNoKey = skipped.WithLabelValues("unnamed_type"), skipped.WithLabelValues("no_key")
	m.batchBytes = f.histogram("batch_bytes", "Bytes of one reply that held events.", 1<<10, 4, 10)
}

func (m *Metrics) makeCommits(f factory) {
	m.commits = f.counter("commits_total", "Transactions committed to the read model.")
	m.rejected = f.counter("rejected_commits_total", "Commits refused because a successor holds the partition.")
	m.commitSeconds = f.histogram("commit_duration_seconds", "How long a commit took, its wait behind the one before too.", 0.000125, 2, 16)
	m.commitEntities = f.histogram("commit_entities", "Entities in one commit.", 1, 4, 9)
	m.commitSize = f.histogram("commit_bytes", "Memory of the entities in one commit.", 1<<10, 4, 10)
}

func (m *Metrics) makeProgress(f factory) {
	m.lagEvents = f.gauge("lag_events", "Entries after the committed position, -1 while unknown.")
	m.lagSeconds = f.gauge("lag_seconds", "Age of the committed position against the stream's tail, by their IDs.")
	m.uncommitted = f.gauge("events_uncommitted", "Events that are folded and not yet committed.")
	m.state = f.gauges("state", "1 for the state that the partition is in.", "state")
	m.retries = f.counters("retries_total", "Faults after which the partition was tried again, by reason.", "reason")
}

func (m *Metrics) makeMemory(f factory) {
	m.entities = f.gauge("cached_entities", "Entities in memory.")
	m.loaded = f.counter("entities_loaded_total", "Entities asked of the read model because they were not in memory.")
	m.evicted = f.counter("entities_evicted_total", "Entities that left memory to make room.")
	used := f.gauges("memory_bytes", "Memory in use for entities: clean, dirty (to be committed), and the keys of those evicted.", "kind")
	m.cleanBytes, m.dirtyBytes, m.keysBytes = used.WithLabelValues("clean"), used.WithLabelValues("dirty"), used.WithLabelValues("evicted_keys")
	m.budgetBytes = f.gauge("memory_budget_bytes", "What memory_bytes is kept below by evicting what is clean.")
}

func (m *Metrics) committed(s *sent) {
	m.commits.Inc()
	m.commitSeconds.Observe(time.Since(s.began).Seconds())
	m.commitEntities.Observe(float64(s.entities))
	m.commitSize.Observe(float64(s.bytes))
}

func (m *Metrics) is(now contract.State) {
	for _, state := range contract.States {
		m.state.WithLabelValues(string(state)).Set(0)
	}
	m.state.WithLabelValues(string(now)).Set(1)
}

// holds shows what is in memory; since is what was shown before.
func (m *Metrics) holds(u, since usage) {
	m.entities.Set(float64(u.entities))
	m.cleanBytes.Set(float64(u.clean))
	m.dirtyBytes.Set(float64(u.dirty))
	m.keysBytes.Set(float64(u.keys))
	m.loaded.Add(float64(u.loaded - since.loaded))
	m.evicted.Add(float64(u.evicted - since.evicted))
}

// factory makes metrics of the one namespace.
type factory struct{ promauto.Factory }

func options(name, help string) prometheus.Opts {
	return prometheus.Opts{Namespace: "refold", Subsystem: "projector", Name: name, Help: help}
}

func (f factory) counter(name, help string) prometheus.Counter {
	return f.NewCounter(prometheus.CounterOpts(options(name, help)))
}

func (f factory) counters(name, help, label string) *prometheus.CounterVec {
	return f.NewCounterVec(prometheus.CounterOpts(options(name, help)), []string{label})
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	return f.NewGauge(prometheus.GaugeOpts(options(name, help)))
}

func (f factory) gauges(name, help, label string) *prometheus.GaugeVec {
	return f.NewGaugeVec(prometheus.GaugeOpts(options(name, help)), []string{label})
}

// histogram has n buckets: up to first, and each up to so many times the last.
func (f factory) histogram(name, help string, first, times float64, n int) prometheus.Histogram {
	o := options(name, help)
	return f.NewHistogram(prometheus.HistogramOpts{Namespace: o.Namespace, Subsystem: o.Subsystem, Name: name, Help: help,
		Buckets: prometheus.ExponentialBuckets(first, times, n)})
}
