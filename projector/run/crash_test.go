package run_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/failpoint"
	"github.com/refold-dev/refold/projector/readmodel/conformance"
)

func TestAContractOnDiskBecomesHashes(t *testing.T) {
	w := newWorld(t)
	w.burst(3000, 1)
	p := w.start()
	p.awaitTail()
	w.judgeAll()
	for i := range 20 {
		w.burst(1+i, i)
	}
	s := p.awaitTail()
	w.judgeAll()
	if !s.CaughtUp || s.LagEvents != 0 || s.LagSeconds != 0 || s.Skipped.UnnamedType == 0 {
		t.Errorf("status: %+v", s)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestKilledAtAnyStepASuccessorGoesOnExactly(t *testing.T) {
	for _, step := range []string{
		failpoint.Claimed, failpoint.Read, failpoint.Folded, failpoint.BeforeCommit,
		failpoint.CommitReplyLost, failpoint.Committed, failpoint.BeforeAck,
	} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t)
			w.burst(12_000, 1)
			var last projector.ID
			for _, after := range []string{"1", "1", "2"} {
				if step == failpoint.Claimed {
					after = "1"
				}
				p := w.start("REFOLD_FAILPOINT=" + step + ":after-" + after)
				w.burstUntilDeath(p)
				w.judgeIfClaimed()
				now := w.position()
				if now.Compare(last) < 0 {
					t.Errorf("the position went back from %s to %s", last, now)
				}
				last = now
			}
			w.start().awaitTail()
			w.judgeAll()
		})
	}
}

// burstUntilDeath gives a projector work until it has reached its failpoint.
func (w *world) burstUntilDeath(p *process) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-p.done:
			return
		case <-time.After(50 * time.Millisecond):
			w.burst(500, 2)
		}
	}
	w.t.Fatal("the projector did not reach its failpoint")
}

// position is the ledger's, zero before the first claim.
func (w *world) position() projector.ID {
	id, _ := projector.ParseID(w.client.HGet(w.t.Context(), position, "id").Val())
	return id
}

// judgeIfClaimed judges what a projector that died has left.
func (w *world) judgeIfClaimed() {
	w.t.Helper()
	if w.client.Exists(w.t.Context(), position).Val() > 0 {
		w.judge()
	}
}

func TestAStoppedProjectorWritesNothingAfterItsSuccessorHasClaimed(t *testing.T) {
	w := newWorld(t)
	w.burst(500, 1)
	old := w.start()
	old.awaitTail()
	old.signal(syscall.SIGSTOP)
	successor := w.start()
	w.burst(500, 2)
	successor.awaitTail()
	w.judgeAll()
	old.signal(syscall.SIGCONT)
	w.burst(500, 3) // now both read these
	s := old.await("fenced", func(s contract.Partition) bool { return s.State == contract.StateFenced })
	if s.Rejected != 1 || s.Problem == nil || s.Problem.Reason != contract.ReasonFenced {
		t.Errorf("the rejection is not shown: %+v", s)
	}
	if _, code := old.get("/readyz"); code != 503 {
		t.Errorf("a fenced projector says that it is ready: %d", code)
	}
	if _, code := old.get("/healthz"); code != 200 {
		t.Errorf("a fenced projector is not alive: %d", code)
	}
	successor.awaitTail()
	w.judgeAll()
	if old.stop() == 0 {
		t.Error("a fenced projector ends as if nothing had happened")
	}
}

func TestTwoProjectorsAtOnceFoldExactlyAndDoNotFight(t *testing.T) {
	w := newWorld(t)
	w.burst(20_000, 1)
	one, two := w.start(), w.start()
	for i := range 20 {
		w.burst(200, i)
		time.Sleep(20 * time.Millisecond)
	}
	fenced := func() int {
		n := 0
		for _, p := range []*process{one, two} {
			if s, _ := p.status(); s.State == contract.StateFenced {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(patience); fenced() != 1 && time.Now().Before(deadline); {
		w.burst(1, 1)
		time.Sleep(20 * time.Millisecond)
	}
	epoch := w.client.HGet(t.Context(), position, "epoch").Val()
	w.burst(200, 3)
	tail := w.tail()
	for deadline := time.Now().Add(patience); w.client.HGet(t.Context(), position, "id").Val() != tail && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	w.judgeAll()
	if now := w.client.HGet(t.Context(), position, "epoch").Val(); now != epoch || now != "2" {
		t.Errorf("they fought: epoch %s, then %s, want 2", epoch, now)
	}
}

func TestRedisKilledAndRestartedMidFoldIsExact(t *testing.T) {
	w := newWorld(t, redis.AOF())
	w.burst(30_000, 1)
	p := w.start()
	p.await("folding", func(s contract.Partition) bool { return s.Events > 0 })
	for range 3 {
		w.server.Kill()
		p.await("backing off", func(s contract.Partition) bool { return s.State == contract.StateBackingOff && !s.Problem.Permanent })
		w.server.Restart(t)
		w.burst(5000, 2)
	}
	s := p.awaitTail()
	w.judgeAll()
	if s.Problem != nil {
		t.Errorf("a problem is left: %+v", s.Problem)
	}
}

func TestAFrozenRedisDoesNotHoldUpTheEnd(t *testing.T) {
	w := newWorld(t)
	w.burst(100, 1)
	p := w.start()
	p.awaitTail()
	w.server.Pause()
	defer w.server.Resume()
	p.stop()
}

func TestSIGTERMCommitsWhatIsFolded(t *testing.T) {
	w := newWorld(t)
	w.burst(50_000, 1)
	p := w.start()
	p.await("folding", func(s contract.Partition) bool { return s.Events > 0 })
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	w.judge()
	ledger := w.client.HGet(t.Context(), position, "id").Val()
	groups := w.client.XInfoGroups(t.Context(), streamName).Val()
	if len(groups) != 1 || groups[0].LastDeliveredID != ledger {
		t.Errorf("the group stands at %+v, want %s", groups, ledger)
	}
	w.start().awaitTail()
	w.judgeAll()
}

func TestLostRepliesAndCutConnectionsAreExact(t *testing.T) {
	w := newWorld(t)
	target := conformance.NewProxy(t, w.server.Addr())
	w.contract.ReadModel.RedisHash.Redis.URL = "redis://" + target.Addr()
	source := conformance.NewProxy(t, w.server.Addr())
	w.contract.Source.Redis.URL = "redis://" + source.Addr()
	w.burst(10_000, 1)
	p := w.start()
	for i := range 60 {
		w.burst(300, i)
		switch i % 4 {
		case 0, 1:
			target.LoseNextReply()
		case 2:
			source.LoseNextReply()
		case 3:
			target.Cut()
			source.Cut()
		}
		time.Sleep(30 * time.Millisecond)
		w.judgeLive()
	}
	s := p.awaitTail()
	w.judgeAll()
	if s.Rejected != 0 || s.Problem != nil {
		t.Errorf("%+v", s)
	}
}
