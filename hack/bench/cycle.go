package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/contract"
)

// candidate is the revision that a cycle publishes. It folds as the first one
// does, so that one model judges both.
const candidate = "bench001"

// cycleGroup is a whole replay beside a live model: the candidate is built, then
// compared, then published.
func (b *bench) cycleGroup(ctx context.Context) ([]result, error) {
	total, err := b.cycleTotal(ctx)
	if err != nil {
		return nil, err
	}
	pauses, err := b.cyclePauses(ctx)
	if err != nil {
		return nil, fmt.Errorf("pauses: %w", err)
	}
	live, err := b.cycleLive(ctx)
	if err != nil {
		return nil, fmt.Errorf("live: %w", err)
	}
	writes, err := b.cycleWrites(ctx)
	if err != nil {
		return nil, fmt.Errorf("API writes: %w", err)
	}
	return slices.Concat(total, pauses, live, writes), nil
}

// cycleTotal is the time of the whole, against the fold alone, and how long a
// reader waits at most meanwhile.
func (b *bench) cycleTotal(ctx context.Context) ([]result, error) {
	sc, err := b.newScene(ctx, theProjector, workload{b.events, b.entities, uniform})
	if err != nil {
		return nil, err
	}
	defer sc.close()
	var alone, whole, waits, waitsAlone, comparing, publishing []float64
	round := func(ctx context.Context) error {
		c, err := sc.cycle(ctx, contract.CutoverRename, false)
		if err != nil {
			return err
		}
		alone, whole = append(alone, c.foldSeconds), append(whole, c.cycleSeconds)
		comparing, publishing = append(comparing, c.compareCPUSeconds), append(publishing, c.publishCPUSeconds)
		c, err = sc.cycle(ctx, contract.CutoverRename, true)
		waits, waitsAlone = append(waits, c.readerMaxMs), append(waitsAlone, c.readerAloneMaxMs)
		return err
	}
	if err := sc.takeTurns(ctx, round); err != nil {
		return nil, err
	}
	return []result{
		row("cycle.total_vs_fold", ratioUnit, perRound(whole, alone)).against("the fold alone", median(alone), "s").aim(atMost, 1.5),
		row("cycle.server_cpu_s.compare", "s", comparing),
		row("cycle.server_cpu_s.publish", "s", publishing),
		row("cycle.reader_max_wait_ms", "ms", waits).against("nothing is replayed", median(waitsAlone), "ms").aim(atMost, 5),
	}, nil
}

// cyclePauses are how long writers stand still where every event has an entity
// of its own: a million, by default.
func (b *bench) cyclePauses(ctx context.Context) ([]result, error) {
	sc, err := b.newScene(ctx, theProjector, workload{b.events, b.events, once})
	if err != nil {
		return nil, err
	}
	defer sc.close()
	byRename, err := sc.cycle(ctx, contract.CutoverRename, true)
	if err != nil {
		return nil, err
	}
	byPointer, err := sc.cycle(ctx, contract.CutoverPointer, true)
	if err != nil {
		return nil, err
	}
	return []result{
		row("cycle.writer_pause_ms.rename", "ms", []float64{byRename.pauseMs}).aim(atMost, 10_000),
		row("cycle.writer_pause_ms.pointer", "ms", []float64{byPointer.pauseMs}).aim(atMost, 100),
		row("cycle.verify_hold_ms", "ms", []float64{byRename.holdMs, byPointer.holdMs}).aim(atMost, 1000),
		row("cycle.rename_reader_max_wait_ms", "ms", []float64{byRename.readerMaxMs}),
	}, nil
}

// cycled is what one cycle took.
type cycled struct {
	foldSeconds, cycleSeconds            float64
	compareCPUSeconds, publishCPUSeconds float64 // of the server
	pauseMs, holdMs                      float64
	readerMaxMs, readerAloneMaxMs        float64
}

// cycle folds the first revision, and then replays beside it, while a reader reads
// as fast as it can where one is wanted. It leaves no read model.
func (sc *scene) cycle(ctx context.Context, mode string, read bool) (c cycled, err error) {
	d := document(sc.server.addr, sc.projector.reducer)
	d.ReadModel.RedisHash.Cutover = mode
	first, err := sc.startProjector(sc.projector, d)
	if err != nil {
		return c, err
	}
	defer first.stop()
	if err := first.await(ctx, sc.server, sc.workload.lastID()); err != nil {
		return c, err
	}
	c.foldSeconds = time.Since(first.begun).Seconds()

	if read {
		c.readerAloneMaxMs = sc.readFor(ctx, readAlone)
	}
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	slowest := make(chan float64, 1)
	go func() {
		if !read {
			<-reading.Done()
		}
		slowest <- sc.read(reading)
	}()
	d.Revision = candidate
	second, err := sc.startProjector(sc.projector, d)
	if err != nil {
		return c, err
	}
	defer second.stop()
	if err := second.await(ctx, sc.server, sc.workload.lastID()); err != nil {
		return c, err
	}
	if err := sc.replace(ctx, second, &c); err != nil {
		return c, err
	}
	stopReading()
	c.readerMaxMs = <-slowest
	prefix := keyPrefix
	if mode == contract.CutoverPointer {
		prefix += "@" + candidate + ":"
	}
	if err := sc.model.check(ctx, sc.server, prefix); err != nil {
		return c, err
	}
	first.stop()
	second.stop()
	if err := second.drop(ctx); err != nil {
		return c, err
	}
	return c, sc.server.settle(ctx)
}

// replace compares a candidate that is built with what is published, and publishes it.
func (sc *scene) replace(ctx context.Context, second *projector, c *cycled) error {
	built := time.Since(second.begun).Seconds()
	verified, err := sc.meteredJob(ctx, second, "verify", &c.compareCPUSeconds)
	if err != nil {
		return err
	}
	compared := time.Since(second.begun).Seconds()
	published, err := sc.meteredJob(ctx, second, "cutover", &c.publishCPUSeconds)
	if err != nil {
		return err
	}
	c.cycleSeconds = time.Since(second.begun).Seconds()
	sc.say("   the fold alone took %.2f s, beside it %.2f s; comparing %.2f s, publishing %.2f s",
		c.foldSeconds, built, compared-built, c.cycleSeconds-compared)
	if verified.Diff == nil || published.Cutover == nil || verified.Diff.Same != int64(sc.model.entities) {
		return fmt.Errorf("the comparison is wrong: %+v, %+v", verified, published)
	}
	c.holdMs, c.pauseMs = float64(verified.Diff.HeldMillis), float64(published.Cutover.PausedMillis)
	return nil
}

// meteredJob runs a Job, and says what it cost the server.
func (sc *scene) meteredJob(ctx context.Context, p *projector, command string, serverCPU *float64) (result contract.Result, err error) {
	*serverCPU, err = sc.server.cpuOf(ctx, func() (err error) {
		result, err = p.job(ctx, command)
		return err
	})
	return result, err
}

// read asks for entities of the live model all the time, and returns how long it
// waited at most.
func (sc *scene) read(ctx context.Context) (maxMs float64) {
	client := redis.NewClient(&redis.Options{Addr: sc.server.addr})
	defer func() { _ = client.Close() }()
	client.Ping(ctx) // to connect is no reader's wait
	for ctx.Err() == nil {
		before := time.Now()
		err := client.HGet(ctx, keyPrefix+strconv.Itoa(rand.IntN(sc.workload.entities)), "email").Err()
		if err == nil || errors.Is(err, redis.Nil) {
			maxMs = max(maxMs, time.Since(before).Seconds()*1000)
		}
	}
	return maxMs
}

// readAlone is how long a reader reads before a cycle: as long as one takes, about.
const readAlone = 2 * time.Second

func (sc *scene) readFor(ctx context.Context, window time.Duration) (maxMs float64) {
	ctx, cancel := context.WithTimeout(ctx, window)
	defer cancel()
	return sc.read(ctx)
}

// replayWindow is how long the load of cycleLive is timed, each time.
const replayWindow = 3

// cycleLive is the way of an event through the live projector, alone and while a
// candidate folds a long history as fast as it may.
func (b *bench) cycleLive(ctx context.Context) ([]result, error) {
	binary, err := b.build(ctx, theProjector)
	if err != nil {
		return nil, err
	}
	s, err := b.startServer(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	load, err := newProducer(ctx, s, min(replayWindow, b.liveSeconds))
	if err != nil {
		return nil, err
	}
	history := b.largeEvents / 2
	if err := load.fill(ctx, history); err != nil {
		return nil, err
	}
	runs := program{binary: binary, reducer: rulesReducer, memoryLimitMiB: defaultLimitMiB}
	d := liveDocument(s.addr)
	live, err := b.startProjector(runs, d)
	if err != nil {
		return nil, err
	}
	defer live.stop()
	alone, err := load.visibility(ctx, live)
	if err != nil {
		return nil, err
	}
	d.Revision = candidate
	beside, err := b.startProjector(runs, d)
	if err != nil {
		return nil, err
	}
	defer beside.stop()
	during, err := load.visibility(ctx, live)
	if err != nil {
		return nil, err
	}
	folded, err := s.client.HGet(ctx, beside.ledger, "events").Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	b.say("   the candidate had folded %d of %d events when the window ended", folded, history)
	return []result{
		row("cycle.live_p50_during_ms", "ms", []float64{percentile(during, 50)}).against("alone", percentile(alone, 50), "ms"),
		row("cycle.live_p99_during_ms", "ms", []float64{percentile(during, 99)}).against("alone", percentile(alone, 99), "ms").
			aim(atMost, 3*percentile(alone, 99)),
	}, nil
}

// writesBenchmark is the benchmark of controllers that counts the operator's writes.
const writesBenchmark = "BenchmarkReplayWrites"

// cycleWrites asks it, against a real API server.
func (b *bench) cycleWrites(ctx context.Context) ([]result, error) {
	const whole, rest = "writes/replay", "writes/rest"
	runs, err := b.benchmark(ctx, "controllers", writesBenchmark, []string{whole, rest}, "-benchtime", "1x")
	if err != nil {
		return nil, err
	}
	return []result{
		row("cycle.api_writes", "writes", runs[whole]),
		row("cycle.api_writes_at_rest", "writes", runs[rest]).aim(atMost, 0),
	}, nil
}
