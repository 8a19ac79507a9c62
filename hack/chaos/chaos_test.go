package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// seedVariable makes the short run do again what it did with a seed.
const seedVariable = "REFOLD_CHAOS_SEED"

func TestAShortTortureLosesAndDoublesNothing(t *testing.T) {
	seed := rand.Uint64()
	if given := os.Getenv(seedVariable); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("again: %s=%d", seedVariable, seed)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	o := options{kills: 20, first: 1, rounds: 3, seed: seed, source: root, dir: filepath.Join(root, "build", "chaos"), out: os.Stdout}
	if err := torture(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func TestTheFailpointsAreReadFromTheirSource(t *testing.T) {
	names, err := failpointsOf("../..")
	if err != nil || len(names) < 7 {
		t.Errorf("%q, %v", names, err)
	}
}
