package redishash

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/redisconn"
)

// Commit implements readmodel.Partition. When something touched the ledger and
// the claim still holds, it is tried once more.
func (p *partition) Commit(ctx context.Context, prepared readmodel.Transaction) error {
	t := prepared.(*transaction)
	defer p.pool.give(t)
	if t.epoch != p.epoch {
		return readmodel.ErrFenced
	}
	release := p.wire.During(ctx)
	defer release()
	err := p.transact(t)
	if errors.Is(err, errContended) {
		err = p.transact(t)
	}
	switch f := fault.As(err); {
	case errors.Is(err, errContended):
		return &fault.Error{
			Reason:  contract.ReasonReadModelUnreachable,
			Message: fmt.Sprintf("something else keeps writing to the ledger %q", p.names.position),
			Remedy:  "nothing: it is tried again; find out what writes there",
			Err:     err,
		}
	case f != nil && errors.Is(f, errPartial):
		p.damaged(ctx, f)
	}
	return err
}

// transact is one attempt, under the WATCH that is already there.
func (p *partition) transact(t *transaction) error {
	if err := p.holds(); err != nil {
		return err
	}
	if err := p.free(t); err != nil {
		return err
	}
	altered, err := p.execute(t)
	if err != nil || len(altered) == 0 {
		return err
	}
	return &readmodel.AlteredError{Keys: altered, Err: altering(p.location + altered[0])}
}

// holds says, by what was read after the WATCH, whether the claim still holds.
func (p *partition) holds() error {
	switch seen := &p.seen; {
	case seen.err != nil:
		return ledgerFault(p.names.position, seen.err)
	case !seen.watched:
		return ledgerGone(p.names.position)
	case seen.epoch > p.epoch, seen.published != p.published:
		return readmodel.ErrFenced
	case seen.epoch < p.epoch, !seen.ours, !seen.asLeft:
		// The server went back to an older state, under a connection that lasted.
		return ledgerGone(p.names.position)
	}
	return nil
}

// free makes sure that there is nothing yet where the commit will create.
func (p *partition) free(t *transaction) error {
	if len(t.check) == 0 {
		return nil
	}
	if err := p.wire.Send(t.check); err != nil {
		return redisFault(err)
	}
	var taken int64
	for range t.free.cuts {
		if t.watches() {
			if _, err := answer(p.wire, '+'); err != nil {
				return redisFault(err)
			}
		}
		n, err := answer(p.wire, ':')
		if err != nil {
			return redisFault(err)
		}
		taken += n.N
	}
	if taken == 0 {
		return nil
	}
	if err := p.firstForeign(p.wire, t.created); err != nil {
		return p.unlessFenced(err)
	}
	return errContended // it was there for a moment
}

// unlessFenced asks who holds the partition now, before anybody else is blamed: a
// successor may have made the key.
func (p *partition) unlessFenced(err error) error {
	if err := p.wire.Send(p.look); err != nil {
		return redisFault(err)
	}
	p.seen.err = p.readWatch()
	if fenced := p.holds(); fenced != nil {
		return fenced
	}
	return err
}

// firstForeign names the first of keys that exists; nil when none does.
func (p *partition) firstForeign(w *redisconn.Wire, keys []string) error {
	var request []byte
	for chunk := range slices.Chunk(keys, wordsPerCommand) {
		request = request[:0]
		for _, key := range chunk {
			request = appendBulkKey(appendHead(request, 2, verbExists), p.location, key)
		}
		if err := w.Send(request); err != nil {
			return redisFault(err)
		}
		foreign := -1
		for i := range chunk {
			n, err := answer(w, ':')
			if err != nil {
				return redisFault(err)
			}
			if n.N > 0 && foreign < 0 {
				foreign = i
			}
		}
		if foreign >= 0 {
			return foreignEntity(p.location + chunk[foreign])
		}
	}
	return nil
}

// answer reads a reply of one kind.
func answer(w *redisconn.Wire, kind byte) (redisconn.Reply, error) {
	r, err := w.Reply()
	switch {
	case err != nil:
		return r, err
	case r.Err() != nil:
		return r, r.Err()
	case r.Kind != kind:
		return r, fmt.Errorf("%w: %q where %q belongs", redisconn.ErrBadReply, r.Kind, kind)
	}
	return r, nil
}

// damaged notes that the read model misses an effect that its position counts,
// so that no later claim goes on as if it did not.
func (p *partition) damaged(ctx context.Context, f *fault.Error) {
	_ = p.store.client.HSet(ctx, p.names.control, damagedPrefix+p.names.revision, f.Message).Err()
}
