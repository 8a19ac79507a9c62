package main

import (
	"context"
	"time"
)

// replayGroup is a replay of many events into fewer hashes, beside a drain and
// beside the tutorial's program.
func (b *bench) replayGroup(ctx context.Context) ([]result, error) {
	sc, err := b.newScene(ctx, theProjector, workload{b.events, b.entities, uniform})
	if err != nil {
		return nil, err
	}
	defer sc.close()
	var naiveSeconds []float64
	naive := func(ctx context.Context) error {
		seconds, err := sc.naive(ctx)
		naiveSeconds = append(naiveSeconds, seconds)
		return err
	}
	if err := sc.takeTurns(ctx, sc.drain, naive, sc.replay); err != nil {
		return nil, err
	}
	naiveRates := millionsPerSecond(b.events, naiveSeconds)
	results := []result{
		sc.replayRate("replay.redisHash.mevents_per_s"),
		sc.vsDrain("replay.redisHash.vs_drain"),
		row("replay.redisHash.vs_naive", ratioUnit, perRound(naiveSeconds, sc.replaySeconds())).
			against("XREAD, map, HSET by go-redis", median(naiveRates), rateUnit),
	}
	return append(results, sc.costs()...), nil
}

// costs are what explains the rates.
func (sc *scene) costs() []result {
	events := sc.workload.events
	serverCPU := sc.ofReplays(func(r replayed) float64 { return r.serverCPUSeconds })
	projectorCPU := sc.ofReplays(func(r replayed) float64 { return r.projectorCPUSeconds })
	return []result{
		row("server.cpu_per_event", ratioUnit, perRound(serverCPU, sc.drainCPUSeconds)).
			against("raw XRANGE drain", median(microsPerEvent(events, sc.drainCPUSeconds)), cpuUnit).aim(atMost, 1.5),
		row("replay.redisHash.server_cpu_us_per_event", cpuUnit, microsPerEvent(events, serverCPU)),
		row("replay.redisHash.projector_cpu_us_per_event", cpuUnit, microsPerEvent(events, projectorCPU)),
		row("replay.redisHash.peak_rss_mib", mibUnit, sc.ofReplays(func(r replayed) float64 { return r.memory.peakMiB })),
	}
}

// naive measures the tutorial's program, and judges it as the projector is judged.
func (sc *scene) naive(ctx context.Context) (seconds float64, err error) {
	begun := time.Now()
	if err := sc.server.naive(ctx); err != nil {
		return 0, err
	}
	seconds = time.Since(begun).Seconds()
	if err := sc.model.check(ctx, sc.server, naivePrefix); err != nil {
		return 0, err
	}
	if err := sc.server.remove(ctx, naivePrefix); err != nil {
		return 0, err
	}
	return seconds, sc.server.settle(ctx)
}

// zipfGroup is the same replay where few entities have most of the events.
func (b *bench) zipfGroup(ctx context.Context) ([]result, error) {
	sc, err := b.newScene(ctx, theProjector, workload{b.events, b.entities, zipf})
	if err != nil {
		return nil, err
	}
	defer sc.close()
	if err := sc.takeTurns(ctx, sc.drain, sc.replay); err != nil {
		return nil, err
	}
	return []result{sc.replayRate("replay.zipf.mevents_per_s"), sc.vsDrain("replay.zipf.vs_drain")}, nil
}
