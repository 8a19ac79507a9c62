// Command chaos tortures the real projector against a real Redis: random
// histories, and at random times every fault that a machine or a network has.
// After each fault and at each round's end a model fold tells whether an event
// was lost or counted twice. docs/exactness.md says what is done and how to
// read what it prints. It judges by what stands in Redis alone, and must not
// know how the projector works beyond the ledger's format.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	o := options{out: os.Stdout}
	flag.IntVar(&o.kills, "n", 1000, "kills of all kinds")
	flag.Uint64Var(&o.seed, "seed", 0, "what the histories and the faults are drawn from; 0: a random one")
	flag.IntVar(&o.first, "history", 1, "history to begin with: each is made anew from the seed and its number")
	flag.IntVar(&o.rounds, "rounds", 8, "rounds of a history")
	flag.BoolVar(&o.verbose, "v", false, "one line for each round")
	flag.BoolVar(&o.large, "large", true, "now and then a value of 64 MiB and an event of 100,000 fields")
	flag.StringVar(&o.dir, "dir", "build/chaos", "where logs, ledger and log of events are left when it fails")
	flag.Parse()
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := torture(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		stop()
		if errors.Is(err, context.Canceled) {
			os.Exit(130)
		}
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	kills, first, rounds int
	seed                 uint64
	verbose, large       bool
	dir                  string
	source               string // the module's root; empty: the working directory
	out                  *os.File
}
