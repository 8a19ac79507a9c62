package stream

import (
	"context"

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
func (r *Reader) holds(ctx context.Context, id projector.ID) (there bool, err error) {
	err = r.single(ctx, func(answer byteReader) error {
		p := puller{r: answer}
		there = p.firstRead() == id
		return p.err
	}, "XREAD", "COUNT", "1", "STREAMS", r.src.Stream, id.Prev().String())
	return there, err
}

// firstRead is the ID of the one entry in the answer to XREAD, zero when there
// is none.
func (p *puller) firstRead() projector.ID {
	kind, n := p.head()
	if p.err != nil || n < 0 {
		return projector.ID{}
	}
	if kind == '*' {
		_, n = p.head()
	}
	p.skip(0) // the stream's name
	if _, entries := p.head(); p.err == nil && (n != 2 || entries != 1) {
		p.fail("not one entry of one stream")
	}
	return p.entryID()
}
