package main

import (
	"math/rand/v2"
	"time"
)

// A round is drawn from the seed as a whole before it begins: what is drawn
// never depends on how long something took.
type round struct {
	bursts []int // events at once, over and over while the round lasts; a trickle between two
	first  int   // events at once before all faults
	large  bool
	steps  []step
}

// Faults.
type fault string

const (
	killProjector fault = "projector"
	failpoint     fault = "failpoint"
	killRedis     fault = "redis"
	successor     fault = "stopped past a successor"
	second        fault = "second projector"
	cut           fault = "cut"
	slow          fault = "delay"
	trim          fault = "trim"
)

// kills are the faults that count as one, in the order of the report.
var kills = []fault{killProjector, failpoint, killRedis, successor, second, cut}

// step is one fault and all that was drawn for it.
type step struct {
	fault  fault
	after  time.Duration // before it
	lasts  time.Duration
	where  string // failpoint's name
	nth    int    // time that the failpoint is reached
	gentle bool   // end the projector before by SIGTERM
	side   int    // which proxies: see sides
	sick   sickness
	share  float64 // how far back from the position
	judge  bool    // judge right after it
	// flood is how many events come at once before the fault, which then waits
	// until the ledger has lanes apart; 0: none. The proxies of a side may be
	// sick from before it until the fault is done.
	flood     int
	floodSide int
	floodSick sickness
	next      setting
}

// setting is how the next projector is started.
type setting struct {
	cacheMiB, memoryMiB int
	failpoint           string
}

// planner draws. Failpoints take turns, so that each is died at.
type planner struct {
	large      bool // something large comes in this history
	random     *rand.Rand
	failpoints []string
	turn       int
	wide       bool // there are so many entities that they go lane by lane
}

func (p *planner) round(large bool) round {
	r := round{large: large}
	most := 12_000
	if p.wide { // the floods are enough
		most = 1_000
	}
	for range 4 {
		r.bursts = append(r.bursts, p.random.IntN(1+p.random.IntN(most)))
	}
	for range 4 + p.random.IntN(3) {
		s := p.step()
		if large && (s.fault == cut || s.fault == slow) {
			s.fault = killProjector // through a bad line what is large takes for ever
		}
		r.steps = append(r.steps, s)
	}
	return r
}

func (p *planner) step() step {
	s := step{
		fault:  p.fault(),
		after:  p.between(0, 120),
		lasts:  p.between(5, 150),
		nth:    1 + p.random.IntN(4),
		gentle: p.random.IntN(2) == 0,
		side:   p.random.IntN(len(sides)),
		share:  p.random.Float64(),
		judge:  p.random.IntN(3) > 0,
		next:   p.setting(),
	}
	if s.fault == failpoint {
		s.where = p.failpoints[p.turn%len(p.failpoints)]
		p.turn++
	}
	s.sick = p.sickness(s.fault)
	if p.wide && s.fault != trim && p.random.IntN(4) > 0 {
		p.flood(&s)
	}
	return s
}

// floodSick are a source behind a thin line, so that the projector is behind for
// seconds, and a target far away, so that what is folded and loaded meanwhile
// overtakes commits.
var floodSick = []sickness{
	{"bandwidth", "downstream", map[string]int{"rate": 1000}},
	{"latency", "upstream", map[string]int{"latency": 10, "jitter": 10}},
}

// flood makes the fault one that falls between the commits of two lanes.
func (p *planner) flood(s *step) {
	s.flood = 10_000 + p.random.IntN(30_000)
	if n := p.random.IntN(6); s.fault == killProjector && n < len(floodSick) {
		s.floodSide, s.floodSick = n, floodSick[n]
	}
	s.after = p.between(0, 30+p.random.IntN(200))
	if s.where == "before-commit" || s.where == "commit-reply-lost" || s.where == "committed" {
		s.nth = 1 + p.random.IntN(1+p.random.IntN(200))
	}
}

func (p *planner) fault() fault {
	switch n := p.random.IntN(100); {
	case n < 30:
		return killProjector
	case n < 50:
		return failpoint
	case n < 60:
		return killRedis
	case n < 66:
		return successor
	case n < 72:
		return second
	case n < 87:
		return cut
	case n < 94:
		return slow
	}
	return trim
}

func (p *planner) setting() setting {
	s := setting{
		cacheMiB:  []int{0, 1, 1, 4}[p.random.IntN(4)],
		memoryMiB: []int{40, 64, 512}[p.random.IntN(3)],
	}
	if p.large { // an event may take a thirty-second of the limit
		s.memoryMiB = 4096
	}
	return s
}

func (p *planner) between(least, most int) time.Duration {
	return time.Duration(least+p.random.IntN(most-least)) * time.Millisecond
}

// sickness is a toxic of toxiproxy, or none for a plain cut.
func (p *planner) sickness(f fault) sickness {
	attributes := func(name string, value int) map[string]int { return map[string]int{name: value} }
	bytes := p.random.IntN(1 << p.random.IntN(18))
	all := map[fault][]sickness{
		cut: {
			{},
			{"limit_data", "downstream", attributes("bytes", bytes)},
			{"limit_data", "upstream", attributes("bytes", bytes)},
			{"reset_peer", "downstream", attributes("timeout", 0)},
			{"reset_peer", "upstream", attributes("timeout", 0)},
			{"timeout", "downstream", attributes("timeout", 20)},
		},
		slow: {
			{"latency", "downstream", map[string]int{"latency": 10, "jitter": 10}},
			{"latency", "upstream", map[string]int{"latency": 5, "jitter": 5}},
			{"slicer", "downstream", map[string]int{"average_size": 64, "size_variation": 32, "delay": 20}},
			{"bandwidth", "downstream", attributes("rate", 500)},
		},
	}
	if len(all[f]) == 0 {
		return sickness{}
	}
	return all[f][p.random.IntN(len(all[f]))]
}
