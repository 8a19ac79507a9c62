// Package stream reads one Redis Stream exactly: in order, without a gap, and
// with its history checked, so that what it hands on is what was added after a
// position, or an error that says why it cannot be. It keeps the consumer group
// that shows the position to others. It folds nothing, stores nothing, retries
// nothing and knows no read model: retry, backoff and shutdown are the engine's.
//
// A batch is handed on only when it is proven. Each XREAD travels with an XINFO
// STREAM behind it. What is removed from a stream never comes back, so if the
// later answer shows that nothing after the position is gone, nothing was gone
// when the earlier one was made. See judge.
package stream

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/redisconn"
)

// Limit bounds a batch. Zero means a sensible default.
type Limit struct {
	Events int // at most so many
	Bytes  int // of one reply, aimed at; a single larger event still passes
	// Most is how many bytes one event may have, as it comes over the wire; 0 is
	// no bound. A larger one is not read: see EventShare.
	Most int
}

// EventShare is the part of Go's memory limit that one event may take, and
// Limit.Most is the limit divided by it. Where one such event follows another,
// some fifteen times its size is in use beside the cache, which has two fifths:
// four buffers of batches, two commits, what is loaded, states that grow. Measured
// in containers of 64, 128 and 512 MiB: a share of 16 may end in a kill, 32 leaves
// a sixth of the memory, 40 a quarter; a document of JSON takes some of that.
const EventShare = 40

// Reader reads one stream. Check, Read and Close are for one goroutine at a
// time; Ack and DropGroup may be called beside them, and batches released, by
// any. While it is behind, the next batch is asked for before one is handed on:
// its reply comes together in the kernel's buffers while the one before is
// folded, and takes no memory here.
type Reader struct {
	client *redis.Client
	src    contract.Source
	group  string

	tolerant bool // of deleted entries

	wire  *wire // what batches come over; nil when there is none
	count int   // of the next request, follows the size of events

	mu   sync.Mutex
	free []memory
}

// NewReader does no I/O and starts nothing.
func NewReader(client *redis.Client, src contract.Source, group string) *Reader {
	return &Reader{client: client, src: src, group: group, count: firstCount}
}

// Check looks at the stream against the position, before anything is folded
// and after every reconnect. Info is what is known also when there is an error.
// Entries is the position's ordinal, -1 while unknown. Of a new revision the
// position is source.from's Prev.
//
// Errors are the context's, or faults: SourceMissing and FromAfterEnd where the
// revision is new and only has to wait; SourceDiverged and HistoryLost where the
// log is not, or not wholly, the one that the position belongs to; and what
// redisconn.Classify makes of the server's.
func (r *Reader) Check(ctx context.Context, position projector.ID, entries int64) (Info, error) {
	c, err := r.claim(position, entries)
	if err != nil {
		return Info{}, err
	}
	info, err := r.info(ctx)
	if err != nil {
		return Info{}, r.fault(ctx, err)
	}
	info, err = c.judge(info)
	if err != nil || !c.wantsEntry(info) {
		return info, err
	}
	return r.checkEntry(ctx, c)
}

// Read returns what comes after the position: at once when there is something,
// else after at most block; an empty batch is no error. Position and ordinal
// are those of the last batch, or of Check. Errors are as of Check, and
// EventTooLarge where the next event has more bytes than limit.Most; then nothing
// was read: Check, and read again from the position.
func (r *Reader) Read(ctx context.Context, after projector.ID, entries int64, limit Limit, block time.Duration) (*Batch, error) {
	c, err := r.claim(after, entries)
	if err != nil {
		return nil, err
	}
	limit = limit.orDefault()
	b, err := r.fetch(ctx, c, limit, block)
	if err == nil {
		if err = r.askAhead(b, limit); err == nil {
			return b, nil
		}
		b.Release()
	}
	r.hangUp()
	return nil, r.fault(ctx, err)
}

// Tolerate sets whether entries after the position may have been deleted before
// they were read; those trimmed are missed in any case. No other call may be
// under way.
func (r *Reader) Tolerate(deleted bool) { r.tolerant = deleted }

// Close hangs up, whatever is under way to it. The Reader may be used again. No
// other call may be under way.
func (r *Reader) Close() error {
	r.hangUp()
	return nil
}

func (r *Reader) hangUp() {
	if r.wire != nil {
		r.wire.close()
		r.wire = nil
	}
}

// fault turns any error into the context's or a fault.
func (r *Reader) fault(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	if f := redisconn.Classify(redisconn.Source, err); f != nil {
		return f
	}
	return err
}
