package main

import "context"

// rulesGroup is the same fold as rules in a manifest and as a reducer in Go.
func (b *bench) rulesGroup(ctx context.Context) ([]result, error) {
	sc, err := b.newScene(ctx, theProjector, workload{b.events, b.entities, uniform})
	if err != nil {
		return nil, err
	}
	defer sc.close()
	binary, err := b.build(ctx, projectorInGo)
	if err != nil {
		return nil, err
	}
	inGo := program{binary: binary, reducer: goReducer, memoryLimitMiB: defaultLimitMiB}
	var goSeconds []float64
	replayInGo := func(ctx context.Context) error {
		r, err := sc.replayBy(ctx, inGo)
		goSeconds = append(goSeconds, r.seconds)
		return err
	}
	if err := sc.takeTurns(ctx, replayInGo, sc.replay); err != nil {
		return nil, err
	}
	return []result{
		row("replay.rules_vs_go", ratioUnit, perRound(goSeconds, sc.replaySeconds())).
			against("the fold written in Go", median(millionsPerSecond(b.events, goSeconds)), rateUnit).aim(atLeast, 0.9),
	}, nil
}
