// Command bench measures the fold path on a real Redis, with the real projector
// as a process of its own, and states each figure with a baseline of the same
// run: the two take turns, so that what a busy machine takes from one it takes
// from the other. It prints a table and writes build/bench.json. What the rows
// mean is told in docs/performance.md.
//
// It measures and does not judge: a goal that is missed is no error, a read
// model that is wrong is.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// sizes say how much is measured. The defaults are what docs/performance.md
// states; smaller ones show that the bench works.
type sizes struct {
	events, entities           int // of replay and zipf; unique has an entity for each event
	largeEvents, largeEntities int
	rounds                     int // how often baseline and subject take turns
	liveSeconds, rateSeconds   float64
}

func main() {
	var s sizes
	flag.IntVar(&s.events, "events", 1_000_000, "events of a replay")
	flag.IntVar(&s.entities, "entities", 100_000, "entities they are about")
	flag.IntVar(&s.largeEvents, "large-events", 10_000_000, "events of the group large")
	flag.IntVar(&s.largeEntities, "large-entities", 1_000_000, "entities of the group large")
	flag.IntVar(&s.rounds, "rounds", 5, "how often baseline and subject take turns")
	flag.Float64Var(&s.liveSeconds, "live-seconds", 30, "how long the group live measures")
	flag.Float64Var(&s.rateSeconds, "rate-seconds", 4, "how long the group rate tries each rate")
	only := flag.String("only", "", "groups to run, separated by commas; all without: "+strings.Join(groupNames(), ", "))
	profiled := flag.Bool("profile", false, "only profile the projector's CPU in one replay, into <out>/profile")
	out := flag.String("out", "build", "folder of bench.json")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s, *only, *out, *profiled); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s sizes, only, out string, profiled bool) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	b, err := newBench(s, os.Stderr)
	if err != nil {
		return err
	}
	defer b.close()
	if profiled {
		return b.profile(ctx, filepath.Join(out, "profile"), os.Stdout)
	}
	measured, err := b.measure(ctx, chosen)
	if err != nil {
		return err
	}
	printTable(os.Stdout, measured)
	file := filepath.Join(out, "bench.json")
	r := newReport(ctx, b.redisServer, measured)
	if only != "" {
		r = r.merged(file)
	}
	return r.write(file)
}

// measure runs the groups one after the other.
func (b *bench) measure(ctx context.Context, chosen []group) ([]result, error) {
	var all []result
	for _, g := range chosen {
		begun := time.Now()
		b.say("== %s", g.name)
		results, err := g.run(b, ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g.name, err)
		}
		b.say("   %s took %.0f s", g.name, time.Since(begun).Seconds())
		all = append(all, results...)
	}
	return all, nil
}
