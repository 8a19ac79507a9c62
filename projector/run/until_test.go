package run_test

import (
	"testing"
	"time"

	"github.com/refold-dev/refold/projector/contract"
)

func (p *process) awaitState(state contract.State) contract.Partition {
	p.w.t.Helper()
	return p.await(string(state), func(s contract.Partition) bool { return s.State == state })
}

func TestAnEndThatIsTheTailIsReached(t *testing.T) {
	w := newWorld(t)
	w.burst(3000, 1)
	w.contract.Source.Until = w.tail()
	p := w.start()
	p.awaitState(contract.StateCompleted)
	w.judgeAll()
	w.burst(10, 2)
	time.Sleep(100 * time.Millisecond)
	w.judge()
	if s := p.awaitState(contract.StateCompleted); s.Position != w.contract.Source.Until {
		t.Errorf("%+v", s)
	}
}

func TestAnEndInTheMiddleOfALogThatGoesOn(t *testing.T) {
	w := newWorld(t)
	w.burst(3000, 1)
	until := w.tail()
	w.contract.Source.Until = until
	w.burst(2000, 2)
	p := w.start()
	s := p.awaitState(contract.StateCompleted)
	if s.Position != until || !s.CaughtUp || s.LagEvents != 0 || s.EtaSeconds != 0 || s.Problem != nil {
		t.Errorf("%+v", s)
	}
	if _, code := p.get("/readyz"); code != 200 {
		t.Errorf("a completed projector is not ready: %d", code)
	}
	w.judge()
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	groups := w.client.XInfoGroups(t.Context(), streamName).Val()
	if len(groups) != 1 || groups[0].LastDeliveredID != until {
		t.Errorf("the group stands at %+v, want %s", groups, until)
	}
	w.client.XTrimMaxLen(t.Context(), streamName, 10) // nobody needs it any more
	if s := w.start().awaitState(contract.StateCompleted); s.Position != until || s.Problem != nil {
		t.Errorf("%+v", s)
	}
}

func TestAnEndBetweenEntriesIsReachedWhenTheLogPassesIt(t *testing.T) {
	w := newWorld(t)
	w.burst(100, 1)
	end := time.Now().Add(time.Second)
	w.contract.Source.Until = end.UTC().Format(time.RFC3339Nano)
	p := w.start()
	p.awaitTail()
	time.Sleep(time.Until(end) + 50*time.Millisecond)
	p.awaitState(contract.StateLive)
	w.add("Created", "id", "late", "name", "Ada")
	s := p.awaitState(contract.StateCompleted)
	if s.Events == 0 || w.client.Exists(t.Context(), keyPrefix+"late").Val() != 0 {
		t.Errorf("%+v", s)
	}
	w.judge()
}
