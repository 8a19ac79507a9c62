package engine

import (
	"context"
	"time"

	limit "golang.org/x/time/rate"

	"github.com/refold-dev/refold/projector/readmodel"
)

// A revision that nobody reads must not be felt by those who use the same
// servers, the published revision first of all. As soon as anybody else is seen to
// send commands it asks for little at a time: a read or a commit keeps others
// waiting for less than a millisecond. And between two of them, with nothing of
// its own under way, it measures a round trip of a tiny command. One that takes a
// multiple of what it takes while all is calm says that others want the server,
// or the processor: then it rests, in proportion to how long it has worked.
//
// Where a rate is set it is kept as well. Nothing of this concerns a published
// revision, whose courtesy is nil.

// What it asks for at a time.
const (
	politeEvents   = 500 // a read
	politeBytes    = 256 << 10
	politeDirty    = politeTogether * readmodel.Lanes // so that a lane is as small as a commit of all
	politeTogether = 256
)

// How it measures.
const (
	probeEvery = 25 * time.Millisecond
	aloneEvery = 4 * probeEvery         // while nobody else is seen
	probeShare = 4                      // the weight of one probe is 1/4
	calmLeast  = 100 * time.Microsecond // below that all is calm
	calmDrift  = 1024                   // of a server that stays slower it takes half a minute to see that as calm
	tolerated  = 2                      // times the calm round trip
	slowest    = 12                     // times the calm round trip count no more
	mostRest   = time.Second            // at a time
)

// Probe looks at the servers that are read and written.
type Probe interface {
	// RoundTrip makes a small one to each.
	RoundTrip(ctx context.Context) error
	// Alone says whether, for a moment, nobody else has sent a command to any. It
	// is false where that cannot be known.
	Alone(ctx context.Context) bool
}

// courtesy says when to rest, and for how long.
type courtesy struct {
	probe   Probe
	limiter *limit.Limiter // nil without a rate

	alone    bool          // nobody else was there, the last time
	calm     time.Duration // least round trip, lately
	slowness float64       // round trips of late, in calm ones
	probed   time.Time
	since    time.Time // when the last rest was over
}

func newCourtesy(probe Probe, perSecond int64) *courtesy {
	c := &courtesy{probe: probe, since: time.Now()}
	if perSecond > 0 {
		burst := min(max(1, perSecond/10), politeEvents)
		c.limiter = limit.NewLimiter(limit.Limit(perSecond), int(burst))
	}
	return c
}

// slow makes reads small: of what the limiter lets pass at once, where there is
// one.
func (c *courtesy) slow(p *Pace) {
	if !c.alone {
		p.BatchEvents, p.BatchBytes = min(p.BatchEvents, politeEvents), min(p.BatchBytes, politeBytes)
	}
	if c.limiter != nil {
		p.BatchEvents = min(p.BatchEvents, c.limiter.Burst())
	}
}

// polite says whether to ask for little at a time.
func (e *Engine) polite() bool { return e.courtesy != nil && !e.courtesy.alone }

// due says whether to look at the servers again.
func (c *courtesy) due(now time.Time) bool {
	every := probeEvery
	if c.alone {
		every = aloneEvery
	}
	return c.probe != nil && now.Sub(c.probed) >= every
}

// giveWay rests as is due after so many events.
func (e *Engine) giveWay(ctx context.Context, events int) error {
	c := e.courtesy
	now := time.Now()
	pause := c.untilRateAllows(now, events)
	if e.behind && c.due(now) {
		if err := e.probe(ctx); err != nil {
			return err
		}
	}
	if e.behind && !c.alone {
		pause = max(pause, c.rest(now.Sub(c.since)))
	}
	if pause > 0 {
		if err := e.rest(ctx, pause); err != nil {
			return err
		}
	}
	c.since = time.Now()
	return nil
}

// untilRateAllows counts events, and says how long it is until they may be
// folded. More than a burst at once is counted burst by burst.
func (c *courtesy) untilRateAllows(now time.Time, events int) (pause time.Duration) {
	if c.limiter == nil {
		return 0
	}
	for events > 0 {
		n := min(events, c.limiter.Burst())
		pause = c.limiter.ReserveN(now, n).DelayFrom(now)
		events -= n
	}
	return pause
}

// probe measures a round trip with nothing of its own under way. What it cannot
// measure it does not know: whoever needs the server has the error.
func (e *Engine) probe(ctx context.Context) error {
	for len(e.flying) > 0 {
		if err := e.awaitCommit(); err != nil {
			return err
		}
	}
	ctx, cancel := graceful(ctx, e.Pace.Grace)
	defer cancel()
	defer e.status.outside()()
	c := e.courtesy
	began := time.Now()
	if err := c.probe.RoundTrip(ctx); err == nil {
		c.took(time.Since(began))
	}
	c.alone = c.probe.Alone(ctx)
	c.probed = time.Now()
	return nil
}

// took takes over one round trip.
func (c *courtesy) took(trip time.Duration) {
	c.calm += c.calm / calmDrift
	if c.calm == 0 || trip < c.calm {
		c.calm = max(trip, calmLeast)
	}
	ratio := min(float64(trip)/float64(c.calm), slowest)
	c.slowness += (ratio - c.slowness) / probeShare
}

// rest is how long to rest after so much work.
func (c *courtesy) rest(worked time.Duration) time.Duration {
	if c.slowness <= tolerated {
		return 0
	}
	return min(time.Duration(float64(worked)*(c.slowness-tolerated)/tolerated), mostRest)
}

// rest waits, and sees to the commits meanwhile.
func (e *Engine) rest(ctx context.Context, pause time.Duration) (err error) {
	defer e.status.outside()()
	over := time.NewTimer(pause)
	defer over.Stop()
	for err == nil {
		select {
		case <-over.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case s := <-e.committer.out:
			err = e.committed(s)
		case <-e.nextDue():
		}
		if err == nil {
			err = e.sendDue()
		}
	}
	return err
}

// wait waits for a time alone.
func (e *Engine) wait(ctx context.Context, pause time.Duration) {
	defer e.status.outside()()
	sleep(ctx, pause)
}
