package main

import (
	"context"
	"time"
)

// scene is a server that holds a workload's stream, a projector to fold it, and
// what the rounds have given so far, a value each.
type scene struct {
	*bench
	server    *server
	workload  workload
	model     *model
	projector program

	drainSeconds, drainCPUSeconds []float64
	replays                       []replayed
}

// replayed is what one replay took.
type replayed struct {
	seconds             float64 // from the start of the process
	serverCPUSeconds    float64
	projectorCPUSeconds float64
	memory              memory
}

// newScene builds a projector and fills a server. The caller closes the scene.
func (b *bench) newScene(ctx context.Context, pkg string, w workload) (*scene, error) {
	binary, err := b.build(ctx, pkg)
	if err != nil {
		return nil, err
	}
	s, err := b.startServer(ctx)
	if err != nil {
		return nil, err
	}
	b.say("   filling a stream with %d events of %d entities", w.events, w.entities)
	if err := s.fill(ctx, w); err != nil {
		s.stop()
		return nil, err
	}
	return &scene{
		bench: b, server: s, workload: w, model: sampled(w),
		projector: program{binary: binary, reducer: rulesReducer, memoryLimitMiB: defaultLimitMiB},
	}, nil
}

func (sc *scene) close() { sc.server.stop() }

// takeTurns runs the steps one after the other, round by round.
func (sc *scene) takeTurns(ctx context.Context, steps ...func(context.Context) error) error {
	for round := range sc.rounds {
		begun := time.Now()
		for _, step := range steps {
			if err := step(ctx); err != nil {
				return err
			}
		}
		sc.say("   round %d of %d took %.1f s", round+1, sc.rounds, time.Since(begun).Seconds())
	}
	return nil
}

// drain measures one drain.
func (sc *scene) drain(ctx context.Context) error {
	var seconds float64
	cpuSeconds, err := sc.server.cpuOf(ctx, func() (err error) {
		seconds, err = sc.server.drain(ctx, sc.workload)
		return err
	})
	if err != nil {
		return err
	}
	sc.drainSeconds = append(sc.drainSeconds, seconds)
	sc.drainCPUSeconds = append(sc.drainCPUSeconds, cpuSeconds)
	return nil
}

// replay measures one replay.
func (sc *scene) replay(ctx context.Context) error {
	r, err := sc.replayBy(ctx, sc.projector)
	sc.replays = append(sc.replays, r)
	return err
}

// replayBy folds the whole stream with a program until the ledger says the last
// ID, checks what was built and takes it away.
func (sc *scene) replayBy(ctx context.Context, p program) (replayed, error) {
	var r replayed
	var running *projector
	var err error
	r.serverCPUSeconds, err = sc.server.cpuOf(ctx, func() (err error) {
		running, err = sc.startProjector(p, document(sc.server.addr, p.reducer))
		if err != nil {
			return err
		}
		stopWatch := watchMemory(running.cmd.Process.Pid)
		err = running.await(ctx, sc.server, sc.workload.lastID())
		r.seconds = time.Since(running.begun).Seconds()
		r.memory = stopWatch()
		return err
	})
	if running != nil {
		running.stop()
		r.projectorCPUSeconds = running.cpuSeconds()
	}
	if err != nil {
		return r, err
	}
	return r, sc.judge(ctx, running)
}

// judge fails where the read model is wrong; it leaves none.
func (sc *scene) judge(ctx context.Context, done *projector) error {
	if err := sc.model.check(ctx, sc.server, keyPrefix); err != nil {
		return err
	}
	if err := done.drop(ctx); err != nil {
		return err
	}
	return sc.server.settle(ctx)
}

// ofReplays picks one value of each replay.
func (sc *scene) ofReplays(value func(replayed) float64) []float64 {
	var values []float64
	for _, r := range sc.replays {
		values = append(values, value(r))
	}
	return values
}

func (sc *scene) replaySeconds() []float64 {
	return sc.ofReplays(func(r replayed) float64 { return r.seconds })
}

// vsDrain is how fast the replays were beside the drains.
func (sc *scene) vsDrain(name string) result {
	rates := millionsPerSecond(sc.workload.events, sc.drainSeconds)
	return row(name, ratioUnit, perRound(sc.drainSeconds, sc.replaySeconds())).
		against("raw XRANGE drain", median(rates), rateUnit).aim(atLeast, 0.8)
}

// replayRate is how fast they were.
func (sc *scene) replayRate(name string) result {
	return row(name, rateUnit, millionsPerSecond(sc.workload.events, sc.replaySeconds()))
}
