package stream

import (
	"context"
	"errors"
	"time"

	"github.com/refold-dev/refold/projector/redisconn"
)

const (
	defaultEvents = 8192
	defaultBytes  = 4 << 20
	// firstCount is small because nothing is known of the events' size yet.
	firstCount = 64
	// countGrowth is how fast a request grows while events stay small.
	countGrowth = 8
	// cutFactor: a reply that is so many times larger than was aimed at is cut
	// off after the events that are there already.
	cutFactor = 4
)

func (l Limit) orDefault() Limit {
	if l.Events <= 0 {
		l.Events = defaultEvents
	}
	if l.Bytes <= 0 {
		l.Bytes = defaultBytes
	}
	return l
}

// fetch reads one batch and proves it. After an error the wire is of no use.
func (r *Reader) fetch(ctx context.Context, c claim, limit Limit, block time.Duration) (*Batch, error) {
	if w := r.wire; w != nil && (w.asked.after != c.position || w.asked.count > limit.Events) {
		r.clear()
	}
	if err := r.dial(ctx); err != nil {
		return nil, err
	}
	b := r.newBatch(c.position)
	b.most, b.kept = limit.Most, min(b.kept, 2*limit.Bytes)
	stop := context.AfterFunc(ctx, r.wire.close)
	info, err := r.exchange(ctx, b, limit, block)
	if err == nil {
		err = c.prove(b, info)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

// askAhead makes the request for what comes after a batch before that is handed
// on, so that the server works on it while the batch is folded.
func (r *Reader) askAhead(b *Batch, limit Limit) error {
	if !b.more {
		return nil
	}
	return r.wire.ask(r.src.Stream, request{b.Last, min(r.count, limit.Events)}, 0)
}

// clear leaves no wire on which an answer may come that nobody waits for.
func (r *Reader) clear() {
	if r.wire != nil && r.wire.asked.count > 0 {
		r.hangUp()
	}
}

func (r *Reader) dial(ctx context.Context) (err error) {
	if r.wire == nil {
		r.wire, err = openWire(ctx, r.client)
	}
	return err
}

// exchange makes the two requests, where they were not made ahead, and reads
// their two answers.
func (r *Reader) exchange(ctx context.Context, b *Batch, limit Limit, block time.Duration) (Info, error) {
	if r.wire.asked.count == 0 {
		if err := r.wire.ask(r.src.Stream, request{b.Last, min(r.count, limit.Events)}, block); err != nil {
			return Info{}, err
		}
	}
	count := r.wire.asked.count
	err := r.wire.entries(b, r.src.Stream, count, cutFactor*limit.Bytes)
	cut := errors.Is(err, errCut)
	if err != nil && !cut {
		return Info{}, err
	}
	r.count = nextCount(count, len(b.Events), b.Bytes, limit)
	if !cut {
		return r.wire.info(b)
	}
	// The rest of the reply is not worth reading: hang up, and ask for the proof
	// again.
	r.hangUp()
	return r.info(ctx)
}

// nextCount aims at limit.Bytes a reply, and grows step by step.
func nextCount(count, got, size int, limit Limit) int {
	if got == 0 {
		return count
	}
	fits := max(1, limit.Bytes/max(1, size/got))
	if got >= count {
		count *= countGrowth
	}
	return min(count, fits, limit.Events)
}

// info asks for the stream's state.
func (r *Reader) info(ctx context.Context) (info Info, err error) {
	err = r.single(ctx, func(answer byteReader) error {
		info, err = readInfo(answer)
		return err
	}, "XINFO", "STREAM", r.src.Stream)
	return info, err
}

// single makes one request on the wire, of which the answer may hold entries
// of any size: it is read piece by piece.
func (r *Reader) single(ctx context.Context, read func(byteReader) error, words ...string) error {
	r.clear()
	if err := r.dial(ctx); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, r.wire.close)
	answer, err := r.wire.call(words...)
	if err == nil {
		err = read(answer)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		r.hangUp() // there may be half an answer on it
	}
	return err
}

var errCorrupt = redisconn.ErrBadReply
