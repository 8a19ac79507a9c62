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

// profiles are n entities of six fields.
func profiles(b *testing.B, n int) (*projector.Schema, []readmodel.Entity) {
	b.Helper()
	schema, err := projector.NewSchema(profile)
	if err != nil {
		b.Fatal(err)
	}
	entities := make([]readmodel.Entity, n)
	for i := range entities {
		entities[i] = readmodel.Entity{Key: strconv.Itoa(i), State: projector.NewState(schema)}
		for slot, text := range []string{fmt.Sprintf("user%d@example.com", i), "Ada Lovelace", "active", fmt.Sprint(i % 500), "2026-11-23T12:00:00.005Z", "team"} {
			v, err := projector.ParseText(schema.Fields()[slot].Kind, text)
			if err != nil {
				b.Fatal(err)
			}
			entities[i].State.SetAt(slot, v)
		}
	}
	return schema, entities
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
	p, cp, err := redishash.New(root, schema, "user:").Claim(b.Context(), users)
	if err != nil {
		b.Fatal(err)
	}
	return root, p, cp
}

const batch = 1600 // entities of one commit

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

// BenchmarkCommit is the server's and our own time for each entity.
func BenchmarkCommit(b *testing.B) {
	for name, restore := range map[string]bool{"create by RESTORE": true, "create by HSET": false} {
		b.Run(name, func(b *testing.B) { commitAll(b, restore, false) })
	}
	b.Run("update", func(b *testing.B) { commitAll(b, true, true) })
}

func commitAll(b *testing.B, restore, update bool) {
	const n = 100_000
	schema, entities := profiles(b, n)
	for b.Loop() {
		b.StopTimer()
		root, p, cp := benchServer(b, schema, restore)
		for i := range entities {
			again := projector.NewState(schema)
			again.CopyFrom(entities[i].State)
			entities[i].State = again
		}
		if update {
			all(b, p, cp, entities)
			for i := range entities {
				touchAll(entities[i].State, b.N)
			}
		}
		used, cpu := usedCPU(b, root), ownCPU(b)
		b.StartTimer()
		all(b, p, cp, entities)
		b.StopTimer()
		b.ReportMetric(cpu.since(b)/n, "cpu-ns/entity")
		b.ReportMetric((usedCPU(b, root)-used)*1e9/n, "server-ns/entity")
		_ = root.Close()
		b.StartTimer()
	}
}

func all(b *testing.B, p readmodel.Partition, cp readmodel.Checkpoint, entities []readmodel.Entity) {
	b.Helper()
	for len(entities) > 0 {
		now := entities[:min(batch, len(entities))]
		entities = entities[len(now):]
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
	all(b, p, cp, entities)
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
