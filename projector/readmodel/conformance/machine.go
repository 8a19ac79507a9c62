package conformance

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/readmodel"
)

// RunProtocol drives two writers of one partition, with lost replies and broken
// connections between them and the server, through random histories. After
// every step the read model is the fold of the log up to the ledger's position
// (I1, I2), the position has not gone back (I3), and nobody but the last to
// claim has written (I4). The server is emptied with clear before each history.
func RunProtocol(t *testing.T, server Server, clear func()) {
	s := schema(t)
	proxies := []*Proxy{NewProxy(t, server.Addr()), NewProxy(t, server.Addr())}
	rapid.Check(t, func(rt *rapid.T) {
		clear()
		m := &machine{t: t, server: server, schema: s}
		for _, proxy := range proxies {
			m.writers = append(m.writers, &writer{machine: m, proxy: proxy, store: server.Open(t, s, proxy)})
		}
		rt.Repeat(map[string]func(*rapid.T){
			"claim":  func(rt *rapid.T) { m.draw(rt).claim(rt) },
			"commit": func(rt *rapid.T) { m.draw(rt).commit(rt, func() {}) },
			"commit with the reply lost": func(rt *rapid.T) {
				w := m.draw(rt)
				w.commit(rt, w.proxy.LoseNextReply)
			},
			"restart":    func(rt *rapid.T) { m.draw(rt).restart() },
			"disconnect": func(rt *rapid.T) { m.draw(rt).proxy.Cut() },
			"":           m.check,
		})
	})
}

// machine is what all writers together must have brought about. The log is
// fixed: event i adds i to entity i mod 7, or deletes it when i mod 11 is 0.
type machine struct {
	t       *testing.T
	server  Server
	schema  *projector.Schema
	writers []*writer
	last    uint64  // the position at the last check
	holder  *writer // the last whose claim is known to have succeeded
}

func (m *machine) draw(rt *rapid.T) *writer { return rapid.SampledFrom(m.writers).Draw(rt, "writer") }

// writer does as an engine does, with nothing cached.
type writer struct {
	machine   *machine
	proxy     *Proxy
	store     readmodel.Store
	partition readmodel.Partition
	at        readmodel.Checkpoint
	held      int64
	fenced    bool
}

const stepTimeout = 10 * time.Second

func (w *writer) restart() {
	w.store = w.machine.server.Open(w.machine.t, w.machine.schema, w.proxy)
	w.partition, w.held, w.fenced = nil, 0, false
}

func (w *writer) claim(rt *rapid.T) {
	if w.fenced {
		return // as an engine, which idles
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	c := claim
	c.Held = w.held
	p, at, err := w.store.Claim(ctx, c)
	w.partition = nil
	if errors.Is(err, readmodel.ErrFenced) {
		w.mayBeFenced(rt)
		return
	}
	if err != nil {
		w.machine.holder = nil // it may have claimed, and lost the reply
		return
	}
	w.partition, w.at, w.held = p, at, at.Epoch
	w.machine.holder = w
}

// mayBeFenced fails when nobody else can have claimed.
func (w *writer) mayBeFenced(rt *rapid.T) {
	w.fenced, w.partition = true, nil
	if w.machine.holder == w {
		rt.Fatalf("the holder was fenced")
	}
}

// commit folds the next few events into freshly loaded states, and lets before
// happen before they are sent.
func (w *writer) commit(rt *rapid.T, before func()) {
	if w.partition == nil {
		return
	}
	n := rapid.IntRange(1, 9).Draw(rt, "events")
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	changed, err := w.fold(ctx, n)
	if err == nil {
		before()
		err = w.partition.Commit(ctx, prepare(w.partition, w.after(n), changed...))
	}
	holder := w.machine.holder
	switch {
	case err == nil && holder != nil && holder != w:
		rt.Fatalf("a commit of epoch %d landed after a later claim", w.held)
	case err == nil:
		w.at, w.machine.holder = w.after(n), w
	case errors.Is(err, readmodel.ErrFenced):
		w.mayBeFenced(rt)
	default:
		w.partition = nil // to be claimed again, as after every fault
	}
}

func (w *writer) after(n int) readmodel.Checkpoint { return at(w.at, w.at.Position.Ms+uint64(n)) }

func (w *writer) fold(ctx context.Context, n int) ([]readmodel.Entity, error) {
	keys, states := entities(w.machine.schema)
	if err := w.partition.Load(ctx, keys, states); err != nil {
		return nil, err
	}
	for i := w.at.Position.Ms + 1; i <= w.after(n).Position.Ms; i++ {
		foldOne(states[i%7], i)
	}
	changed := make([]readmodel.Entity, len(keys))
	for i := range keys {
		changed[i] = readmodel.Entity{Key: keys[i], State: states[i]}
	}
	return changed, nil
}

func entities(s *projector.Schema) (keys []string, states []*projector.State) {
	for i := range 7 {
		keys = append(keys, fmt.Sprint(i))
		states = append(states, projector.NewState(s))
	}
	return keys, states
}

func foldOne(s *projector.State, i uint64) {
	if i%11 == 0 {
		s.Delete()
		return
	}
	slot, _ := s.Schema().Slot("i")
	s.SetAt(slot, projector.IntegerValue(s.At(slot).Int()+int64(i)))
}

// check is the judge: a plain fold up to the ledger's position.
func (m *machine) check(rt *rapid.T) {
	p, ok := m.look()
	if !ok {
		return
	}
	if p.Position.Ms < m.last {
		rt.Fatalf("the position went back from %d to %d", m.last, p.Position.Ms)
	}
	m.last = p.Position.Ms
	if uint64(p.Events) != m.last {
		rt.Fatalf("%d events at position %d", p.Events, m.last)
	}
	want, sums := map[string]map[string]string{}, [7]int64{}
	for i := uint64(1); i <= m.last; i++ {
		key := fmt.Sprint(i % 7)
		if i%11 == 0 {
			sums[i%7] = 0
			delete(want, key)
			continue
		}
		sums[i%7] += int64(i)
		want[key] = map[string]string{"i": fmt.Sprint(sums[i%7])}
	}
	got := map[string]map[string]string{}
	for i := range 7 {
		if fields := m.server.Lookup(m.t, fmt.Sprint(i)); fields != nil {
			got[fmt.Sprint(i)] = fields
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		rt.Fatalf("at position %d:\n%s", m.last, diff)
	}
}

// look reads the ledger past the proxies; false before the first claim.
func (m *machine) look() (readmodel.Checkpoint, bool) {
	for _, w := range m.writers {
		if w.partition == nil {
			continue
		}
		if cp, err := w.partition.Position(context.Background()); err == nil {
			return cp, true
		}
	}
	return readmodel.Checkpoint{}, false
}
