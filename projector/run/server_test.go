package run_test

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector/contract"
)

// apart gives the source a server of its own: w.client is the read model's.
func (w *world) apart() (source *goredis.Client) {
	w.t.Helper()
	server := redis.Start(w.t)
	source = goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	w.t.Cleanup(func() { _ = source.Close() })
	w.contract.Source.Redis.URL = "redis://" + server.Addr()
	return source
}

// burstTo is burst into another server; judge then needs the same events here,
// where no projector reads them.
func (w *world) burstTo(source *goredis.Client, n, seed int) {
	w.t.Helper()
	here := w.client
	w.client = source
	w.burst(n, seed)
	w.client = here
}

// judgeApart is judgeAll where the stream is elsewhere.
func (w *world) judgeApart(source *goredis.Client) {
	w.t.Helper()
	dump, err := source.Dump(w.t.Context(), streamName).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.client.RestoreReplace(w.t.Context(), streamName, 0, dump).Err(); err != nil {
		w.t.Fatal(err)
	}
	w.judgeAll()
	w.client.Del(w.t.Context(), streamName)
}

func (p *process) awaitTailOf(source *goredis.Client) contract.Partition {
	p.w.t.Helper()
	tail := source.XInfoStream(p.w.t.Context(), streamName).Val().LastGeneratedID
	return p.await("at the tail "+tail, func(s contract.Partition) bool { return s.Position == tail && s.State == contract.StateLive })
}

// Each row refuses writes in a running projector's face, and takes it back.
func TestARefusedCommitRecoversByItself(t *testing.T) {
	for name, test := range map[string]struct {
		refuse, allow []any
		reason        string
		permanent     bool
	}{
		"out of memory": {
			[]any{"config", "set", "maxmemory", "1"}, []any{"config", "set", "maxmemory", "0"},
			contract.ReasonRedisOutOfMemory, false},
		"a replica": {
			[]any{"replicaof", "127.0.0.1", "1"}, []any{"replicaof", "no", "one"},
			contract.ReasonRedisReadOnly, false},
		"too few replicas": {
			[]any{"config", "set", "min-replicas-to-write", "1"}, []any{"config", "set", "min-replicas-to-write", "0"},
			contract.ReasonRedisNoReplicas, false},
		"no permission": {
			[]any{"acl", "setuser", "default", "-hset"}, []any{"acl", "setuser", "default", "+@all"},
			contract.ReasonPermissionDenied, true},
		"no permission to watch": {
			[]any{"acl", "setuser", "default", "-watch"}, []any{"acl", "setuser", "default", "+@all"},
			contract.ReasonPermissionDenied, true},
		"no permission for transactions": {
			[]any{"acl", "setuser", "default", "-multi"}, []any{"acl", "setuser", "default", "+@all"},
			contract.ReasonPermissionDenied, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			source := w.apart()
			w.burstTo(source, 1000, 1)
			p := w.start()
			p.awaitTailOf(source)
			w.client.Do(t.Context(), test.refuse...)
			w.burstTo(source, 1000, 2)
			s := p.awaitProblem(test.reason)
			if s.Problem.Permanent != test.permanent {
				t.Errorf("%+v", s.Problem)
			}
			w.client.Do(t.Context(), test.allow...)
			if s := p.awaitTailOf(source); s.Problem != nil {
				t.Errorf("%+v", s.Problem)
			}
			w.judgeApart(source)
		})
	}
}

func TestAnAcknowledgementThatIsRefusedHoldsUpNothing(t *testing.T) {
	w := newWorld(t)
	w.burst(100, 1)
	w.client.Do(t.Context(), "acl", "setuser", "default", "-xgroup")
	p := w.start()
	p.awaitProblem(contract.ReasonPermissionDenied)
	w.burst(100, 2)
	s := p.awaitTail()
	if s.Problem == nil || s.Problem.Reason != contract.ReasonPermissionDenied {
		t.Errorf("nobody is told: %+v", s.Problem)
	}
	w.judgeAll()
	w.client.Do(t.Context(), "acl", "setuser", "default", "+@all")
	p.await("healed", func(s contract.Partition) bool { return s.Problem == nil })
	awaitGroup(t, w)
}

func TestAReadModelThatWasFlushedIsFoldedAgain(t *testing.T) {
	w := newWorld(t)
	source := w.apart()
	w.burstTo(source, 2000, 1)
	p := w.start()
	p.awaitTailOf(source)
	w.client.FlushAll(t.Context())
	w.burstTo(source, 10, 2)
	p.awaitTailOf(source)
	w.judgeApart(source)
}

func TestAPositionThatWasRemovedIsNotGuessed(t *testing.T) {
	w := newWorld(t)
	w.burst(500, 1)
	p := w.start()
	p.awaitTail()
	w.client.Del(t.Context(), position)
	w.burst(10, 2)
	if s := p.awaitProblem(contract.ReasonReplayNeeded); !s.Problem.Permanent {
		t.Errorf("%+v", s)
	}
}
