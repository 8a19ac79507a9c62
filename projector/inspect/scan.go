package inspect

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/courtesy"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/inspect/api"
	"github.com/refold-dev/refold/projector/stream"
)

// scan reads the log from the beginning of the history up to an ID, in as large
// pieces as nobody minds, and rests when others want the servers.
type scan struct {
	reader   *stream.Reader
	info     stream.Info // as it began
	position projector.ID
	entries  int64 // the position's ordinal, -1 while unknown
	last     projector.ID
	over     bool // what comes next is after the last
	read     int64

	tolerant   bool   // what is left of the history will do
	incomplete bool   // a part of it was gone
	behind     bool   // the projector is not as far as the log, and last is its position
	halted     string // the event that the projector does not pass, if last is before it

	limits  limits
	hold    func(context.Context, int64) (func(), error)
	release func() // of what is held for a large event; nil: nothing is
	*manners
}

// errDone ends a scan before its end.
var errDone = errors.New("enough was read")

// look checks the log from source.from on. Info is what is known also beside an error.
func look(ctx context.Context, r *stream.Reader, source contract.Source) (stream.Info, error) {
	start, err := projector.ParseStart(source.From)
	if err != nil {
		return stream.Info{}, err
	}
	return r.Check(ctx, start.Prev(), -1)
}

// open begins a scan of all that is folded up to an ID or a time. nil is now.
// incomplete says that what is left of the history will do.
func (s *Server) open(ctx context.Context, until *projector.ID, incomplete bool) (*scan, error) {
	c := s.newScan(s.Document.Source)
	if err := c.begin(ctx, s.Document.Source, incomplete); err != nil {
		c.close()
		return nil, err
	}
	if err := c.bound(s.Document.Source, s.Status(), until); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (s *Server) newScan(source contract.Source) *scan {
	return &scan{reader: s.Reader(source), limits: s.limits, hold: s.hold, manners: s.newManners()}
}

func (c *scan) close() {
	c.settle()
	_ = c.reader.Close()
}

// grow sets memory aside for one event that is larger than a page.
func (c *scan) grow(ctx context.Context) (err error) {
	c.release, err = c.hold(ctx, c.limits.large)
	return err
}

// settle gives it back, when the event is gone.
func (c *scan) settle() {
	if c.release != nil {
		c.release()
		c.release = nil
	}
}

// atMost is how large the next event may be.
func (c *scan) atMost() int {
	if c.release != nil {
		return c.limits.event
	}
	if c.limits.event > 0 {
		return min(c.limits.page, c.limits.event)
	}
	return c.limits.page
}

func (c *scan) begin(ctx context.Context, source contract.Source, incomplete bool) error {
	start, err := projector.ParseStart(source.From)
	if err != nil {
		return err
	}
	c.position, c.tolerant = start.Prev(), incomplete
	c.info, err = c.reader.Check(ctx, c.position, -1)
	switch f := fault.As(err); {
	case f == nil || f.Reason != contract.ReasonHistoryLost:
	case !incomplete:
		return conflict(api.ReasonIncomplete, "%s, so nobody can tell what came of it. Add incomplete=true to fold what is left, from %s on", f.Message, c.info.Left())
	default:
		err = c.skip(ctx, err)
	}
	c.entries = c.info.Entries
	return err
}

// skipAttempts is how often is begun anew with what is left of a log that is
// trimmed all the while.
const skipAttempts = 20

// skip goes on with what is left of the log, where what comes next is gone.
func (c *scan) skip(ctx context.Context, err error) error {
	c.reader.Tolerate(true)
	for range skipAttempts {
		if f := fault.As(err); f == nil || f.Reason != contract.ReasonHistoryLost {
			break
		}
		c.incomplete = true
		if left := c.info.Left().Prev(); left.Compare(c.position) > 0 {
			c.position = left
		}
		c.info, err = c.reader.Check(ctx, c.position, -1)
	}
	c.entries = c.info.Entries
	return err
}

// bound finds where the scan ends: at what was asked for, and not beyond what the
// projector folds.
func (c *scan) bound(source contract.Source, status contract.Partition, until *projector.ID) error {
	c.last = c.info.LastEntryID
	if end, err := projector.ParseEnd(source.Until); source.Until != "" && err == nil && end.Compare(c.last) < 0 {
		c.last = end
	}
	if until != nil {
		if err := inLog(c.info, *until); err != nil {
			return err
		}
		if start, err := projector.ParseStart(source.From); err == nil && until.Compare(start) < 0 {
			return notFound(api.ReasonOutsideLog, "%s lies before source.from %s, where this projection begins", shownID(*until), source.From)
		}
	}
	if folded, is := behind(status); is && folded.Compare(c.last) < 0 {
		c.last, c.behind = folded, true
	}
	halt, is := haltedAt(status)
	if is && halt.Compare(c.last) <= 0 {
		if until != nil && halt.Compare(*until) <= 0 {
			return conflict(contract.ReasonEventFailed, "the projector does not pass the event %s, so there is no state after it: %s. Ask for one before it, %s at the latest",
				halt, status.Problem.Message, halt.Prev())
		}
		c.last, c.halted = halt.Prev(), halt.String()
	}
	if until != nil && until.Compare(c.last) <= 0 {
		c.last, c.behind = *until, false
	}
	return nil
}

// behind is how far a projector is that is not at the tail: beyond that it may
// halt, at another entity's event, so nobody knows what will be.
func behind(s contract.Partition) (position projector.ID, is bool) {
	switch s.State {
	case contract.StateCatchingUp, contract.StateBackingOff, contract.StateHalted, contract.StateHolding:
		position, err := projector.ParseID(s.Position)
		return position, err == nil && s.Claimed
	}
	return position, false
}

// haltedAt is the event that a projector does not pass.
func haltedAt(s contract.Partition) (id projector.ID, is bool) {
	if s.Problem == nil || s.Problem.EventID == "" {
		return id, false
	}
	id, err := projector.ParseID(s.Problem.EventID)
	return id, err == nil
}

// clockSkew is how far ahead of this clock an ID may be.
const clockSkew = 2 * time.Second

// inLog says whether there was such a time.
func inLog(info stream.Info, at projector.ID) error {
	holds := "the log is empty"
	if info.Length > 0 {
		holds = "the log holds " + info.FirstID.String() + " (" + timeOf(info.FirstID).Format(time.RFC3339Nano) + ") to " +
			info.LastEntryID.String() + " (" + timeOf(info.LastEntryID).Format(time.RFC3339Nano) + ")"
	}
	now := uint64(time.Now().Add(clockSkew).UnixMilli())
	switch {
	case at.Compare(info.LastID) > 0 && at.Ms > now:
		return notFound(api.ReasonOutsideLog, "%s lies in the future; %s", shownID(at), holds)
	case info.Length > 0 && at.Compare(info.FirstID) < 0:
		return notFound(api.ReasonOutsideLog, "%s lies before the log; %s", shownID(at), holds)
	}
	return nil
}

// shownID is as a person would write it: the last ID of a millisecond stands for that.
func shownID(id projector.ID) string {
	if id.Seq == math.MaxUint64 {
		return timeOf(id).Format(time.RFC3339Nano)
	}
	return id.String()
}

// timeOf is the time in an ID, the last of year 9999 for all that are later.
func timeOf(id projector.ID) time.Time {
	const most = 253402300799999
	return time.UnixMilli(int64(min(id.Ms, most))).UTC()
}

// each gives every event up to the last, and shows how far it is.
func (c *scan) each(a *answer, visit func(*projector.Event) error) error {
	for !c.over && c.position.Compare(c.last) < 0 {
		n, err := c.piece(a.ctx(), visit)
		if err != nil || n == 0 {
			return err
		}
		if err := a.progress(c.progress); err != nil {
			return err
		}
	}
	return nil
}

// piece reads once, and says how much there was.
func (c *scan) piece(ctx context.Context, visit func(*projector.Event) error) (n int, err error) {
	if err := c.giveWay(ctx); err != nil {
		return 0, err
	}
	batch, err := c.readOn(ctx, 0)
	if err != nil {
		return 0, err
	}
	defer c.settle()
	defer batch.Release()
	for i := range batch.Events {
		e := &batch.Events[i]
		if e.ID.Compare(c.last) > 0 {
			c.over = true
			return i, nil
		}
		c.read++
		if err := visit(e); err != nil {
			return i, err
		}
		c.position = e.ID
	}
	c.entries = batch.Entries
	return len(batch.Events), nil
}

// readOn reads the next batch; of a log of which what is left will do, the next
// that there is.
func (c *scan) readOn(ctx context.Context, block time.Duration) (batch *stream.Batch, err error) {
	for range skipAttempts {
		batch, err = c.reader.Read(ctx, c.position, c.entries, c.limit(), block)
		if isLarge(err) && c.release == nil {
			if err := c.grow(ctx); err != nil {
				return nil, err
			}
			batch, err = c.reader.Read(ctx, c.position, c.entries, c.limit(), block)
		}
		if err == nil || !c.tolerant {
			return batch, err
		}
		if err := c.skip(ctx, err); err != nil {
			return nil, err
		}
	}
	return nil, err
}

func (c *scan) limit() stream.Limit {
	limit := stream.Limit{Bytes: c.limits.page, Most: c.atMost()}
	if !c.courtesy.Alone() {
		limit.Events, limit.Bytes = courtesy.Events, min(courtesy.Bytes, c.limits.page)
	}
	if c.release != nil {
		limit.Events = 1 // memory is set aside for one
	}
	return limit
}

func (c *scan) progress() api.Progress {
	return api.Progress{Position: c.position.String(), Last: c.last.String(), Entries: c.read, Of: c.info.Length}
}

func (c *scan) end() api.End {
	return api.End{Position: c.position.String(), Entries: c.read, Incomplete: c.incomplete, Halted: c.halted, Behind: c.behind}
}
