package inspect_test

import (
	"testing"
	"time"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
)

func TestNothingIsToldBeyondAProjectorThatIsBehind(t *testing.T) {
	w := story(t)
	w.status = func() contract.Partition {
		return contract.Partition{State: contract.StateCatchingUp, Claimed: true, Position: "3000-0"}
	}
	for query, want := range map[string]api.End{
		"":              {Position: "3000-0", Behind: true},
		"?until=5000":   {Position: "3000-0", Behind: true},
		"?until=2000-1": {Position: "2000-1"},
	} {
		if _, end := w.lines(api.EntityPath("7", api.History) + query); end.Position != want.Position || end.Behind != want.Behind {
			t.Errorf("%s: %+v", query, end)
		}
	}
	w.status = func() contract.Partition {
		return contract.Partition{State: contract.StateLive, Claimed: true, Position: "3000-0"}
	}
	if _, end := w.lines(api.StatesPath); end.Position != "7000-0" || end.Behind {
		t.Errorf("%+v", end)
	}
}

func TestATimeBeforeTheProjectionBeginsIsSaid(t *testing.T) {
	d := users()
	d.Source.From = "3000-0"
	w := newWorld(t, d)
	w.add("1000-0", "Created", "id", "7", "name", "Ada")
	w.add("4000-0", "Ordered", "id", "7", "cents", "5")
	w.fails(api.EntityPath("7", api.State)+"?at=2000-0", 404, api.ReasonOutsideLog, "before source.from 3000-0")
	w.fails(api.StatesPath+"?at=2000-0", 404, api.ReasonOutsideLog, "before source.from 3000-0")
}

// What is asked for with incomplete=true while all is there goes on with what is
// left when the log is trimmed meanwhile.
func TestALogThatIsTrimmedDuringAScanIsFoldedAsFarAsItIsLeft(t *testing.T) {
	w := newWorld(t, users())
	w.many(40_000)
	w.options.Probe = restless{}
	w.start()
	ends := make(chan api.End, 1)
	go func() {
		_, end := w.lines(api.StatesPath + "?incomplete=true")
		ends <- end
	}()
	time.Sleep(150 * time.Millisecond) // in its first rest
	w.client.XTrimMaxLen(t.Context(), "user_events", 100)
	select {
	case end := <-ends:
		if !end.Incomplete || end.Entries >= 40_000 {
			t.Errorf("%+v", end)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no end")
	}
}
