package run_test

import (
	"testing"

	"github.com/refold-dev/refold/projector/contract"
)

// drop runs the finite job and returns its exit code and result.
func (w *world) drop(keep string) (int, contract.Result) {
	w.t.Helper()
	return w.run("drop", "--keep="+keep)
}

func (w *world) keys() []string { return w.client.Keys(w.t.Context(), "*").Val() }

func TestDropLeavesNothingButTheStream(t *testing.T) {
	w := newWorld(t)
	w.client.Set(t.Context(), "user:of-somebody-else", "x", 0)
	w.burst(2000, 1)
	p := w.start()
	p.awaitTail()
	p.stop()
	for range 2 { // twice is as good as once
		if code, r := w.drop("false"); code != 0 || !r.Done || r.Problem != nil {
			t.Errorf("exit code %d: %+v", code, r)
		}
		if left := w.keys(); len(left) != 2 {
			t.Errorf("left: %q", left)
		}
		if groups := w.client.XInfoGroups(t.Context(), streamName).Val(); len(groups) != 0 {
			t.Errorf("left: %+v", groups)
		}
	}
}

func TestDropWithKeepLeavesAModelThatGoesOn(t *testing.T) {
	w := newWorld(t)
	w.burst(2000, 1)
	p := w.start()
	p.awaitTail()
	p.stop()
	before := len(w.keys())
	if code, r := w.drop("true"); code != 0 || !r.Done {
		t.Errorf("exit code %d: %+v", code, r)
	}
	if groups := w.client.XInfoGroups(t.Context(), streamName).Val(); len(groups) != 0 || len(w.keys()) != before {
		t.Errorf("groups %+v, %d keys, want %d", groups, len(w.keys()), before)
	}
	w.burst(100, 2)
	w.start().awaitTail()
	w.judgeAll()
}

func TestDropNeedsNoReducer(t *testing.T) {
	w := newWorld(t)
	w.contract.Reducer.Key = "this is not CEL"
	if code, r := w.drop("false"); code != 0 || !r.Done {
		t.Errorf("exit code %d: %+v", code, r)
	}
}

func TestDropThatCannotReachTheServerSaysSo(t *testing.T) {
	w := newWorld(t)
	w.server.Kill()
	code, r := w.drop("false")
	if code != 1 || r.Done || r.Problem == nil || r.Problem.Reason != contract.ReasonReadModelUnreachable || r.Problem.Permanent {
		t.Errorf("exit code %d: %+v %+v", code, r, r.Problem)
	}
}
