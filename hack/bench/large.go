package main

import "context"

// largeLimitMiB is the memory limit of the container in the group large.
const largeLimitMiB = 256

// largeGroup is one replay of a long stream in little memory. It has no
// baseline to take turns with, and one run tells whether memory grows.
func (b *bench) largeGroup(ctx context.Context) ([]result, error) {
	sc, err := b.newScene(ctx, theProjector, workload{b.largeEvents, b.largeEntities, uniform})
	if err != nil {
		return nil, err
	}
	defer sc.close()
	sc.projector.memoryLimitMiB = largeLimitMiB
	if err := sc.replay(ctx); err != nil {
		return nil, err
	}
	m := sc.replays[0].memory
	return []result{
		sc.replayRate("replay.large.mevents_per_s"),
		row("replay.large.peak_rss_mib", mibUnit, []float64{m.peakMiB}).aim(atMost, largeLimitMiB),
		row("replay.large.rss_flatness", ratioUnit, []float64{m.flatness()}).
			against("second third of the run", m.middleMiB(), mibUnit).aim(atMost, 1.1),
	}, nil
}
