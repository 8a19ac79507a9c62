// Package courtesy tells work that nobody waits for how not to be felt by those
// who use the same servers, the published revision first of all. It measures and
// reckons; whoever works asks for little at a time and rests as it is told.
//
// As soon as anybody else is seen to send commands, little is to be asked for at
// a time: a read or a commit then keeps others waiting for less than a
// millisecond. And between two of them, with nothing of its own under way, it
// measures a round trip of a tiny command. One that takes a multiple of what it
// takes while all is calm says that others want the server, or the processor:
// then it is time to rest, in proportion to how long it has worked.
package courtesy

import (
	"context"
	"time"
)

// What to ask for at a time while others are there.
const (
	Events = 500 // a read
	Bytes  = 256 << 10
)

// MostRest is the longest rest at a time.
const MostRest = time.Second

// How it measures.
const (
	probeEvery = 25 * time.Millisecond
	aloneEvery = 4 * probeEvery         // while nobody else is seen
	probeShare = 4                      // the weight of one probe is 1/4
	calmLeast  = 100 * time.Microsecond // below that all is calm
	calmDrift  = 1024                   // of a server that stays slower it takes half a minute to see that as calm
	tolerated  = 2                      // times the calm round trip
	slowest    = 12                     // times the calm round trip count no more
)

// Probe looks at the servers that are read and written.
type Probe interface {
	// RoundTrip makes a small one to each.
	RoundTrip(ctx context.Context) error
	// Alone says whether, for a moment, nobody else has sent a command to any. It
	// is false where that cannot be known.
	Alone(ctx context.Context) bool
}

// Courtesy says when to rest, and for how long. It is for one goroutine. It
// begins with others there and all calm.
type Courtesy struct {
	probe Probe // may be nil: then nothing is measured

	alone    bool          // nobody else was there, the last time
	calm     time.Duration // least round trip, lately
	slowness float64       // round trips of late, in calm ones
	probed   time.Time
}

// New measures with a probe, or not at all without one.
func New(probe Probe) *Courtesy { return &Courtesy{probe: probe} }

// Alone says that nobody else was there when it last looked.
func (c *Courtesy) Alone() bool { return c.alone }

// Due says whether to look again.
func (c *Courtesy) Due(now time.Time) bool {
	every := probeEvery
	if c.alone {
		every = aloneEvery
	}
	return c.probe != nil && now.Sub(c.probed) >= every
}

// Look measures a round trip; the caller has nothing under way. What it cannot
// measure it does not know: whoever needs the server has the error.
func (c *Courtesy) Look(ctx context.Context) {
	began := time.Now()
	if err := c.probe.RoundTrip(ctx); err == nil {
		c.took(time.Since(began))
	}
	c.alone = c.probe.Alone(ctx)
	c.probed = time.Now()
}

// took takes over one round trip.
func (c *Courtesy) took(trip time.Duration) {
	c.calm += c.calm / calmDrift
	if c.calm == 0 || trip < c.calm {
		c.calm = max(trip, calmLeast)
	}
	ratio := min(float64(trip)/float64(c.calm), slowest)
	c.slowness += (ratio - c.slowness) / probeShare
}

// Rest is how long to rest after so much work.
func (c *Courtesy) Rest(worked time.Duration) time.Duration {
	if c.alone || c.slowness <= tolerated {
		return 0
	}
	return min(time.Duration(float64(worked)*(c.slowness-tolerated)/tolerated), MostRest)
}
