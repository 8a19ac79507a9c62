package main

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// Lag is bounded when, over the window at a steady rate, its mean in the last
// third is no more than growthSeconds' worth of events above its mean in the
// middle third, and it is nowhere in these two more than lagSeconds' worth. The
// former finds a projector that is a few percent too slow, the latter one that
// keeps up only in jumps.
const (
	growthSeconds = 0.05
	lagSeconds    = 0.5
)

// rateSteps is how often the range of rates is halved.
const rateSteps = 5

// rateGroup is the highest rate of XADD by many producers at which the lag stays
// bounded. The baseline is the rate that the server takes of the same producers
// when nobody reads.
func (b *bench) rateGroup(ctx context.Context) ([]result, error) {
	s, err := b.startServer(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	binary, err := b.build(ctx, theProjector)
	if err != nil {
		return nil, err
	}
	t := &trials{
		bench: b, server: s, workload: workload{b.events, b.entities, uniform},
		program: program{binary: binary, reducer: rulesReducer, memoryLimitMiB: defaultLimitMiB},
	}
	before, err := t.unread(ctx)
	if err != nil {
		return nil, err
	}
	highest, err := t.search(ctx, before)
	if err != nil {
		return nil, err
	}
	after, err := t.unread(ctx)
	if err != nil {
		return nil, err
	}
	unread := max(before, after)
	return []result{
		row("live.max_rate.mevents_per_s", rateUnit, []float64{highest / 1e6}),
		row("live.max_rate.vs_drain", ratioUnit, []float64{highest / unread}).
			against("XADD with nobody reading", unread/1e6, rateUnit).aim(atLeast, 0.6),
	}, nil
}

// trials try rates, each on an empty server.
type trials struct {
	*bench
	server   *server
	workload workload
	program  program
}

// unread is the rate at which the server takes events that nobody reads.
func (t *trials) unread(ctx context.Context) (perSecond float64, err error) {
	if err := t.server.client.FlushAll(ctx).Err(); err != nil {
		return 0, err
	}
	perSecond, err = t.server.flood(ctx, t.workload, 0, t.rateSeconds)
	t.say("   nobody reads: %.0f events/s", perSecond)
	return perSecond, err
}

// search halves the range of rates, then tries the best once more and goes down
// until one holds twice. It returns the rate that was really taken; 0 for none.
func (t *trials) search(ctx context.Context, unread float64) (perSecond float64, err error) {
	low, high := 0.0, unread
	for range rateSteps {
		middle := (low + high) / 2
		_, bounded, err := t.try(ctx, middle)
		if err != nil {
			return 0, err
		}
		if bounded {
			low = middle
		} else {
			high = middle
		}
	}
	step := unread / (1 << rateSteps)
	for ; low > step/2; low -= step {
		taken, bounded, err := t.try(ctx, low)
		if bounded || err != nil {
			return taken, err
		}
	}
	return 0, nil
}

// try floods at a rate while a projector folds. It returns the rate that was
// taken, and whether the lag stayed bounded.
func (t *trials) try(ctx context.Context, perSecond float64) (taken float64, bounded bool, err error) {
	p, err := t.begin(ctx)
	if err != nil {
		return 0, false, err
	}
	defer p.stop()
	lags := make(chan []float64, 1)
	flooding, over := context.WithCancel(ctx)
	go func() { lags <- t.watchLag(flooding) }()
	taken, err = t.server.flood(ctx, t.workload, perSecond, t.rateSeconds)
	over()
	seen := <-lags
	if err != nil {
		return 0, false, err
	}
	bounded = isBounded(seen, taken)
	t.say("   %.0f events/s: lag %.0f events on average, bounded: %t", taken, mean(seen), bounded)
	return taken, bounded, t.end(ctx, p)
}

// begin empties the server and starts a projector, which has folded the only
// event when it returns.
func (t *trials) begin(ctx context.Context) (*projector, error) {
	client := t.server.client
	if err := client.FlushAll(ctx).Err(); err != nil {
		return nil, err
	}
	id, err := client.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: event{}.words()}).Result()
	if err != nil {
		return nil, err
	}
	p, err := t.startProjector(t.program, document(t.server.addr, t.program.reducer))
	if err != nil {
		return nil, err
	}
	if err := p.await(ctx, t.server, id); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// end waits until all is folded: a projector that has lost its way is an error,
// however small its lag was.
func (t *trials) end(ctx context.Context, p *projector) error {
	info, err := t.server.client.XInfoStream(ctx, stream).Result()
	if err != nil {
		return err
	}
	return p.await(ctx, t.server, info.LastGeneratedID)
}

// watchLag samples the lag in events until ctx ends.
func (t *trials) watchLag(ctx context.Context) []float64 {
	const pause = 50 * time.Millisecond
	var lags []float64
	for {
		select {
		case <-ctx.Done():
			return lags
		case <-time.After(pause):
			if lag, err := t.lag(ctx); err == nil {
				lags = append(lags, lag)
			}
		}
	}
}

// lag is how many events of the stream, which nobody trims, are not in the model.
func (t *trials) lag(ctx context.Context) (events float64, err error) {
	folded, err := t.server.client.HGet(ctx, ledgerOf(revision), "entries").Int64()
	if err != nil {
		return 0, err
	}
	length, err := t.server.client.XLen(ctx, stream).Result()
	return float64(max(0, length-folded)), err
}

// isBounded judges the lags of a window, sampled evenly. Without a sample in
// each third nothing is known, and so nothing bounded.
func isBounded(lags []float64, perSecond float64) bool {
	third := len(lags) / 3
	if third == 0 {
		return false
	}
	middle, last := lags[third:2*third], lags[2*third:]
	return mean(last)-mean(middle) <= growthSeconds*perSecond &&
		slices.Max(lags[third:]) <= lagSeconds*perSecond
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
