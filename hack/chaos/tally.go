package main

import (
	"fmt"
	"slices"
	"strings"
)

// tally counts what was done.
type tally struct {
	seed       uint64
	rounds     int
	done       map[fault]int
	at         map[string]int // failpoints
	events     int64
	judgements int
	looks      int64
	rejected   int64
	lost       int64
	doubled    int64
}

func newTally(seed uint64) *tally {
	return &tally{seed: seed, done: map[fault]int{}, at: map[string]int{}}
}

func (t *tally) count(s step) {
	t.done[s.fault]++
	if s.fault == failpoint {
		t.at[s.where]++
	}
}

func (t *tally) judged(v verdict) {
	t.judgements++
	t.lost += v.lost
	t.doubled += v.doubled
}

func (t *tally) kills() int {
	n := 0
	for _, f := range kills {
		n += t.done[f]
	}
	return n
}

func (t *tally) String() string {
	var at []string
	for name, n := range t.at {
		at = append(at, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(at)
	return fmt.Sprintf("seed %d: %d rounds, %d kills (projector %d, at failpoints %d [%s], redis %d, stopped past a successor %d, "+
		"second projector %d, cuts %d), %d delays, %d trims, %s events, judged %d times, ledger seen %s times, %d writes refused: %d lost, %d doubled",
		t.seed, t.rounds, t.kills(), t.done[killProjector], t.done[failpoint], strings.Join(at, ", "), t.done[killRedis],
		t.done[successor], t.done[second], t.done[cut], t.done[slow], t.done[trim], grouped(t.events), t.judgements, grouped(t.looks),
		t.rejected, t.lost, t.doubled)
}

// grouped writes 1234567 as 1 234 567.
func grouped(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s %03d", grouped(n/1000), n%1000)
}
