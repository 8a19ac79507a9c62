package run_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/contract"
)

// await waits until holds.
func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("never %s", what)
		}
	}
}

// recovers folds on while the read model's server refuses, until it does not.
func (w *world) recovers(reason string, refuse, allow func()) {
	w.t.Helper()
	source := w.apart()
	w.burstTo(source, 1000, 1)
	p := w.start()
	p.awaitTailOf(source)
	refuse()
	w.burstTo(source, 1000, 2)
	if s := p.awaitProblem(reason); s.Problem.Permanent || s.State != contract.StateBackingOff {
		w.t.Errorf("%s: %+v", s.State, s.Problem)
	}
	allow()
	if s := p.awaitTailOf(source); s.Problem != nil {
		w.t.Errorf("at the tail still %+v", s.Problem)
	}
	w.judgeApart(source)
}

func TestAFullDiskIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	inTheWay := filepath.Join(w.server.Dir(), "dump.rdb")
	saves := func(outcome string) func() bool {
		return func() bool {
			w.client.BgSave(t.Context())
			return strings.Contains(w.client.Info(t.Context(), "persistence").Val(), "rdb_last_bgsave_status:"+outcome)
		}
	}
	w.recovers(contract.ReasonRedisDiskError, func() {
		if err := os.MkdirAll(filepath.Join(inTheWay, "no file"), 0o700); err != nil {
			t.Fatal(err)
		}
		w.client.ConfigSet(t.Context(), "save", "3600 1")
		w.await("MISCONF", saves("err"))
	}, func() {
		if err := os.RemoveAll(inTheWay); err != nil {
			t.Fatal(err)
		}
		w.await("saved", saves("ok"))
	})
}

func TestAServerThatIsBusyIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.recovers(contract.ReasonRedisBusy, func() {
		w.client.ConfigSet(t.Context(), "busy-reply-threshold", "20")
		script := goredis.NewClient(&goredis.Options{Addr: w.server.Addr(), MaxRetries: -1, ReadTimeout: -1})
		t.Cleanup(func() { _ = script.Close() })
		go script.Eval(t.Context(), "while true do end", nil)
		w.await("busy", func() bool { return goredis.HasErrorPrefix(w.client.Ping(t.Context()).Err(), "BUSY") })
	}, func() {
		w.await("not busy", func() bool { return w.client.ScriptKill(t.Context()).Err() == nil })
	})
}

func TestAReplicaWithoutItsMasterIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	set := func(name, value string) { w.client.ConfigSet(t.Context(), name, value) }
	w.recovers(contract.ReasonRedisLoading, func() {
		set("replica-serve-stale-data", "no")
		w.client.Do(t.Context(), "replicaof", "127.0.0.1", "1")
	}, func() { w.client.Do(t.Context(), "replicaof", "no", "one") })
}

// IDs hold the server's clock. One that is an hour ahead, and one that then goes
// back by two, is a projector's that is behind, and then ahead.
func TestNoClockIsTrusted(t *testing.T) {
	w := newWorld(t)
	at := func(since time.Duration) string { return strconv.FormatInt(time.Now().Add(since).UnixMilli(), 10) }
	add := func(id string, cents int) {
		t.Helper()
		err := w.client.XAdd(t.Context(), &goredis.XAddArgs{Stream: streamName, ID: id,
			Values: []any{"type", "Ordered", "id", "1", "cents", cents}}).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	add(at(-time.Hour), 1)
	p := w.start()
	p.awaitTail()
	add(at(time.Hour), 2)
	for cents := range 100 { // Redis counts on within the millisecond until its clock has come there
		add("*", cents)
	}
	p.awaitTail() // lags below 0 fail in status
	w.judgeAll()
	p.stop()
	w.burst(100, 3)
	p = w.start()
	if s := p.awaitTail(); s.LagSeconds != 0 || s.LagEvents != 0 || !s.CaughtUp {
		t.Errorf("at the tail, but %+v", s)
	}
	w.judgeAll()
}
