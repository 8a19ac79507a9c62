// Package rebuild folds a stream on this machine, in memory, with the reducer of
// a manifest: the classic rebuilder of a state. It only reads the stream, and it
// reads it as a projector does: in order, proven to be whole, or not at all.
package rebuild

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect"
	"github.com/refold-dev/refold/projector/stream"
)

// Request is what is to be folded.
type Request struct {
	Document contract.Document // whose source.from is where to begin
	Registry projector.Registry
	Until    *projector.ID // inclusive; nil for source.until, and the stream's end as of now
	Key      *string       // fold one entity alone
	Memory   int64         // bytes that entities may take

	// Progress is told now and then how far it is.
	Progress func(Progress)
}

// Progress is how far a fold is.
type Progress struct {
	Events, Total int64 // Total is -1 while unknown
	Position      projector.ID
	Entities      int
}

// Result is the state that was folded.
type Result struct {
	Fold     *inspect.Fold
	Position projector.ID // of the last event that was folded; zero if there was none
	Events   int64
	Skipped  int64
	Deleted  projector.ID // the event that last deleted Request.Key; zero if none did
	History  contract.History
}

// TooLarge says that entities take more memory than they may.
type TooLarge struct {
	Entities int
	Position projector.ID
}

func (e *TooLarge) Error() string {
	return fmt.Sprintf("at the event %s the entities, %d by now, take more memory than they may", e.Position, e.Entities)
}

// Run folds, until the end, the first event that fails, or the context's end. An
// error of an event is a *fault.Error with its ID; the result then holds the state
// before it.
func Run(ctx context.Context, client *redis.Client, r Request) (*Result, error) {
	fold, err := inspect.NewFold(r.Document, r.Registry)
	if err != nil {
		return nil, err
	}
	if r.Key != nil {
		fold.Only(*r.Key)
	}
	w := &walk{Request: r, reader: stream.NewReader(client, r.Document.Source, ""), result: &Result{Fold: fold}}
	defer func() { _ = w.reader.Close() }()
	if err := w.begin(ctx); err != nil {
		return w.result, err
	}
	for !w.done {
		if err := w.batch(ctx); err != nil {
			return w.result, err
		}
	}
	w.tell()
	return w.result, nil
}

// walk is one way through the stream.
type walk struct {
	Request
	reader  *stream.Reader
	result  *Result
	at, end projector.ID
	entries int64
	total   int64
	done    bool
	told    time.Time
}

// begin checks that the log is whole from source.from on, and where it ends.
func (w *walk) begin(ctx context.Context) error {
	start, err := projector.ParseStart(w.Document.Source.From)
	if err != nil {
		return fmt.Errorf("source.from: %w", err)
	}
	w.at = start.Prev()
	info, err := w.reader.Check(ctx, w.at, 0)
	if err != nil {
		return err
	}
	w.entries, w.result.History = info.Entries, info.History
	w.total = -1
	if info.Entries >= 0 && info.EntriesAdded >= 0 {
		w.total = info.EntriesAdded - info.Entries
	}
	w.end = info.LastEntryID
	if err := w.bound(); err != nil {
		return err
	}
	w.done = w.end.Compare(w.at) <= 0
	return nil
}

// bound ends the walk where it was asked to end.
func (w *walk) bound() error {
	until := w.Until
	if until == nil && w.Document.Source.Until != "" {
		id, err := projector.ParseEnd(w.Document.Source.Until)
		if err != nil {
			return fmt.Errorf("source.until: %w", err)
		}
		until = &id
	}
	if until != nil && until.Compare(w.end) < 0 {
		w.end, w.total = *until, -1
	}
	return nil
}

// readFor is how long to wait for an answer with nothing in it: the end is known,
// so it is never waited for.
const readFor = 10 * time.Millisecond

func (w *walk) batch(ctx context.Context) error {
	b, err := w.reader.Read(ctx, w.at, w.entries, stream.Limit{}, readFor)
	if err != nil {
		return err
	}
	defer b.Release()
	for i := range b.Events {
		if b.Events[i].ID.Compare(w.end) > 0 {
			w.done = true
			return nil
		}
		if err := w.event(&b.Events[i]); err != nil {
			return err
		}
	}
	w.at, w.entries = b.Last, b.Entries
	w.done = w.done || w.at.Compare(w.end) >= 0 || len(b.Events) == 0
	if now := time.Now(); now.Sub(w.told) >= interval {
		w.told = now
		w.tell()
	}
	return nil
}

// interval is between two words of progress.
const interval = 100 * time.Millisecond

func (w *walk) tell() {
	if w.Progress != nil {
		w.Progress(Progress{w.result.Events, w.total, w.result.Position, w.result.Fold.Len()})
	}
}

func (w *walk) event(e *projector.Event) error {
	step, err := w.result.Fold.Apply(e)
	if err != nil {
		return err
	}
	w.result.Position = e.ID
	w.result.Events++
	if step.Skipped != "" {
		w.result.Skipped++
	}
	for _, effect := range step.Effects {
		if effect.Deleted {
			w.result.Deleted = e.ID
		}
	}
	if w.Memory > 0 && w.result.Fold.Bytes() > w.Memory {
		return &TooLarge{w.result.Fold.Len(), e.ID}
	}
	return nil
}
