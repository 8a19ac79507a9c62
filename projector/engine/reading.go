package engine

import (
	"context"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/stream"
)

// read is a batch, or why there is none.
type read struct {
	batch *stream.Batch
	err   error
}

// release gives the batch back, where there is one.
func (r read) release() {
	if r.batch != nil {
		r.batch.Release()
	}
}

// reading reads one batch after another: beside the fold what it is asked for,
// while there is something to fold; at the tail on the goroutine of who waits for
// it, as to hand an event over would take as long as the rest of its way.
type reading struct {
	reader Reader
	limit  stream.Limit // changed only while nothing is asked for
	block  time.Duration

	position projector.ID // the next read comes after
	entries  int64
	asked    bool
	ask      chan struct{}
	out      chan read
}

// startReading begins after the position. stop ends it and waits.
func startReading(ctx context.Context, r Reader, p Pace, position projector.ID, entries int64) (reads *reading, stop func()) {
	reads = &reading{
		reader:   r,
		limit:    p.limit(),
		block:    p.Block,
		position: position,
		entries:  entries,
		ask:      make(chan struct{}, 1),
		out:      make(chan read, 1),
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(reads.out)
		for range reads.ask {
			reads.out <- reads.now(ctx)
		}
	}()
	return reads, func() {
		cancel()
		close(reads.ask)
		for r := range reads.out { // nothing is taken any more
			r.release()
		}
		_ = r.Close()
	}
}

func (p Pace) limit() stream.Limit {
	return stream.Limit{Events: p.BatchEvents, Bytes: p.BatchBytes, Most: p.EventBytes}
}

// now reads on the caller's goroutine. Nothing may be asked for.
func (r *reading) now(ctx context.Context) read {
	batch, err := r.reader.Read(ctx, r.position, r.entries, r.limit, r.block)
	if err == nil && ctx.Err() != nil {
		batch.Release()
		batch, err = nil, ctx.Err()
	}
	return read{batch, err}
}

// ahead asks for the next batch.
func (r *reading) ahead() {
	if !r.asked {
		r.asked = true
		r.ask <- struct{}{}
	}
}

// taken says that what was read is being folded.
func (r *reading) taken(b *stream.Batch) {
	r.position, r.entries, r.asked = b.Last, b.Entries, false
}
