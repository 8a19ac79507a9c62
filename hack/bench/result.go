package main

import (
	"slices"
	"time"
)

// result is one row: a name's figures over the rounds.
type result struct {
	Name     string    `json:"name"`
	Value    float64   `json:"value"` // the median
	Min      float64   `json:"min"`
	Max      float64   `json:"max"`
	Unit     string    `json:"unit"`
	Rounds   int       `json:"rounds"`
	Date     string    `json:"date"` // RFC 3339; rows of one file may come from several runs
	Baseline *baseline `json:"baseline,omitempty"`
	Goal     *goal     `json:"goal,omitempty"`
	Met      *bool     `json:"met,omitempty"` // only with a goal
}

// baseline is what a row is to be read against, with its own figure.
type baseline struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// goal bounds a row's value.
type goal struct {
	Op    string  `json:"op"`
	Value float64 `json:"value"`
}

const (
	atLeast = ">="
	atMost  = "<="
)

// Units.
const (
	ratioUnit = "ratio"
	rateUnit  = "M events/s"
	mibUnit   = "MiB"
	cpuUnit   = "us/event" // of CPU time
)

// row summarizes what the rounds gave, one value each, of which there is one at least.
func row(name, unit string, values []float64) result {
	return result{
		Name: name, Unit: unit, Rounds: len(values), Date: time.Now().UTC().Format(time.RFC3339),
		Value: median(values), Min: slices.Min(values), Max: slices.Max(values),
	}
}

func (r result) against(name string, value float64, unit string) result {
	r.Baseline = &baseline{name, value, unit}
	return r
}

func (r result) aim(op string, value float64) result {
	met := r.Value >= value
	if op == atMost {
		met = r.Value <= value
	}
	r.Goal, r.Met = &goal{op, value}, &met
	return r
}

// median of an even number of values is the mean of the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// percentile is the smallest value that p percent of the values do not exceed.
func percentile(values []float64, p int) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// perRound divides round by round: the two ran one after the other, so that a
// slow minute of the machine is in both.
func perRound(dividends, divisors []float64) []float64 {
	quotients := make([]float64, len(dividends))
	for i := range dividends {
		quotients[i] = dividends[i] / divisors[i]
	}
	return quotients
}

// each applies f to all values.
func each(values []float64, f func(float64) float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = f(v)
	}
	return out
}

// millionsPerSecond are the rates at which events were worked off in the given seconds.
func millionsPerSecond(events int, seconds []float64) []float64 {
	return each(seconds, func(s float64) float64 { return float64(events) / s / 1e6 })
}

// microsPerEvent spreads CPU seconds over events.
func microsPerEvent(events int, seconds []float64) []float64 {
	return each(seconds, func(s float64) float64 { return s / float64(events) * 1e6 })
}
