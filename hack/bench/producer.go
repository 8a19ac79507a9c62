package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"
)

// The load of the group live.
const (
	livePerSecond = 5_000
	liveEntities  = 10_000
	// probeEvery is one event in so many that is timed: a hundred a second, so
	// that asking for them is little beside the load.
	probeEvery = 50
	// probers ask at once, so that one slow event does not make the next look slow.
	probers = 8
)

// seqField is the field, of events and hashes, that holds an event's number.
const seqField = "seq"

// producer adds events at a steady rate on one connection.
type producer struct {
	server  *server
	seconds float64 // of one load
	random  *rand.Rand
	seq     int   // of the event added last; they count from 1
	last    []int // the same for each entity
}

// probe is an event that is to be timed.
type probe struct {
	entity, seq int
	before      time.Time // it was sent
}

// newProducer adds the first event of each entity.
func newProducer(ctx context.Context, s *server, seconds float64) (*producer, error) {
	p := &producer{server: s, seconds: seconds, random: rand.New(rand.NewPCG(1, 2)), last: make([]int, liveEntities)}
	_, err := pump(ctx, s.addr, func(yield func([]byte) bool) {
		var batch []byte
		for entity := range liveEntities {
			batch = p.appendEvent(batch, entity)
		}
		yield(batch)
	})
	return p, err
}

// fill adds events as fast as the server takes them.
func (p *producer) fill(ctx context.Context, events int) error {
	const perBatch = 500
	_, err := pump(ctx, p.server.addr, func(yield func([]byte) bool) {
		for left := events; left > 0; left -= perBatch {
			var batch []byte
			for range min(left, perBatch) {
				batch = p.appendEvent(batch, p.random.IntN(liveEntities))
			}
			if !yield(batch) {
				return
			}
		}
	})
	return err
}

// appendEvent appends the command that adds the next event.
func (p *producer) appendEvent(b []byte, entity int) []byte {
	p.seq++
	p.last[entity] = p.seq
	e := event{kind: emailUpdated, entity: entity, number: p.random.IntN(100_000)}
	return e.appendAdd(b, "*", seqField, strconv.Itoa(p.seq))
}

// timed runs the load and, beside it, f for every probe. It returns how long f
// took, or the first of its errors.
func (p *producer) timed(ctx context.Context, f func(probe) (time.Duration, error)) (ms []float64, err error) {
	const usPerMs = 1000
	probes := make(chan probe, p.total()/probeEvery+1) // the load never waits
	var lock sync.Mutex
	var failed error
	var asking sync.WaitGroup
	for range probers {
		asking.Go(func() {
			for sent := range probes {
				took, err := f(sent)
				lock.Lock()
				ms, failed = append(ms, float64(took.Microseconds())/usPerMs), cmp.Or(failed, err)
				lock.Unlock()
			}
		})
	}
	err = p.load(ctx, probes)
	close(probes)
	asking.Wait()
	return ms, errors.Join(err, failed)
}

// total is how many events one load has.
func (p *producer) total() int { return int(p.seconds * livePerSecond) }

// load adds events, each millisecond those that are due by then, and names the
// probes among them. All are in the stream when it returns.
func (p *producer) load(ctx context.Context, probes chan<- probe) error {
	const tick = time.Millisecond
	cn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.server.addr)
	if err != nil {
		return err
	}
	defer func() { _ = cn.Close() }()
	dropped := make(chan struct{})
	go func() {
		defer close(dropped)
		_, _ = io.Copy(io.Discard, cn)
	}()
	begun := time.Now()
	for sent := 0; sent < p.total() && ctx.Err() == nil; time.Sleep(tick) {
		due := min(p.total(), int(time.Since(begun).Seconds()*livePerSecond))
		if err := p.send(cn, sent, due, probes); err != nil {
			return err
		}
		sent = due
	}
	if err := cn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	<-dropped // the server hangs up when it has done all
	return ctx.Err()
}

// send adds the events from one ordinal of the load to another, in one write.
func (p *producer) send(cn net.Conn, from, to int, probes chan<- probe) error {
	var batch []byte
	var timed []probe
	for ordinal := from; ordinal < to; ordinal++ {
		entity := p.random.IntN(liveEntities)
		batch = p.appendEvent(batch, entity)
		if ordinal%probeEvery == 0 {
			timed = append(timed, probe{entity: entity, seq: p.seq})
		}
	}
	before := time.Now()
	if _, err := cn.Write(batch); err != nil {
		return err
	}
	for _, sent := range timed {
		sent.before = before
		probes <- sent
	}
	return nil
}
