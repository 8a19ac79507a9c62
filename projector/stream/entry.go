package stream

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
)

// checkEntry makes sure that the entry at the position is there. It may have
// been trimmed or deleted while it was looked for, so the stream is judged again
// before its absence counts: what is removed never comes back.
func (r *Reader) checkEntry(ctx context.Context, c claim) (Info, error) {
	there, err := r.holds(ctx, c.position)
	if err != nil {
		return Info{}, r.fault(ctx, err)
	}
	info, err := r.info(ctx)
	if err != nil {
		return Info{}, r.fault(ctx, err)
	}
	info, err = c.judge(info)
	if err == nil && !there && c.wantsEntry(info) {
		err = diverged("it does not hold the entry at the position %s, and that was not removed", c.position)
	}
	return info, err
}

// holds says whether the stream has an entry of that ID. It asks with XREAD,
// which a projector's user may do in any case.
func (r *Reader) holds(ctx context.Context, id projector.ID) (bool, error) {
	raw, err := r.client.DoRaw(ctx, "XREAD", "COUNT", "1", "STREAMS", r.src.Stream, id.Prev().String()).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	b := &Batch{Last: id.Prev(), buf: raw}
	n, want, err := b.opening(r.src.Stream)
	if err == nil && want == 0 && n > 0 {
		want, err = b.event()
	}
	if err == nil && want > 0 {
		err = errCorrupt
	}
	return b.Last == id, err
}
