package engine

import (
	"context"
	"time"

	limit "golang.org/x/time/rate"

	"github.com/refold-dev/refold/projector/courtesy"
	"github.com/refold-dev/refold/projector/readmodel"
)

// A revision that nobody reads must not be felt by others: package courtesy says
// when it asks for little and when it rests. Where a rate is set it is kept as
// well. Nothing of this concerns a published revision, whose manners are nil.

// What it commits at a time.
const (
	politeDirty    = politeTogether * readmodel.Lanes // so that a lane is as small as a commit of all
	politeTogether = 256
)

// Probe looks at the servers that are read and written.
type Probe = courtesy.Probe

// manners say when to rest, and for how long.
type manners struct {
	*courtesy.Courtesy
	limiter *limit.Limiter // nil without a rate
	since   time.Time      // when the last rest was over
}

func newManners(probe Probe, perSecond int64) *manners {
	m := &manners{Courtesy: courtesy.New(probe), since: time.Now()}
	if perSecond > 0 {
		burst := min(max(1, perSecond/10), courtesy.Events)
		m.limiter = limit.NewLimiter(limit.Limit(perSecond), int(burst))
	}
	return m
}

// slow makes reads small: of what the limiter lets pass at once, where there is
// one.
func (m *manners) slow(p *Pace) {
	if !m.Alone() {
		p.BatchEvents, p.BatchBytes = min(p.BatchEvents, courtesy.Events), min(p.BatchBytes, courtesy.Bytes)
	}
	if m.limiter != nil {
		p.BatchEvents = min(p.BatchEvents, m.limiter.Burst())
	}
}

// polite says whether to ask for little at a time.
func (e *Engine) polite() bool { return e.manners != nil && !e.manners.Alone() }

// giveWay rests as is due after so many events.
func (e *Engine) giveWay(ctx context.Context, events int) error {
	m := e.manners
	now := time.Now()
	pause := m.untilRateAllows(now, events)
	if e.behind && m.Due(now) {
		if err := e.probe(ctx); err != nil {
			return err
		}
	}
	if e.behind {
		pause = max(pause, m.Rest(now.Sub(m.since)))
	}
	if pause > 0 {
		if err := e.rest(ctx, pause); err != nil {
			return err
		}
	}
	m.since = time.Now()
	return nil
}

// untilRateAllows counts events, and says how long it is until they may be
// folded. More than a burst at once is counted burst by burst.
func (m *manners) untilRateAllows(now time.Time, events int) (pause time.Duration) {
	if m.limiter == nil {
		return 0
	}
	for events > 0 {
		n := min(events, m.limiter.Burst())
		pause = m.limiter.ReserveN(now, n).DelayFrom(now)
		events -= n
	}
	return pause
}

// probe measures with nothing of its own under way.
func (e *Engine) probe(ctx context.Context) error {
	for len(e.flying) > 0 {
		if err := e.awaitCommit(); err != nil {
			return err
		}
	}
	ctx, cancel := graceful(ctx, e.Pace.Grace)
	defer cancel()
	defer e.status.outside()()
	e.manners.Look(ctx)
	return nil
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
