package engine

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/stream"
)

// wedged is how long one step may take that waits for nothing outside.
const wedged = 2 * time.Minute

// known is how long the tail that was seen last is believed while neither side
// can be read or written.
const known = 10 * time.Second

// tracker is what is known of the partition, for others to see. All methods
// may be called from any goroutine.
type tracker struct {
	metrics *Metrics

	mu       sync.Mutex
	seen     contract.Partition
	at       readmodel.Checkpoint
	counted  tally
	first    projector.ID // of the stream
	tail     projector.ID
	tailAt   int64 // entries ever added, -1 while unknown
	tailSeen bool
	bounded  bool      // folds only up to where a Job waits for it
	reached  bool      // has been at the tail since the claim
	away     time.Time // since when it backs off; the zero time when it does not
	folding  tally     // as counted, and what is not committed yet
	holds    usage
	rate     rate // of folding
	growth   rate // of the stream
	ack      *contract.Problem

	beaten atomic.Int64 // when the loop last moved, Unix nanoseconds
	waits  atomic.Int64 // how many waits for something outside are under way
}

func newTracker(o Options) *tracker {
	t := &tracker{metrics: o.Metrics, at: readmodel.Checkpoint{Mark: readmodel.Mark{Entries: -1}}, tailAt: -1}
	t.seen = contract.Partition{
		Partition:  o.Claim.Partition,
		Stream:     o.Stream,
		State:      contract.StateClaiming,
		Position:   projector.ID{}.String(),
		Entries:    -1,
		LagEvents:  -1,
		EtaSeconds: -1,
		History:    contract.HistoryUnknown,
	}
	t.seen.Memory.BudgetBytes = o.CacheBytes
	t.metrics.budgetBytes.Set(float64(o.CacheBytes))
	t.metrics.is(t.seen.State)
	t.beat()
	return t
}

// beat says that the loop moves.
func (t *tracker) beat() { t.beaten.Store(time.Now().UnixNano()) }

// outside says that the loop waits for something, until the function it
// returns is called.
func (t *tracker) outside() (back func()) {
	t.waits.Add(1)
	return func() {
		t.beat()
		t.waits.Add(-1)
	}
}

func (t *tracker) alive() bool {
	return t.waits.Load() > 0 || time.Since(time.Unix(0, t.beaten.Load())) < wedged
}

func (t *tracker) ready() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.seen.State {
	case contract.StateLive, contract.StateCatchingUp, contract.StateHolding, contract.StateCompleted:
		return t.seen.Claimed
	}
	return false
}

func (t *tracker) claimed(at readmodel.Checkpoint) {
	t.update(func() {
		t.seen.Claimed, t.seen.Epoch, t.seen.Published, t.seen.Publication = true, at.Epoch, at.Published, at.Publication
		t.at, t.bounded = at, at.Until != nil
		t.reached = t.reached && t.seen.State == contract.StateHolding // nothing has happened but that it stood still
		t.rate.add(time.Now(), 0)
		t.growth.add(time.Now(), 0)
	})
}

// checked takes over what the server says of the stream.
func (t *tracker) checked(info stream.Info) {
	t.update(func() {
		if info.History != "" {
			t.seen.History = info.History
		}
		if info.Exists {
			t.first, t.tail, t.tailAt, t.tailSeen = info.FirstID, info.LastID, info.EntriesAdded, true
			if info.Entries >= 0 {
				t.at.Entries = info.Entries
			}
		}
	})
}

func (t *tracker) read(b *stream.Batch) {
	t.metrics.read.Add(float64(len(b.Events)))
	if len(b.Events) > 0 {
		t.metrics.batchBytes.Observe(float64(b.Bytes))
	}
	t.update(func() {
		if t.tailAt >= 0 && b.TailEntries > t.tailAt {
			t.growth.add(time.Now(), b.TailEntries-t.tailAt)
		}
		t.tail, t.tailAt, t.tailSeen = b.Tail, b.TailEntries, true
	})
}

// folded shows how far the fold is, which the read model follows, and what it
// has in memory.
func (t *tracker) folded(at tally, holds usage) {
	t.update(func() {
		t.rate.add(time.Now(), max(0, at.read-t.folding.read)) // after a fault it goes back
		t.metrics.holds(holds, t.holds)
		t.folding, t.holds = at, holds
		t.seen.Memory.UsedBytes = holds.bytes()
	})
}

// committed shows how far the read model is, and what this process has counted
// up to there.
func (t *tracker) committed(at readmodel.Checkpoint, counted tally) {
	t.update(func() {
		was := t.counted
		t.at, t.counted = at, counted
		t.seen.Skipped = counted.skipped
		t.metrics.folded.Add(float64(counted.folded - was.folded))
		t.metrics.skippedUnnamed.Add(float64(counted.skipped.UnnamedType - was.skipped.UnnamedType))
		t.metrics.skippedNoKey.Add(float64(counted.skipped.NoKey - was.skipped.NoKey))
	})
}

// progress says that the partition advances, or stands at the tail.
func (t *tracker) progress() {
	t.update(func() {
		t.seen.Problem = nil
		t.away = time.Time{}
		t.seen.State = contract.StateCatchingUp
		switch {
		case t.bounded:
			t.seen.State = contract.StateHolding
		case t.caughtUp():
			t.seen.State = contract.StateLive
		}
	})
}

// holding says that a Job has asked to stand still: nothing is wrong.
func (t *tracker) holding() {
	t.update(func() { t.seen.State, t.seen.Problem, t.away = contract.StateHolding, nil, time.Time{} })
}

// resumed says that it goes on, where it stood still.
func (t *tracker) resumed() {
	t.mu.Lock()
	held := t.seen.State == contract.StateHolding
	t.mu.Unlock()
	if held {
		t.progress()
	}
}

// completed says that the revision holds all that it is to hold.
func (t *tracker) completed() {
	t.update(func() { t.seen.State, t.seen.Problem, t.away = contract.StateCompleted, nil, time.Time{} })
}

func (t *tracker) rejected(commits int) {
	t.metrics.rejected.Add(float64(commits))
	t.update(func() { t.seen.Rejected += int64(commits) })
}

// failed shows a fault, and says whether it is another one than before.
func (t *tracker) failed(f *fault.Error) (other bool) {
	t.update(func() {
		was := t.seen.Problem
		t.seen.Problem = problem(f)
		other = was == nil || was.Reason != f.Reason || was.EventID != f.EventID
		if !other {
			t.seen.Problem.Since = was.Since
		}
		switch {
		case f.Permanent:
			t.seen.State = contract.StateHalted
		case isWaiting(f):
			t.seen.State = contract.StateWaiting
		default:
			t.seen.State = contract.StateBackingOff
			if t.away.IsZero() {
				t.away = time.Now()
			}
		}
	})
	return other
}

// ackFailed shows a fault of acknowledging, where there is no worse; nil takes
// it back. It says whether it is news.
func (t *tracker) ackFailed(f *fault.Error) (news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f == nil {
		t.ack = nil
		return false
	}
	news = t.ack == nil || t.ack.Reason != f.Reason
	if news {
		t.ack = problem(f)
	}
	return news
}

func (t *tracker) fenced() {
	t.failed(&fault.Error{
		Reason:    contract.ReasonFenced,
		Message:   "a later claim holds the partition; this process folds no more",
		Remedy:    "nothing, where a newer projector of this Projection runs; else delete this projector's pod",
		Permanent: true,
	})
	t.update(func() { t.seen.State = contract.StateFenced })
}

func (t *tracker) stopped() { t.update(func() { t.seen.State = contract.StateStopped }) }

func problem(f *fault.Error) *contract.Problem {
	return &contract.Problem{
		Reason:    f.Reason,
		Message:   f.Message,
		Remedy:    f.Remedy,
		Permanent: f.Permanent,
		EventID:   f.EventID,
		Since:     time.Now().UTC().Format(time.RFC3339),
	}
}

// update changes what is known, and all that follows from it.
func (t *tracker) update(change func()) {
	t.beat()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.seen
	was := s.State
	change()
	if s.State != was {
		t.metrics.is(s.State)
	}
	s.Position, s.Entries, s.Events = t.at.Position.String(), t.at.Entries, t.at.Events
	if t.tailSeen {
		s.Tail = t.tail.String()
	}
	s.LagEvents, s.LagSeconds = t.lag()
	s.CaughtUp = t.caughtUp()
	t.metrics.uncommitted.Set(float64(max(0, t.folding.read-t.counted.read)))
	t.metrics.lagEvents.Set(float64(s.LagEvents))
	t.metrics.lagSeconds.Set(float64(s.LagSeconds))
}

// lag is measured in the stream's own ordinals and times: no clock of this
// machine has a say in it.
func (t *tracker) lag() (events, seconds int64) {
	switch {
	case t.seen.State == contract.StateCompleted:
		return 0, 0
	case !t.tailSeen || !t.seen.Claimed:
		return -1, 0
	case t.tail == t.at.Position:
		return 0, 0
	case t.tail.Compare(t.at.Position) < 0:
		return -1, 0 // another stream, or one that is not there yet
	}
	events = -1
	if t.tailAt >= 0 && t.at.Entries >= 0 {
		events = max(0, t.tailAt-t.at.Entries)
	}
	from := max(t.at.Position.Ms, t.first.Ms)
	if t.tail.Ms > from {
		seconds = int64(min((t.tail.Ms-from)/1000, math.MaxInt64))
	}
	return events, seconds
}

// caughtUp begins at the tail and lasts while the lag is within a batch and
// nothing has stopped the fold for good, or for so long that the tail is not
// known any more.
func (t *tracker) caughtUp() bool {
	switch t.seen.State {
	case contract.StateHalted, contract.StateFenced:
		return false
	case contract.StateBackingOff:
		if time.Since(t.away) > known {
			return false
		}
	}
	events, _ := t.lag()
	t.reached = events == 0 || t.reached && events > 0 && events <= nearTail
	return t.reached
}

func (t *tracker) snapshot() contract.Partition {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.seen
	now := time.Now()
	s.EventsPerSecond, s.EtaSeconds = math.Round(t.rate.at(now)*10)/10, t.eta(now)
	if s.Problem == nil {
		s.Problem = t.ack
	}
	if s.Problem != nil {
		copied := *s.Problem
		s.Problem = &copied
	}
	return s
}
