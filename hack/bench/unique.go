package main

import "context"

// uniqueGroup is a replay in which no two events are of one entity, so that
// there is nothing to coalesce and each event is a hash to write.
func (b *bench) uniqueGroup(ctx context.Context) ([]result, error) {
	sc, err := b.newScene(ctx, theProjector, workload{b.events, b.events, once})
	if err != nil {
		return nil, err
	}
	defer sc.close()
	batches := writes(newModel(sc.workload, 1))
	var copySeconds []float64 // drain and write
	write := func(ctx context.Context) error {
		seconds, err := sc.write(ctx, batches)
		copySeconds = append(copySeconds, sc.drainSeconds[len(copySeconds)]+seconds)
		return err
	}
	if err := sc.takeTurns(ctx, sc.drain, write, sc.replay); err != nil {
		return nil, err
	}
	return []result{
		sc.replayRate("replay.unique.mevents_per_s"),
		row("replay.unique.vs_write", ratioUnit, perRound(copySeconds, sc.replaySeconds())).
			against("drain, then pipelined HSET", median(millionsPerSecond(b.events, copySeconds)), rateUnit).aim(atLeast, 0.8),
	}, nil
}

// write measures the writing of the final hashes, and takes them away again.
func (sc *scene) write(ctx context.Context, batches [][]byte) (seconds float64, err error) {
	seconds, err = sc.server.write(ctx, batches)
	if err != nil {
		return 0, err
	}
	if err := sc.model.check(ctx, sc.server, keyPrefix); err != nil {
		return 0, err
	}
	if err := sc.server.remove(ctx, keyPrefix); err != nil {
		return 0, err
	}
	return seconds, sc.server.settle(ctx)
}
