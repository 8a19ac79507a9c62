package run_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector/contract"
)

func TestOutOfMemoryBacksOffAndRecovers(t *testing.T) {
	w := newWorld(t)
	w.burst(2000, 1)
	p := w.start()
	p.awaitTail()
	w.client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction")
	w.burst(2000, 2)
	w.client.ConfigSet(t.Context(), "maxmemory", "1")
	// Nothing can be added now; what the projector has not committed waits.
	restarted := w.start() // a claim writes, too
	s := restarted.awaitProblem(contract.ReasonRedisOutOfMemory)
	if s.Problem.Permanent || s.State != contract.StateBackingOff {
		t.Errorf("%+v", s)
	}
	w.client.ConfigSet(t.Context(), "maxmemory", "0")
	restarted.awaitTail()
	w.judgeAll()
}

func TestAFixedPasswordHealsWithoutARestart(t *testing.T) {
	w := newWorld(t, redis.Password("right"))
	w.burst(500, 1)
	secret := t.TempDir()
	write := func(password string) {
		if err := os.WriteFile(filepath.Join(secret, "password"), []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("wrong")
	credentials := &contract.Credentials{SecretName: "redis", Dir: secret}
	w.contract.Source.Redis.Credentials = credentials
	w.contract.ReadModel.RedisHash.Redis.Credentials = credentials
	p := w.start()
	s := p.awaitProblem(contract.ReasonAuthenticationFailed)
	if !s.Problem.Permanent || s.State != contract.StateHalted || !strings.Contains(s.Problem.Message+s.Problem.Remedy, "redis") {
		t.Errorf("%+v", s.Problem)
	}
	write("right")
	p.awaitTail()
	w.judgeAll()
}

func TestHistoryTrimmedPastThePositionHalts(t *testing.T) {
	w := newWorld(t)
	w.burst(500, 1)
	p := w.start()
	p.awaitTail()
	p.stop()
	w.burst(500, 2)
	w.client.XTrimMaxLen(t.Context(), streamName, 10)
	at := w.client.HGet(t.Context(), position, "id").Val()
	s := w.start().awaitProblem(contract.ReasonHistoryLost)
	if !s.Problem.Permanent || s.Position != at {
		t.Errorf("%+v", s)
	}
	time.Sleep(time.Second)
	if now := w.client.HGet(t.Context(), position, "id").Val(); now != at {
		t.Errorf("it went on from %s to %s over the gap", at, now)
	}
}

func TestAStreamMadeAnewHalts(t *testing.T) {
	w := newWorld(t)
	w.burst(500, 1)
	p := w.start()
	p.awaitTail()
	w.client.Del(t.Context(), streamName)
	w.client.Do(t.Context(), "xadd", streamName, "1-1", "type", "Left", "id", "1")
	s := p.awaitProblem(contract.ReasonSourceDiverged)
	if !s.Problem.Permanent || s.State != contract.StateHalted || s.CaughtUp {
		t.Errorf("%+v", s)
	}
}

func TestADestroyedGroupIsMadeAgainAtThePosition(t *testing.T) {
	w := newWorld(t)
	w.burst(500, 1)
	p := w.start()
	p.awaitTail()
	awaitGroup(t, w)
	w.client.XGroupDestroy(t.Context(), streamName, group)
	w.burst(1, 1)
	p.awaitTail()
	awaitGroup(t, w)
	w.client.XGroupDestroy(t.Context(), streamName, group)
	awaitGroup(t, w) // with nothing to fold, too
	w.judgeAll()
}

func awaitGroup(t *testing.T, w *world) {
	t.Helper()
	tail := w.tail()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		groups := w.client.XInfoGroups(t.Context(), streamName).Val()
		if len(groups) == 1 && groups[0].Name == group && groups[0].LastDeliveredID == tail && groups[0].Lag == 0 {
			return
		}
	}
	t.Fatalf("no group %s at %s: %+v", group, tail, w.client.XInfoGroups(t.Context(), streamName).Val())
}

func TestAMissingStreamIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	p := w.start()
	s := p.awaitProblem(contract.ReasonSourceMissing)
	if s.State != contract.StateWaiting || s.Problem.Permanent || !s.Claimed {
		t.Errorf("%+v", s)
	}
	if w.client.Exists(t.Context(), streamName).Val() != 0 {
		t.Error("the projector made the stream")
	}
	w.burst(100, 1)
	p.awaitTail()
	w.judgeAll()
}

func TestAKeyThatIsNotOursHaltsAndIsUntouched(t *testing.T) {
	for name, plant := range map[string][]any{
		"a hash":   {"hset", keyPrefix + "5", "name", "somebody's"},
		"a string": {"set", keyPrefix + "5", "somebody's"},
		"a list":   {"rpush", keyPrefix + "5", "somebody's"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.client.Do(t.Context(), plant...)
			was := w.client.Dump(t.Context(), keyPrefix+"5").Val()
			w.burst(500, 1)
			p := w.start()
			s := p.awaitProblem(contract.ReasonNotOwned)
			if !s.Problem.Permanent || !strings.Contains(s.Problem.Message, keyPrefix+"5") {
				t.Errorf("%+v", s.Problem)
			}
			if w.client.Dump(t.Context(), keyPrefix+"5").Val() != was {
				t.Error("it was touched")
			}
			w.client.Del(t.Context(), keyPrefix+"5")
			p.awaitTail()
			w.judgeAll()
		})
	}
}

func TestAnEventThatFailsHaltsExactlyBeforeIt(t *testing.T) {
	w := newWorld(t)
	w.burst(700, 1)
	before := w.tail()
	bad := w.add("Ordered", "id", "5", "cents", "many")
	w.burst(700, 2)
	p := w.start()
	s := p.awaitProblem(contract.ReasonEventFailed)
	if s.Problem.EventID != bad || !s.Problem.Permanent || s.State != contract.StateHalted {
		t.Errorf("%+v", s)
	}
	time.Sleep(1200 * time.Millisecond) // it is looked at again
	again, _ := p.status()
	if again.Position != before || again.Problem == nil || again.Problem.Since != s.Problem.Since {
		t.Errorf("stands at %s, want %s; %+v", again.Position, before, again.Problem)
	}
	w.judge()
}

func TestAnotherRevisionFoldsBesideThePublishedOne(t *testing.T) {
	w := newWorld(t)
	w.burst(100, 1)
	p := w.start()
	p.awaitTail()
	p.stop()
	before := w.model()
	w.contract.Revision = "r2"
	w.contract.Reducer.Rules = w.contract.Reducer.Rules[:1]
	if s := w.start().awaitTail(); s.Published || s.Epoch != 1 {
		t.Errorf("%+v", s)
	}
	w.contract.Revision = "r1"
	if diff := cmp.Diff(before, w.model()); diff != "" {
		t.Errorf("what readers read has changed (-was +is):\n%s", diff)
	}
}

func TestAContractThatCannotBeFollowedIsToldAndNotRestarted(t *testing.T) {
	w := newWorld(t)
	good := w.contract
	for name, spoil := range map[string]func(*contract.Document){
		"a rule does not compile": func(d *contract.Document) {
			d.Reducer.Rules = []contract.Rule{{On: []string{"A"}, Set: map[string]string{"name": "evnt.x"}}}
		},
		"the scheme is unknown":       func(d *contract.Document) { d.Source.Redis.URL = "http://x" },
		"the start is no ID":          func(d *contract.Document) { d.Source.From = "yesterday" },
		"no field is declared":        func(d *contract.Document) { d.ReadModel.Fields = nil },
		"the format is unknown":       func(d *contract.Document) { d.Source.Format = "Avro" },
		"the error policy is unknown": func(d *contract.Document) { d.ErrorPolicy.OnError = "Skip" },
		"the reducer is unknown": func(d *contract.Document) {
			d.Reducer.Type = "Nobody's"
		},
	} {
		w.contract = good
		spoil(&w.contract)
		p := w.start()
		s := p.awaitProblem(contract.ReasonInvalidContract)
		if s.State != contract.StateHalted || s.Claimed {
			t.Errorf("%s: %+v", name, s)
		}
		if _, code := p.get("/healthz"); code != 200 {
			t.Errorf("%s: it would be restarted", name)
		}
		if _, code := p.get("/readyz"); code != 503 {
			t.Errorf("%s: it says that it is ready", name)
		}
		if code := p.stop(); code != 0 {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
	missing := w.startWith(filepath.Join(t.TempDir(), "no-such-file"))
	missing.awaitProblem(contract.ReasonInvalidContract)
}

func TestARedisThatLostTheTailOfLogAndModelTogetherIsFollowedAgain(t *testing.T) {
	w := newWorld(t, redis.Arg("save", ""))
	w.burst(500, 1)
	p := w.start()
	p.awaitTail()
	if err := w.client.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	w.burst(50, 2)
	p.awaitTail()
	w.server.Kill()
	w.server.Restart(t)
	p.await("stand where the ledger stands now", func(s contract.Partition) bool {
		return s.Problem == nil && s.Position == w.tail()
	})
	w.burst(50, 3)
	p.awaitTail()
	w.judgeAll()
}

func TestATrimmedLogIsToldWhileItIsFollowed(t *testing.T) {
	w := newWorld(t)
	w.burst(200, 1)
	p := w.start()
	if s := p.awaitTail(); s.History != contract.HistoryComplete {
		t.Errorf("at first: %s", s.History)
	}
	w.client.XTrimMaxLen(t.Context(), streamName, 50)
	p.await("told", func(s contract.Partition) bool {
		return s.History == contract.HistoryIncomplete && s.State == contract.StateLive
	})
	w.burst(100, 2)
	if s := p.awaitTail(); s.Problem != nil || s.Events == 0 {
		t.Errorf("%+v", s)
	}
}
