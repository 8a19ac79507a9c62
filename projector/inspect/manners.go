package inspect

import (
	"context"
	"sync"
	"time"

	"github.com/refold-dev/refold/projector/courtesy"
)

// manners keep a scan out of others' way.
type manners struct {
	courtesy *courtesy.Courtesy
	turns    *turns
	since    time.Time // when the last rest was over
}

func (s *Server) newManners() *manners {
	return &manners{courtesy: courtesy.New(s.Probe), turns: &s.turns, since: time.Now()}
}

// giveWay waits until the next piece may be read. Alone that is at once; while
// others are there the scans take turns, and rest as long as they work: somebody
// may wait for an event in the same process, or for the same server.
func (m *manners) giveWay(ctx context.Context) error {
	now := time.Now()
	worked := min(now.Sub(m.since), longestPiece)
	if m.courtesy.Due(now) {
		m.courtesy.Look(ctx)
	}
	if !m.courtesy.Alone() {
		rest := max(m.courtesy.Rest(worked), worked)
		if err := wait(ctx, m.turns.next(time.Now(), worked+rest)); err != nil {
			return err
		}
	}
	m.since = time.Now()
	return ctx.Err()
}

// longestPiece bounds what counts as work: a client may keep a scan waiting.
const longestPiece = 50 * time.Millisecond

// turns has all scans together work no more than one of them may.
type turns struct {
	mu   sync.Mutex
	free time.Time // when the next piece may begin
}

// next is how long to wait for a piece that, with the rest behind it, takes so long.
func (t *turns) next(now time.Time, takes time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free.Before(now) {
		t.free = now
	}
	pause := t.free.Sub(now)
	t.free = t.free.Add(takes)
	return pause
}

func wait(ctx context.Context, pause time.Duration) error {
	if pause <= 0 {
		return nil
	}
	over := time.NewTimer(pause)
	defer over.Stop()
	select {
	case <-over.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
