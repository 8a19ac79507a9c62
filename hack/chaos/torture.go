package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/refold-dev/refold/hack/chaos/history"
	"github.com/refold-dev/refold/projector/contract"
)

// Streams of random numbers of one history, and how often something large is
// in one.
const (
	ofEvents, ofFaults = 1, 2

	largeEvery = 10
	wideEvery  = 3
	fewestWide = 5000
)

// run is one torture.
type run struct {
	options
	binaries   binaries
	failpoints []string
	tally      *tally
	told       time.Time
}

// torture goes through histories until there were enough kills.
func torture(ctx context.Context, o options) error {
	scratch, err := os.MkdirTemp("", "refold-chaos-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	r := &run{options: o, tally: newTally(o.seed), told: time.Now()}
	if r.failpoints, err = failpointsOf(o.source); err != nil {
		return err
	}
	if r.binaries, err = build(ctx, o.source, scratch); err != nil {
		return err
	}
	fmt.Fprintf(o.out, "seed %d: %d kills to go\n", o.seed, o.kills)
	for n := o.first; r.tally.kills() < o.kills; n++ {
		if err := r.history(ctx, n); err != nil {
			fmt.Fprintln(o.out, r.tally)
			return err
		}
	}
	fmt.Fprintln(o.out, r.tally)
	return nil
}

// history is one log from its first entry on, with everything new.
func (r *run) history(ctx context.Context, n int) error {
	dir := filepath.Join(r.dir, strconv.FormatUint(r.seed, 10), fmt.Sprintf("history-%d", n))
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(r.seed, uint64(n)<<8|ofFaults))
	shape := shapeOf(random)
	model := history.New(rand.New(rand.NewPCG(r.seed, uint64(n)<<8|ofEvents)), shape)
	w, err := newWorld(ctx, dir, r.binaries, model, r.tally)
	defer w.close()
	if err == nil {
		err = r.allRounds(ctx, w, n, random, shape.Cold >= fewestWide)
	}
	if err != nil {
		return r.failed(ctx, w, n, err)
	}
	w.close()
	return os.RemoveAll(filepath.Dir(dir))
}

// shapeOf draws one of a few: small entities by the thousand, or so large ones
// that a small cache never holds them all; short-lived projectors would else
// never let go of one. A wide one has so many entities that they are committed
// lane by lane.
func shapeOf(random *rand.Rand) history.Shape {
	s := history.Shape{Pairs: random.IntN(3) == 0, Cold: []int{50, 500, 3000}[random.IntN(3)], Bulky: random.IntN(2) == 0}
	if s.Bulky {
		s.Cold = 500
	}
	if random.IntN(wideEvery) == 0 {
		s.Bulky, s.Cold = false, fewestWide+random.IntN(15_000)
	}
	return s
}

// failed keeps the files, but not when somebody has interrupted.
func (r *run) failed(ctx context.Context, w *world, n int, err error) error {
	if ctx.Err() != nil {
		_ = os.RemoveAll(w.dir)
		return ctx.Err()
	}
	err = fmt.Errorf("seed %d, history %d, %w", r.seed, n, err)
	w.leave(ctx, err)
	return fmt.Errorf("%w\nwhat is left is in %s\nagain: make chaos SEED=%d HISTORY=%d", err, w.dir, r.seed, n)
}

func (r *run) allRounds(ctx context.Context, w *world, n int, random *rand.Rand, isWide bool) error {
	isLarge := r.large && n%largeEvery == 1
	p := &planner{random: random, failpoints: r.failpoints, turn: n, wide: isWide, large: isLarge}
	first := p.setting()
	if isWide { // it has seen all entities, and lets go of many
		first.cacheMiB = 1
	}
	if err := w.replace(first); err != nil {
		return err
	}
	if isWide {
		if err := r.round(ctx, w, round{bursts: []int{1}, first: 10_000 + random.IntN(30_000)}); err != nil {
			return fmt.Errorf("before round 1: %w", err)
		}
	}
	for i := range r.rounds {
		plan := p.round(isLarge && i == r.rounds-1)
		began := time.Now()
		if err := r.round(ctx, w, plan); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
		r.tell(n, i+1, plan, time.Since(began))
		if r.tally.kills() >= r.kills {
			return nil
		}
	}
	if err := w.poison(ctx, p.setting(), 1+random.IntN(5_000)); err != nil {
		return fmt.Errorf("at the event that can't be folded: %w", err)
	}
	return nil
}

// round is a burst of events with faults in it, and then none: the projector
// must get to the tail by itself.
func (r *run) round(ctx context.Context, w *world, plan round) error {
	look := startWatch(ctx, w.client, w.model)
	defer func() { _ = look.stop() }()
	events := startProducer(ctx, w, plan)
	w.floods = events.floods
	err := w.doAll(ctx, plan)
	if stopped := events.stop(); err == nil {
		err = stopped
	}
	if err == nil {
		err = w.settle(ctx)
	}
	if broken := look.stop(); broken != nil {
		return broken
	}
	r.tally.looks += look.looks
	r.tally.apart.looks += look.apart
	if err == nil {
		r.tally.rounds++
	}
	return err
}

func (w *world) doAll(ctx context.Context, plan round) error {
	for _, s := range plan.steps {
		if err := w.do(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// settle waits for the tail and judges there.
func (w *world) settle(ctx context.Context) error {
	tail := w.model.Last()
	if err := w.current.await(ctx, "live at the tail "+tail.String(), func(s contract.Partition) bool {
		return s.Position == tail.String() && s.State == contract.StateLive && s.Problem == nil
	}); err != nil {
		return fmt.Errorf("I7: %w", err)
	}
	if err := errors.Join(w.judgeTail(ctx), w.judgeWords()); err != nil {
		return err
	}
	w.model.Settle(tail)
	_, events, _ := w.model.Count(tail)
	w.tally.events += events - w.settled
	w.settled = events
	return nil
}

// poison ends a history with some events and one that can't be folded: the
// projector halts before it, and so does the next.
func (w *world) poison(ctx context.Context, s setting, before int) error {
	entries, bad := w.model.Next(before), w.model.Poison()
	producer := &producer{client: w.client, model: w.model}
	if err := producer.append(ctx, append(entries, bad)); err != nil {
		return err
	}
	for range 2 {
		if err := w.current.await(ctx, "halted before "+bad.ID.String(), func(s contract.Partition) bool {
			return s.State == contract.StateHalted && s.Problem != nil && s.Problem.EventID == bad.ID.String()
		}); err != nil {
			return fmt.Errorf("I5: %w", err)
		}
		if err := w.judgeTail(ctx); err != nil {
			return err
		}
		if err := w.current.kill(); err != nil {
			return err
		}
		if err := w.replace(s); err != nil {
			return err
		}
	}
	return nil
}

// tell shows each round, or now and then how far it is.
func (r *run) tell(n, i int, plan round, took time.Duration) {
	const every = 10 * time.Second
	if r.verbose {
		var faults []fault
		for _, s := range plan.steps {
			faults = append(faults, s.fault)
		}
		fmt.Fprintf(r.out, "history %d, round %d: %v in %s\n", n, i, faults, took.Round(time.Millisecond))
	}
	if time.Since(r.told) > every {
		r.told = time.Now()
		fmt.Fprintf(r.out, "%d rounds, %d of %d kills: %d lost, %d doubled\n", r.tally.rounds, r.tally.kills(), r.kills, r.tally.lost, r.tally.doubled)
	}
}
