package redishash

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/redisconn"
)

// loadAtOnce is how many keys share round trips.
const loadAtOnce = 16 * wordsPerCommand

// Load implements readmodel.Partition: two round trips, the first to learn which
// of the keys are ours. It has a connection of its own, which is opened when it
// is needed and given up after any error.
func (p *partition) Load(ctx context.Context, keys []string, states []*projector.State) error {
	if p.loader == nil {
		var err error
		if p.loader, err = redisconn.OpenWire(ctx, p.store.client); err != nil {
			p.loader = nil
			return redisFault(err)
		}
	}
	release := p.loader.During(ctx)
	defer release()
	for len(keys) > 0 {
		n := min(len(keys), loadAtOnce)
		if err := p.load(keys[:n], states[:n]); err != nil {
			p.loader.Close()
			p.loader = nil
			return p.unlessMoved(ctx, err)
		}
		keys, states = keys[n:], states[n:]
	}
	return nil
}

// unlessMoved asks who holds the partition now, before anybody else is blamed for
// what a key holds: the entities may have been renamed since the claim.
func (p *partition) unlessMoved(ctx context.Context, err error) error {
	if f := fault.As(err); f == nil || f.Reason != contract.ReasonNotOwned {
		return err
	}
	active, activeErr := p.store.client.HGet(ctx, p.names.control, fieldActive).Result()
	epoch, epochErr := p.store.client.HGet(ctx, p.names.position, fieldEpoch).Int64()
	switch {
	case errors.Is(activeErr, redis.Nil), errors.Is(epochErr, redis.Nil):
		return ledgerGone(p.names.position)
	case activeErr != nil, epochErr != nil:
		return err
	case epoch > p.epoch, (active == p.names.revision) != p.published:
		return readmodel.ErrFenced
	}
	return err
}

// load has the server work on the next thousand keys while it reads one.
func (p *partition) load(keys []string, states []*projector.State) error {
	if err := p.members(p.names.keys, keys); err != nil {
		return err
	}
	l := loading{keys: keys, states: states}
	if err := p.askRows(&l); err != nil {
		return redisFault(err)
	}
	for l.read < len(keys) {
		end := l.asked
		if err := p.askRows(&l); err != nil {
			return redisFault(err)
		}
		if err := p.rows(&l, end); err != nil {
			return err
		}
	}
	if l.foreign > 0 {
		// If none is named it was there for a moment, and the commit looks again.
		if err := p.firstForeign(p.loader, l.absent); err != nil {
			return err
		}
	}
	return p.allBare(l.bare)
}

// loading is how far a Load is.
type loading struct {
	keys        []string
	states      []*projector.State
	asked, read int      // keys
	bare        []string // ours without a field
	absent      []string // not ours
	foreign     int64    // how many of those exist
}

// members asks which keys are in their lanes' sets, and leaves it in p.ours.
func (p *partition) members(sets, keys []string) error {
	p.request = p.request[:0]
	p.sorted.sort(keys)
	for lane, indices := range p.sorted.chunks {
		p.request = appendBulk(appendHead(p.request, len(indices)+2, verbMembers), sets[lane])
		for _, i := range indices {
			p.request = appendBulk(p.request, keys[i])
		}
	}
	if err := p.loader.Send(p.request); err != nil {
		return redisFault(err)
	}
	p.ours = slices.Grow(p.ours[:0], len(keys))[:len(keys)]
	for lane, indices := range p.sorted.chunks {
		if _, err := answer(p.loader, '*'); err != nil {
			return ledgerFault(sets[lane], err)
		}
		for _, i := range indices {
			is, err := answer(p.loader, ':')
			if err != nil {
				return redisFault(err)
			}
			p.ours[i] = is.N == 1
		}
	}
	return nil
}

// askRows sends for the next keys: for the fields of those that are ours, and how
// many of the others exist.
func (p *partition) askRows(l *loading) error {
	begin, known := l.asked, len(l.absent)
	l.asked = min(begin+wordsPerCommand, len(l.keys))
	p.request = p.request[:0]
	for i, key := range l.keys[begin:l.asked] {
		if !p.ours[begin+i] {
			l.absent = append(l.absent, key)
			continue
		}
		p.request = appendHead(p.request, 2+len(p.store.fields), verbHMGet)
		p.request = append(appendBulkKey(p.request, p.location, key), p.store.all...)
	}
	if absent := l.absent[known:]; len(absent) > 0 {
		p.request = appendHead(p.request, 1+len(absent), verbExists)
		for _, key := range absent {
			p.request = appendBulkKey(p.request, p.location, key)
		}
	}
	return p.loader.SendAhead(p.request)
}

// rows reads what was asked for the keys up to end.
func (p *partition) rows(l *loading, end int) error {
	others := false
	for ; l.read < end; l.read++ {
		key, state := l.keys[l.read], l.states[l.read]
		if !p.ours[l.read] {
			others = true
			continue
		}
		if err := p.row(key, state); err != nil {
			return err
		}
		if state.MarkStored(); p.wasBare(state) {
			l.bare = append(l.bare, key)
		}
	}
	if !others {
		return nil
	}
	n, err := answer(p.loader, ':')
	if err != nil {
		return redisFault(err)
	}
	l.foreign += n.N
	return nil
}

// row fills a state from the declared fields. An entity of ours with none of
// them exists with no field set.
func (p *partition) row(key string, state *projector.State) error {
	head, err := answer(p.loader, '*')
	switch {
	case isWrongType(err):
		return changedByHand(p.location+key, "it is no longer a hash")
	case err != nil:
		return redisFault(err)
	}
	if head.N != int64(len(p.store.fields)) {
		return redisFault(fmt.Errorf("%w: to HMGET", redisconn.ErrBadReply))
	}
	state.Create()
	for slot, field := range p.store.schema.Fields() {
		text, err := answer(p.loader, '$')
		if err != nil {
			return redisFault(err)
		}
		if text.N < 0 {
			continue
		}
		// SetAt copies: the text may be a view of the connection's buffer.
		value, err := projector.ParseText(field.Kind, unsafe.String(unsafe.SliceData(text.Text), len(text.Text)))
		if err != nil {
			return changedByHand(p.location+key, fmt.Sprintf("its field %q holds text that is not of type %s", field.Name, field.Kind))
		}
		state.SetAt(slot, value)
	}
	return nil
}

// allBare makes sure that entities of ours without a field were left so.
func (p *partition) allBare(keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	if err := p.members(p.names.bare, keys); err != nil {
		return err
	}
	for i, left := range p.ours {
		if !left {
			return vanished(p.location + keys[i])
		}
	}
	return nil
}

var _ readmodel.Partition = (*partition)(nil)
