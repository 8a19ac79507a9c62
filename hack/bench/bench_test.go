package main

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// smoke is little of everything.
var smoke = sizes{
	events: 20_000, entities: 2_000, largeEvents: 30_000, largeEntities: 3_000,
	rounds: 1, liveSeconds: 0.5, rateSeconds: 0.3,
}

// A bench that is run by hand once a month is broken by then. The group fold is
// left out: it runs a benchmark of another package, at its length.
func TestEveryGroupMeasuresWhatIsPromised(t *testing.T) {
	b, err := newBench(smoke, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	for name, rows := range map[string][]string{
		"replay":  {"replay.redisHash.vs_drain", "replay.redisHash.vs_naive", "server.cpu_per_event"},
		"zipf":    {"replay.zipf.vs_drain"},
		"unique":  {"replay.unique.vs_write"},
		"large":   {"replay.large.peak_rss_mib", "replay.large.rss_flatness"},
		"rules":   {"replay.rules_vs_go"},
		"live":    {"live.baseline_p50_ms", "live.baseline_p99_ms", "live.p50_ms", "live.p99_ms"},
		"rate":    {"live.max_rate.vs_drain"},
		"inspect": {"inspect.at.vs_drain", "inspect.explain.vs_drain"},
		"replay-cycle": {"cycle.total_vs_fold", "cycle.reader_max_wait_ms", "cycle.live_p99_during_ms",
			"cycle.writer_pause_ms.rename", "cycle.writer_pause_ms.pointer", "cycle.verify_hold_ms", "cycle.api_writes"},
	} {
		t.Run(name, func(t *testing.T) {
			chosen, err := choose(name)
			if err != nil {
				t.Fatal(err)
			}
			results, err := b.measure(t.Context(), chosen)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range rows {
				i := slices.IndexFunc(results, func(r result) bool { return r.Name == want })
				// The rate may be 0 where the machine is busy: none was sustained.
				if i < 0 || want != "live.max_rate.vs_drain" && results[i].Value <= 0 {
					t.Errorf("%s is missing, or measured nothing: %+v", want, results)
				}
			}
		})
	}
	t.Run("profile", func(t *testing.T) {
		var top strings.Builder
		err := b.profile(t.Context(), t.TempDir(), &top)
		if err != nil || !strings.Contains(top.String(), "flat%") {
			t.Errorf("%v: %s", err, top.String())
		}
	})
}

func TestAWrongReadModelIsAnError(t *testing.T) {
	b, err := newBench(smoke, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	s, err := b.startServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	w := workload{events: 10_000, entities: 100, pick: uniform}
	m := newModel(w, 1)
	for name, spoil := range map[string]func() error{
		"an entity more": func() error { return s.client.HSet(t.Context(), keyPrefix+"100", "id", "100").Err() },
		"one less":       func() error { return s.client.Del(t.Context(), keyPrefix+"42").Err() },
		"another value":  func() error { return s.client.HSet(t.Context(), keyPrefix+"42", "city", "Bern").Err() },
		"a field more":   func() error { return s.client.HSet(t.Context(), keyPrefix+"42", "age", "42").Err() },
	} {
		if err := s.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.write(t.Context(), writes(m)); err != nil {
			t.Fatal(err)
		}
		if err := m.check(t.Context(), s, keyPrefix); err != nil {
			t.Fatalf("the right one: %v", err)
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if err := m.check(t.Context(), s, keyPrefix); err == nil {
			t.Errorf("%s: it is taken for right", name)
		}
	}
}

func TestAWorkloadIsTheSameEachTime(t *testing.T) {
	for name, pick := range map[string]func() workload{
		"uniform": func() workload { return workload{1000, 100, uniform} },
		"zipf":    func() workload { return workload{1000, 100, zipf} },
		"once":    func() workload { return workload{1000, 1000, once} },
	} {
		first, second := maps.Collect(pick().all()), maps.Collect(pick().all())
		if diff := cmp.Diff(first, second, cmp.AllowUnexported(event{})); diff != "" || len(first) != 1000 {
			t.Errorf("%s: %d events; %s", name, len(first), diff)
		}
	}
	if m := newModel(workload{1000, 1000, once}, 1); m.entities != 1000 {
		t.Errorf("once: %d of 1000 entities", m.entities)
	}
}

func TestParseBenchmark(t *testing.T) {
	const output = `goos: linux
pkg: github.com/refold-dev/refold/projector/engine
BenchmarkFold-2        	 4012345	       291.5 ns/op	       3 B/op	       0 allocs/op
BenchmarkFold-2        	 4112345	       301 ns/op	  3.32 Mevents/s	       3 B/op	       0.25 allocs/op
BenchmarkFoldOther-2   	 1000000	      1000 ns/op	      64 B/op	       2 allocs/op
PASS
`
	want := map[string][]float64{"ns/op": {291.5, 301}, "B/op": {3, 3}, "allocs/op": {0, 0.25}, "Mevents/s": {3.32}}
	if diff := cmp.Diff(want, parseBenchmark(output, foldBenchmark)); diff != "" {
		t.Error(diff)
	}
}

func TestAReportKeepsTheRowsOfOtherGroups(t *testing.T) {
	file := filepath.Join(t.TempDir(), "build", "bench.json")
	named := func(name string, value float64) result { return row(name, ratioUnit, []float64{value}) }
	first := report{Results: []result{named("a", 1), named("b", 1)}}.merged(file)
	if err := first.write(file); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range (report{Results: []result{named("c", 2), named("a", 2)}}).merged(file).Results {
		got = append(got, r.Name+strings.Repeat("'", int(r.Value)-1))
	}
	if diff := cmp.Diff([]string{"a'", "b", "c'"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRows(t *testing.T) {
	r := row("x", ratioUnit, []float64{3, 1, 2, 10}).aim(atLeast, 2.5)
	if r.Value != 2.5 || r.Min != 1 || r.Max != 10 || r.Rounds != 4 || r.verdict() != "met" {
		t.Errorf("%+v", r)
	}
	if r := r.aim(atMost, 2); r.verdict() != "short" {
		t.Errorf("%+v", r)
	}
	if p := percentile([]float64{5, 1, 4, 2, 3}, 50); p != 3 {
		t.Errorf("p50 of 1 to 5 is %v", p)
	}
	if p := percentile([]float64{5, 1, 4, 2, 3}, 99); p != 5 {
		t.Errorf("p99 of 1 to 5 is %v", p)
	}
}

func TestLagIsBounded(t *testing.T) {
	const perSecond = 1000
	for name, c := range map[string]struct {
		lags []float64
		want bool
	}{
		"it stays":                         {[]float64{10, 20, 10, 20, 10, 20}, true},
		"it is large only at the start":    {[]float64{900, 800, 10, 10, 10, 10}, true},
		"it grows by more than the bound":  {[]float64{0, 50, 100, 150, 200, 250}, false},
		"it does not grow but is too long": {[]float64{900, 900, 900, 900, 900, 900}, false},
		"too few samples":                  {[]float64{0, 0}, false},
	} {
		if got := isBounded(c.lags, perSecond); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestThePacerSpreadsEventsOverTheTime(t *testing.T) {
	p := pacer{begun: time.Now(), perSecond: 1000, seconds: 0.1}
	n := 0
	for p.wait(10) {
		n += 10
	}
	if n < 50 || n > 110 {
		t.Errorf("%d events in 0.1 s at 1000/s", n)
	}
}
