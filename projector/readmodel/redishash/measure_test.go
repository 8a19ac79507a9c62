package redishash_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/readmodel/redishash"
)

// TestMeasureReplay prints what a replay of REFOLD_MEASURE entities costs, while
// both revisions fold some thousand events a second. It asserts nothing but that
// all goes well.
func TestMeasureReplay(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("REFOLD_MEASURE"))
	if n == 0 {
		t.Skip("REFOLD_MEASURE is the number of entities")
	}
	for _, cutover := range []string{contract.CutoverRename, contract.CutoverPointer} {
		t.Run(cutover, func(t *testing.T) { measureReplay(t, n, cutover) })
	}
}

func measureReplay(t *testing.T, n int, cutover string) {
	schema, err := projector.NewSchema(profile)
	if err != nil {
		t.Fatal(err)
	}
	server := redis.Start(t, redis.Arg("slowlog-log-slower-than", "5000"), redis.Arg("slowlog-max-len", "1000"))
	root := client(t, server.Addr())
	var tip atomic.Uint64
	tip.Store(1)
	open := func() readmodel.Store { return redishash.New(client(t, server.Addr()), schema, prefix, cutover) }
	folders := []*measuredFolder{{t: t, n: n, schema: schema, store: open(), revision: "r1"}, {t: t, n: n, schema: schema, store: open(), revision: "r2"}}
	begin := time.Now()
	for _, f := range folders {
		f.fill()
	}
	t.Logf("filled in %s; used memory %s", time.Since(begin).Round(time.Millisecond), root.InfoMap(t.Context(), "memory").Val()["Memory"]["used_memory_human"])
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ticker := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-ticker.C {
			tip.Add(30)
		}
	})
	for _, f := range folders {
		running.Go(func() { f.run(ctx, &tip) })
	}
	time.Sleep(time.Second)
	s := open()
	for _, to := range []string{"r2", "r1"} {
		root.Do(t.Context(), "slowlog", "reset")
		root.ConfigResetStat(t.Context())
		var peak atomic.Uint64
		watch := probe(t, server.Addr(), &peak)
		begin = time.Now()
		d, err := s.Compare(t.Context(), users.Projection, to)
		if err != nil {
			t.Fatal(err)
		}
		slowest := watch()
		t.Logf("compare: %s in all, held %d ms, same %d changed %d; heap %d MiB; slowest PINGs %v", time.Since(begin).Round(time.Millisecond), d.HeldMillis, d.Same, d.Changed, peak.Load()>>20, slowest)
		report(t, root)
		root.ConfigResetStat(t.Context())
		watch = probe(t, server.Addr(), &peak)
		begin = time.Now()
		c, err := s.Promote(t.Context(), users.Projection, to)
		if err != nil {
			t.Fatal(err)
		}
		slowest = watch()
		t.Logf("promote: %s in all, paused %d ms, %d entities; slowest PINGs %v", time.Since(begin).Round(time.Millisecond), c.PausedMillis, c.Entities, slowest)
		report(t, root)
		time.Sleep(300 * time.Millisecond)
	}
	begin = time.Now()
	root.ConfigResetStat(t.Context())
	if err := s.DropRevision(t.Context(), users.Projection, "r2", false); err != nil {
		t.Fatal(err)
	}
	t.Logf("drop of the revision: %s", time.Since(begin).Round(time.Millisecond))
	report(t, root)
	cancel()
	running.Wait()
	for _, f := range folders {
		t.Logf("%s folded %d events live", f.revision, f.at.Position.Ms)
	}
}

func report(t *testing.T, root *goredis.Client) {
	t.Helper()
	for _, e := range root.SlowLogGet(t.Context(), 10).Val() {
		t.Logf("  slow: %s %.80s", e.Duration, strings.Join(e.Args, " "))
	}
	stats := root.InfoMap(t.Context(), "latencystats").Val()["Latencystats"]
	for name, line := range stats {
		if strings.Contains(line, "p99.9") && (strings.HasSuffix(name, "_exec") || strings.HasSuffix(name, "sscan") || strings.HasSuffix(name, "_exists") || strings.HasSuffix(name, "unlink")) {
			t.Logf("  %s: %s", name, line)
		}
	}
	cpu := root.InfoMap(t.Context(), "cpu").Val()["CPU"]
	t.Logf("  the server's CPU so far: %s user, %s system", cpu["used_cpu_user"], cpu["used_cpu_sys"])
	for _, name := range []string{"exec"} {
		t.Logf("  histogram %s: %v", name, root.Do(t.Context(), "latency", "histogram", name).Val())
	}
}

// probe sends PING after PING; the slowest are returned when it is stopped.
func probe(t *testing.T, addr string, heap *atomic.Uint64) (stop func() []time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	c := client(t, addr)
	slowest := make(chan []time.Duration)
	go func() {
		var all []time.Duration
		for i := 0; ctx.Err() == nil; i++ {
			begin := time.Now()
			c.Ping(t.Context())
			all = append(all, time.Since(begin).Round(100*time.Microsecond))
			time.Sleep(500 * time.Microsecond)
			if i%500 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				heap.Store(max(heap.Load(), m.HeapAlloc))
			}
		}
		slices.Sort(all)
		slices.Reverse(all)
		slowest <- append(all[:min(4, len(all))], all[len(all)/100])
	}()
	return func() []time.Duration { cancel(); return <-slowest }
}

type measuredFolder struct {
	t        *testing.T
	n        int
	schema   *projector.Schema
	store    readmodel.Store
	revision string
	p        readmodel.Partition
	at       readmodel.Checkpoint
	held     int64
}

func (f *measuredFolder) claim() error {
	var err error
	f.p, f.at, err = f.store.Claim(f.t.Context(), readmodel.Claim{Projection: users.Projection, Revision: f.revision, Source: "x", Held: f.held})
	if err == nil {
		f.held = f.at.Epoch
	}
	return err
}

// fill makes all entities; the second revision's differ in one of a hundred.
func (f *measuredFolder) fill() {
	if err := f.claim(); err != nil {
		f.t.Fatal(err)
	}
	for from := 0; from < f.n; from += 5000 {
		changed := make([]readmodel.Entity, 0, 5000)
		for i := from; i < min(from+5000, f.n); i++ {
			e := readmodel.Entity{Key: strconv.Itoa(i), State: projector.NewState(f.schema)}
			for slot, text := range []string{"user" + strconv.Itoa(i) + "@example.com", "Ada Lovelace", "active", strconv.Itoa(i % 500), "2026-11-23T12:00:00.005Z", "team"} {
				v, _ := projector.ParseText(f.schema.Fields()[slot].Kind, text)
				e.State.SetAt(slot, v)
			}
			if i%100 == 0 {
				e.State.SetAt(5, projector.StringValue(f.revision))
			}
			changed = append(changed, e)
		}
		f.at.Position, f.at.Events = projector.ID{Ms: 1}, 1
		if err := f.p.Commit(f.t.Context(), f.p.Prepare(changed, f.at)); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *measuredFolder) run(ctx context.Context, tip *atomic.Uint64) {
	for ctx.Err() == nil {
		if f.p == nil {
			if err := f.claim(); errors.Is(err, readmodel.ErrFenced) {
				return
			} else if err != nil {
				f.p = nil
				time.Sleep(20 * time.Millisecond)
			}
			continue
		}
		to := tip.Load()
		if f.at.Until != nil {
			to = min(to, f.at.Until.Ms)
		}
		if to <= f.at.Position.Ms {
			if f.at.Until != nil {
				f.p = nil
			}
			time.Sleep(time.Millisecond)
			continue
		}
		if f.fold(to) != nil {
			f.p = nil
		}
	}
}

// fold counts each event at the entity that it is of.
func (f *measuredFolder) fold(to uint64) error {
	to = min(to, f.at.Position.Ms+500)
	var keys []string
	var states []*projector.State
	var changed []readmodel.Entity
	for i := f.at.Position.Ms + 1; i <= to; i++ {
		e := readmodel.Entity{Key: strconv.Itoa(int(i * 7919 % uint64(f.n))), State: projector.NewState(f.schema)}
		keys, states, changed = append(keys, e.Key), append(states, e.State), append(changed, e)
	}
	if err := f.p.Load(f.t.Context(), keys, states); err != nil {
		return err
	}
	for _, s := range states {
		s.SetAt(3, projector.IntegerValue(s.At(3).Int()+1))
	}
	next := f.at
	next.Position, next.Events = projector.ID{Ms: to}, int64(to)
	if err := f.p.Commit(f.t.Context(), f.p.Prepare(changed, next)); err != nil {
		return err
	}
	f.at = next
	return nil
}
