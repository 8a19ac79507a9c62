package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Many producers, each of which sends a few events at once and waits for them.
const (
	floodProducers = 16
	floodPipeline  = 8
)

// flood adds events by many producers for a while and returns the rate at which
// the server took them. perSecond bounds it; 0 is no bound.
func (s *server) flood(ctx context.Context, w workload, perSecond, seconds float64) (took float64, err error) {
	requests := floodRequests(w)
	pace := pacer{begun: time.Now(), perSecond: perSecond, seconds: seconds}
	var added atomic.Int64
	var producing sync.WaitGroup
	errs := make([]error, floodProducers)
	for i := range floodProducers {
		producing.Go(func() {
			errs[i] = s.produce(ctx, requests[i*len(requests)/floodProducers:], &pace, &added)
		})
	}
	producing.Wait()
	return float64(added.Load()) / time.Since(pace.begun).Seconds(), errors.Join(errs...)
}

// floodRequests are pipelines, made beforehand so that producers cost little.
func floodRequests(w workload) [][]byte {
	var requests [][]byte
	var request []byte
	for i, e := range w.all() {
		request = e.appendAdd(request, "*")
		if (i+1)%floodPipeline == 0 {
			requests, request = append(requests, request), nil
		}
	}
	return requests
}

// produce sends the requests in turn, as long as the pace allows.
func (s *server) produce(ctx context.Context, requests [][]byte, pace *pacer, added *atomic.Int64) error {
	cn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return err
	}
	defer func() { _ = cn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = cn.Close() })()
	replies := bufio.NewReader(cn)
	for i := 0; pace.wait(floodPipeline); i++ {
		if _, err := cn.Write(requests[i%len(requests)]); err != nil {
			return err
		}
		for range floodPipeline {
			if err := readID(replies); err != nil {
				return err
			}
		}
		added.Add(floodPipeline)
	}
	return nil
}

// readID reads the reply to an XADD: two lines, a length and an ID.
func readID(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if line[0] != '$' {
		return fmt.Errorf("XADD: %s", line)
	}
	_, err = r.ReadSlice('\n')
	return err
}

// pacer gives out the events of a flood, evenly over its time.
type pacer struct {
	begun              time.Time
	perSecond, seconds float64 // perSecond 0: as they come
	given              atomic.Int64
}

// wait returns when n events more are due, or false when the time is over.
func (p *pacer) wait(n int64) bool {
	end := p.begun.Add(time.Duration(p.seconds * float64(time.Second)))
	if p.perSecond > 0 {
		ordinal := p.given.Add(n) - n
		due := p.begun.Add(time.Duration(float64(ordinal) / p.perSecond * float64(time.Second)))
		if due.After(end) {
			return false
		}
		time.Sleep(time.Until(due))
	}
	return time.Now().Before(end)
}
