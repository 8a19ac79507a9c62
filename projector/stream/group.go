package stream

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
)

// The group is not read through: it shows the position to XINFO GROUPS and to
// whoever scales or trims by it, and costs the server nothing per entry.

// Ack moves the group to the position, and makes it when it is not there. It is
// cumulative: a lost one is made good by the next. With the ordinal, the lag
// that Redis shows is exact. It never makes a stream.
func (r *Reader) Ack(ctx context.Context, position projector.ID, entries int64) error {
	err := r.xgroup(ctx, "SETID", position, entries)
	if redis.HasErrorPrefix(err, "NOGROUP") {
		err = r.xgroup(ctx, "CREATE", position, entries)
	}
	if redis.HasErrorPrefix(err, "BUSYGROUP") {
		err = r.xgroup(ctx, "SETID", position, entries)
	}
	switch {
	case err == nil:
		return nil
	case noStream(err):
		c, err := r.claim(position, entries)
		if err != nil {
			return err
		}
		return c.missing()
	}
	return r.fault(ctx, err)
}

func (r *Reader) xgroup(ctx context.Context, verb string, position projector.ID, entries int64) error {
	args := []any{"XGROUP", verb, r.src.Stream, r.group, position.String()}
	if entries >= 0 {
		args = append(args, "ENTRIESREAD", entries)
	}
	return r.client.Do(ctx, args...).Err()
}

// DropGroup removes the group; a stream or a group that is not there is fine,
// and so is a key that is no stream: there is no group of ours then.
func (r *Reader) DropGroup(ctx context.Context) error {
	err := r.client.XGroupDestroy(ctx, r.src.Stream, r.group).Err()
	if err == nil || noStream(err) || redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil
	}
	return r.fault(ctx, err)
}

// noStream tells the error with which XGROUP misses its key.
func noStream(err error) bool {
	return redis.HasErrorPrefix(err, "The XGROUP subcommand requires the key to exist")
}
