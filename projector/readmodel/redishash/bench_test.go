package redishash_test

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/readmodel/redishash"
)

var profile = []contract.Field{
	{Name: "email", Type: contract.TypeString}, {Name: "name", Type: contract.TypeString},
	{Name: "status", Type: contract.TypeString}, {Name: "logins", Type: contract.TypeInteger},
	{Name: "seen", Type: contract.TypeTimestamp}, {Name: "plan", Type: contract.TypeString},
}

// profiles are n entities of six fields, and the schema.
func profiles(b *testing.B, n int) (*projector.Schema, []readmodel.Entity) {
	b.Helper()
	schema, err := projector.NewSchema(profile)
	if err != nil {
		b.Fatal(err)
	}
	return schema, entities(b, schema, 0, n)
}

func entities(b *testing.B, schema *projector.Schema, from, to int) []readmodel.Entity {
	b.Helper()
	made := make([]readmodel.Entity, 0, to-from)
	for i := from; i < to; i++ {
		e := readmodel.Entity{Key: strconv.Itoa(i), State: projector.NewState(schema)}
		for slot, text := range []string{fmt.Sprintf("user%d@example.com", i), "Ada Lovelace", "active", fmt.Sprint(i % 500), "2026-11-23T12:00:00.005Z", "team"} {
			v, err := projector.ParseText(schema.Fields()[slot].Kind, text)
			if err != nil {
				b.Fatal(err)
			}
			e.State.SetAt(slot, v)
		}
		made = append(made, e)
	}
	return made
}

// touchAll changes all fields of an entity.
func touchAll(s *projector.State, round int) {
	for slot, f := range s.Schema().Fields() {
		v := s.At(slot)
		s.UnsetAt(slot)
		if f.Kind == projector.Integer {
			v = projector.IntegerValue(int64(round))
		}
		s.SetAt(slot, v)
	}
}

// server starts a Redis and makes a store on it that does without RESTORE where
// restore is false.
func benchServer(b *testing.B, schema *projector.Schema, restore bool) (*goredis.Client, readmodel.Partition, readmodel.Checkpoint) {
	b.Helper()
	root := goredis.NewClient(&goredis.Options{Addr: redis.Start(b).Addr()})
	if !restore {
		root.Do(b.Context(), "acl", "setuser", "default", "-restore")
	}
	p, cp, err := redishash.New(root, schema, "user:", "").Claim(b.Context(), users)
	if err != nil {
		b.Fatal(err)
	}
	return root, p, cp
}

const (
	batch = 2048                    // entities of a commit, about
	round = batch * readmodel.Lanes // entities that the engine folds before each lane had its turn
)

// BenchmarkPrepare is the projector's time for each entity that it encodes.
func BenchmarkPrepare(b *testing.B) {
	schema, entities := profiles(b, batch)
	for name, restore := range map[string]bool{"create by RESTORE": true, "create by HSET": false} {
		b.Run(name, func(b *testing.B) {
			_, p, cp := benchServer(b, schema, restore)
			cp.Epoch-- // refused: only the memory is given back
			b.ReportAllocs()
			cpu := ownCPU(b)
			for b.Loop() {
				_ = p.Commit(b.Context(), p.Prepare(entities, cp))
			}
			b.ReportMetric(cpu.since(b)/float64(b.N)/batch, "cpu-ns/entity")
		})
	}
	b.Run("update", func(b *testing.B) {
		_, p, cp := benchServer(b, schema, false)
		cp.Epoch--
		for i := range entities {
			entities[i].State.MarkStored()
			touchAll(entities[i].State, 1)
		}
		cpu := ownCPU(b)
		for b.Loop() {
			_ = p.Commit(b.Context(), p.Prepare(entities, cp))
		}
		b.ReportMetric(cpu.since(b)/float64(b.N)/batch, "cpu-ns/entity")
	})
}

// BenchmarkCommit is the server's and our own time for each entity, committed
// lane by lane as the engine does far behind the tail.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("create %d by RESTORE", n), func(b *testing.B) { commitAll(b, n, true, false) })
	}
	b.Run("create 100000 by HSET", func(b *testing.B) { commitAll(b, 100_000, false, false) })
	b.Run("update 100000", func(b *testing.B) { commitAll(b, 100_000, true, true) })
}

func commitAll(b *testing.B, n int, restore, update bool) {
	schema, err := projector.NewSchema(profile)
	if err != nil {
		b.Fatal(err)
	}
	spent, used := 0.0, 0.0
	for b.Loop() {
		b.StopTimer()
		root, p, cp := benchServer(b, schema, restore)
		for from := 0; from < n; from += round {
			made := entities(b, schema, from, min(from+round, n))
			lanes := byLane(made)
			if update {
				all(b, p, cp, lanes)
				for i := range made {
					touchAll(made[i].State, b.N)
				}
			}
			before, cpu := usedCPU(b, root), ownCPU(b)
			b.StartTimer()
			all(b, p, cp, lanes)
			b.StopTimer()
			spent, used = spent+cpu.since(b), used+usedCPU(b, root)-before
		}
		_ = root.Close()
		b.StartTimer()
	}
	b.ReportMetric(spent/float64(n*b.N), "cpu-ns/entity")
	b.ReportMetric(used*1e9/float64(n*b.N), "server-ns/entity")
}

func byLane(entities []readmodel.Entity) [][]readmodel.Entity {
	lanes := make([][]readmodel.Entity, readmodel.Lanes)
	for _, e := range entities {
		lane := readmodel.LaneOf(e.Key)
		lanes[lane] = append(lanes[lane], e)
	}
	return lanes
}

// all commits a lane after another.
func all(b *testing.B, p readmodel.Partition, cp readmodel.Checkpoint, lanes [][]readmodel.Entity) {
	b.Helper()
	for _, now := range lanes {
		prepared := p.Prepare(now, cp)
		for _, e := range now {
			e.State.MarkStored()
		}
		if err := p.Commit(b.Context(), prepared); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad is the time to load an entity again.
func BenchmarkLoad(b *testing.B) {
	const n = 100_000
	schema, entities := profiles(b, n)
	root, p, cp := benchServer(b, schema, true)
	all(b, p, cp, byLane(entities))
	keys, states := make([]string, n), make([]*projector.State, n)
	used, spent := usedCPU(b, root), 0.0
	for b.Loop() {
		b.StopTimer()
		for i := range states {
			keys[i], states[i] = entities[i].Key, projector.NewState(schema)
		}
		cpu := ownCPU(b)
		b.StartTimer()
		if err := p.Load(b.Context(), keys, states); err != nil {
			b.Fatal(err)
		}
		spent += cpu.since(b)
	}
	b.ReportMetric(spent/n/float64(b.N), "cpu-ns/entity")
	b.ReportMetric((usedCPU(b, root)-used)*1e9/n/float64(b.N), "server-ns/entity")
}

// cpuTime is this process's, which says more than the clock on a busy machine.
type cpuTime int64

func ownCPU(b *testing.B) cpuTime {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return cpuTime(usage.Utime.Nano() + usage.Stime.Nano())
}

func (began cpuTime) since(b *testing.B) (nanoseconds float64) { return float64(ownCPU(b) - began) }

// usedCPU is the server's CPU time in seconds.
func usedCPU(b *testing.B, c *goredis.Client) (seconds float64) {
	b.Helper()
	cpu := c.InfoMap(b.Context(), "cpu").Val()["CPU"]
	for _, name := range []string{"used_cpu_sys", "used_cpu_user"} {
		s, err := strconv.ParseFloat(cpu[name], 64)
		if err != nil {
			b.Fatal(err)
		}
		seconds += s
	}
	return seconds
}
