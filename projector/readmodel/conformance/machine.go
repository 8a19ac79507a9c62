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
// claim has written (I4). Lanes go each at its own pace, and transactions are
// prepared ahead. The server is emptied with clear before each history.
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
	last    readmodel.Checkpoint // at the last check
	holder  *writer              // the last whose claim is known to have succeeded
}

const machineKeys = 7

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

// commit folds the next few events into freshly loaded states, prepares some
// transactions ahead, and lets before happen before they are sent.
func (w *writer) commit(rt *rapid.T, before func()) {
	if w.partition == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	steps := w.steps(rt)
	prepared, err := w.fold(ctx, steps)
	before()
	for i := 0; i < len(prepared) && err == nil; i++ {
		if err = w.partition.Commit(ctx, prepared[i]); err == nil {
			w.committed(rt, steps[i])
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, readmodel.ErrFenced):
		w.mayBeFenced(rt)
	default:
		w.partition = nil // to be claimed again, as after every fault
	}
}

func (w *writer) committed(rt *rapid.T, at readmodel.Checkpoint) {
	if holder := w.machine.holder; holder != nil && holder != w {
		rt.Fatalf("a commit of epoch %d landed after a later claim", w.held)
	}
	w.at, w.machine.holder = at, w
}

// steps draws where the next few transactions lead.
func (w *writer) steps(rt *rapid.T) (steps []readmodel.Checkpoint) {
	from := w.at
	for range rapid.IntRange(1, 3).Draw(rt, "transactions") {
		from = step(rt, from)
		steps = append(steps, from)
	}
	return steps
}

// step moves some lanes on, or gathers all of them.
func step(rt *rapid.T, from readmodel.Checkpoint) readmodel.Checkpoint {
	var tip uint64
	for lane := range readmodel.Lanes {
		tip = max(tip, laneAt(from, lane))
	}
	tip += uint64(rapid.IntRange(0, 9).Draw(rt, "events"))
	if rapid.Bool().Draw(rt, "all") {
		gathered := at(from, tip)
		gathered.Lanes = nil
		return gathered
	}
	moved := rapid.Uint64().Draw(rt, "lanes")
	lanes, least := new([readmodel.Lanes]readmodel.Mark), tip
	for lane := range lanes {
		ms := laneAt(from, lane)
		if moved>>lane&1 == 1 {
			ms = tip
		}
		lanes[lane], least = at(from, ms).Mark, min(least, ms)
	}
	to := at(from, least)
	to.Lanes = lanes
	return to
}

// laneAt is how far a lane is.
func laneAt(cp readmodel.Checkpoint, lane int) uint64 {
	if cp.Lanes == nil {
		return cp.Position.Ms
	}
	return cp.Lanes[lane].Position.Ms
}

func (w *writer) fold(ctx context.Context, steps []readmodel.Checkpoint) (prepared []readmodel.Transaction, err error) {
	changed := make([]readmodel.Entity, machineKeys)
	keys, states := make([]string, machineKeys), make([]*projector.State, machineKeys)
	for i := range changed {
		keys[i], states[i] = fmt.Sprint(i), projector.NewState(w.machine.schema)
		changed[i] = readmodel.Entity{Key: keys[i], State: states[i]}
	}
	if err := w.partition.Load(ctx, keys, states); err != nil {
		return nil, err
	}
	from := w.at
	for _, to := range steps {
		for k := range uint64(machineKeys) {
			lane := readmodel.LaneOf(keys[k])
			for i := laneAt(from, lane) + 1; i <= laneAt(to, lane); i++ {
				if i%machineKeys == k {
					foldOne(states[k], i)
				}
			}
		}
		prepared = append(prepared, prepare(w.partition, to, changed...))
		from = to
	}
	return prepared, nil
}

func foldOne(s *projector.State, i uint64) {
	if i%11 == 0 {
		s.Delete()
		return
	}
	slot := slotOf(projector.Integer)
	s.SetAt(slot, projector.IntegerValue(s.At(slot).Int()+int64(i)))
}

// check is the judge: a plain fold of each entity up to its lane's position.
func (m *machine) check(rt *rapid.T) {
	p, ok := m.look()
	if !ok {
		return
	}
	for lane := range readmodel.Lanes {
		if is, was := laneAt(p, lane), laneAt(m.last, lane); is < was {
			rt.Fatalf("lane %d went back from %d to %d", lane, was, is)
		}
	}
	m.last = p
	if uint64(p.Events) != p.Position.Ms {
		rt.Fatalf("%d events at position %d", p.Events, p.Position.Ms)
	}
	want, got := map[string]map[string]string{}, map[string]map[string]string{}
	for k := range uint64(machineKeys) {
		key := fmt.Sprint(k)
		if fields := foldPlain(k, laneAt(p, readmodel.LaneOf(key))); fields != nil {
			want[key] = fields
		}
		if fields := m.server.Lookup(m.t, key); fields != nil {
			got[key] = fields
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		rt.Fatalf("at position %+v:\n%s", p, diff)
	}
}

func foldPlain(k, to uint64) map[string]string {
	sum, there := uint64(0), false
	for i := uint64(1); i <= to; i++ {
		switch {
		case i%machineKeys != k:
		case i%11 == 0:
			sum, there = 0, false
		default:
			sum, there = sum+i, true
		}
	}
	if !there {
		return nil
	}
	return map[string]string{"i": fmt.Sprint(sum)}
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
