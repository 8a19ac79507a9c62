package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// liveGroup is how long an event takes from the moment before its XADD is sent
// until it can be read in the hash. The baseline is what an application would
// wait that wrote both by itself: XADD and HSET in one round trip, under the
// same load of the same server.
func (b *bench) liveGroup(ctx context.Context) ([]result, error) {
	s, err := b.startServer(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	load, err := newProducer(ctx, s, b.liveSeconds)
	if err != nil {
		return nil, err
	}
	trips, err := load.roundTrips(ctx)
	if err != nil {
		return nil, err
	}
	binary, err := b.build(ctx, theProjector)
	if err != nil {
		return nil, err
	}
	p, err := b.startProjector(program{binary: binary, reducer: rulesReducer, memoryLimitMiB: defaultLimitMiB}, liveDocument(s.addr))
	if err != nil {
		return nil, err
	}
	defer p.stop()
	seen, err := load.visibility(ctx, p)
	if err != nil {
		return nil, err
	}
	const name = "XADD+HSET round trip, same load"
	return []result{
		row("live.baseline_p50_ms", "ms", []float64{percentile(trips, 50)}),
		row("live.baseline_p99_ms", "ms", []float64{percentile(trips, 99)}),
		row("live.p50_ms", "ms", []float64{percentile(seen, 50)}).against(name, percentile(trips, 50), "ms").aim(atMost, 0.5),
		row("live.p99_ms", "ms", []float64{percentile(seen, 99)}).against(name, percentile(trips, 99), "ms").aim(atMost, 2),
		row("live.samples", "events", []float64{float64(len(seen))}),
	}, nil
}

// roundTrips times the baseline while the load runs and nobody folds.
func (p *producer) roundTrips(ctx context.Context) (ms []float64, err error) {
	return p.timed(ctx, func(probe) (time.Duration, error) {
		before := time.Now()
		_, err := p.server.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: "baseline_events", Values: event{kind: emailUpdated}.words()})
			pipe.HSet(ctx, "baseline:0", "email", "user0@mail.example.com")
			return nil
		})
		return time.Since(before), err
	})
}

// visibility times events on their way through the projector, then judges.
func (p *producer) visibility(ctx context.Context, folding *projector) (ms []float64, err error) {
	if err := p.caughtUp(ctx, folding); err != nil {
		return nil, err
	}
	if ms, err = p.timed(ctx, p.awaitSeen); err != nil {
		return nil, fmt.Errorf("%w: %s", err, folding.lastWords())
	}
	if err := p.caughtUp(ctx, folding); err != nil {
		return nil, err
	}
	return ms, p.check(ctx)
}

// awaitSeen asks for the hash until the event is in it.
func (p *producer) awaitSeen(sent probe) (time.Duration, error) {
	const patience = 10 * time.Second
	key := keyPrefix + strconv.Itoa(sent.entity)
	for {
		seq, err := p.server.client.HGet(context.Background(), key, seqField).Int()
		took := time.Since(sent.before)
		switch {
		case err != nil || seq >= sent.seq:
			return took, err
		case took > patience:
			return 0, fmt.Errorf("event %d is not in the hash after %s", sent.seq, patience)
		}
	}
}

// caughtUp waits until all that was added is folded.
func (p *producer) caughtUp(ctx context.Context, folding *projector) error {
	info, err := p.server.client.XInfoStream(ctx, stream).Result()
	if err != nil {
		return err
	}
	return folding.await(ctx, p.server, info.LastGeneratedID)
}

// check compares the last events of some entities with their hashes.
func (p *producer) check(ctx context.Context) error {
	for entity := 0; entity < liveEntities; entity += liveEntities / samples {
		seq, err := p.server.client.HGet(ctx, keyPrefix+strconv.Itoa(entity), seqField).Int()
		if err != nil {
			return err
		}
		if seq != p.last[entity] {
			return fmt.Errorf("the read model is wrong: entity %d is at event %d, not %d", entity, seq, p.last[entity])
		}
	}
	return nil
}
