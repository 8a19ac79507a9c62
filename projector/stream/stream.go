// Package stream reads one Redis Stream exactly: in order, without a gap, and
// with its history checked, so that what it hands on is what was added after a
// position or an error that says why it cannot be. It keeps the consumer group
// that shows the position to others. It folds nothing, stores nothing, retries
// nothing and knows no read model: retry, backoff and shutdown are the engine's.
package stream

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// Limit bounds a batch. Zero means a sensible default.
type Limit struct {
	Events int // at most so many
	Bytes  int // of replies, aimed at; a single larger event still passes
}

// Reader reads one stream. It is used by one goroutine at a time; batches may
// be released by any.
type Reader struct {
	client *redis.Client
	src    contract.Source
	group  string
}

// NewReader does no I/O and starts nothing.
func NewReader(client *redis.Client, src contract.Source, group string) *Reader {
	return &Reader{client: client, src: src, group: group}
}

// Info is what the server says of the stream, and what follows from it.
type Info struct {
	Exists       bool
	Length       int64
	EntriesAdded int64        // ever added, -1 when the server does not say
	LastID       projector.ID // last generated
	FirstID      projector.ID // of the first entry there is; zero when there is none
	LastEntryID  projector.ID // of the last entry there is; zero when there is none
	MaxDeletedID projector.ID // the largest ID that was deleted
	History      contract.History
	Entries      int64 // the position's ordinal, -1 while unknown
}

// Batch is the entries after a position, in order and without a gap. Its
// events are views into its buffer: valid until Release.
type Batch struct {
	Events      []projector.Event
	Last        projector.ID // of the last event; the position itself when empty
	Entries     int64        // ordinal of Last, -1 while unknown
	Tail        projector.ID // the stream's last generated ID, as of this batch
	TailEntries int64        // entries ever added, as of this batch, -1 while unknown
	Bytes       int          // size of the reply
}

// Release gives the buffer back; the events are not valid any more.
func (b *Batch) Release() {}

// Check looks at the stream against the position, before anything is folded
// and after every reconnect.
func (r *Reader) Check(ctx context.Context, position projector.ID, entries int64) (Info, error) {
	return Info{}, nil
}

// Read returns what comes after the position: at once when there is something,
// else after at most block; an empty batch is no error.
func (r *Reader) Read(ctx context.Context, after projector.ID, entries int64, limit Limit, block time.Duration) (*Batch, error) {
	return nil, nil
}

// Ack moves the group to the position, and makes it when it is not there.
func (r *Reader) Ack(ctx context.Context, position projector.ID, entries int64) error { return nil }

// DropGroup removes the group; a stream or a group that is not there is fine.
func (r *Reader) DropGroup(ctx context.Context) error { return nil }

// Close ends what Read has begun ahead. No other call may be under way.
func (r *Reader) Close() error { return nil }
