package inspect_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
)

// private is a reducer that keeps something between events, as the SDK allows: it
// is called at once for different entities alone.
type private struct {
	projector.Reducer
	counts map[string]int // by entity; not safe for who shares it
	t      testing.TB
	busy   atomic.Bool
}

func (p *private) Reduce(e *projector.Event, key string, s *projector.State) error {
	if !p.busy.CompareAndSwap(false, true) {
		p.t.Error("two questions share a reducer")
		return nil
	}
	defer p.busy.Store(false)
	p.counts[key]++
	return p.Reducer.Reduce(e, key, s)
}

func TestEachQuestionHasAReducerOfItsOwn(t *testing.T) {
	w := newWorld(t, users())
	w.many(20_000)
	builds := w.options.Reducer
	w.options.Status = func() contract.Partition { return contract.Partition{State: contract.StateLive} }
	made := atomic.Int32{}
	w.options.Reducer = func() (projector.Reducer, error) {
		made.Add(1)
		r, err := builds()
		return &private{Reducer: r, counts: map[string]int{}, t: t}, err
	}
	w.start()
	var asks sync.WaitGroup
	asks.Go(func() { w.fold(w.document) }) // the live engine, beside them
	for range 2 {
		asks.Go(func() { w.lines(api.EntityPath("5", api.History)) })
	}
	asks.Wait()
	w.lines(api.LogPath + "?limit=1")
	if n := made.Load(); n != 4 {
		t.Errorf("%d reducers were made", n)
	}
}

func BenchmarkAReducerIsMade(b *testing.B) {
	w := newWorld(b, users())
	for b.Loop() {
		if _, err := w.options.Reducer(); err != nil {
			b.Fatal(err)
		}
	}
}
