package redishash

import (
	"context"
	"fmt"
	"unsafe"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/redisconn"
)

// Load implements readmodel.Partition: two round trips per thousand keys, the
// first to learn which of them are ours. It has a connection of its own, which
// is opened when it is needed and given up after any error.
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
		n := min(len(keys), wordsPerCommand)
		if err := p.load(keys[:n], states[:n]); err != nil {
			p.loader.Close()
			p.loader = nil
			return err
		}
		keys, states = keys[n:], states[n:]
	}
	return nil
}

func (p *partition) load(keys []string, states []*projector.State) error {
	if err := p.members(p.names.keys, keys); err != nil {
		return err
	}
	absent := p.queueRows(keys)
	if err := p.loader.Send(p.request); err != nil {
		return redisFault(err)
	}
	var bare []string
	for i, state := range states {
		if !p.ours[i] {
			continue
		}
		if err := p.row(keys[i], state); err != nil {
			return err
		}
		if state.MarkStored(); p.wasBare(state) {
			bare = append(bare, keys[i])
		}
	}
	if err := p.noneForeign(absent); err != nil {
		return err
	}
	return p.allBare(bare)
}

// members asks which keys are in a set of the ledger, and leaves it in p.ours.
func (p *partition) members(set string, keys []string) error {
	p.request = appendBulk(appendHead(p.request[:0], len(keys)+2, verbMembers), set)
	for _, key := range keys {
		p.request = appendBulk(p.request, key)
	}
	if err := p.loader.Send(p.request); err != nil {
		return redisFault(err)
	}
	if _, err := answer(p.loader, '*'); err != nil {
		return ledgerFault(set, err)
	}
	p.ours = p.ours[:0]
	for range keys {
		is, err := answer(p.loader, ':')
		if err != nil {
			return redisFault(err)
		}
		p.ours = append(p.ours, is.N == 1)
	}
	return nil
}

// queueRows asks for the fields of entities that are ours, and how many of the
// other keys exist, which it returns.
func (p *partition) queueRows(keys []string) (absent []string) {
	p.request = p.request[:0]
	for i, key := range keys {
		if !p.ours[i] {
			absent = append(absent, key)
			continue
		}
		p.request = appendHead(p.request, 2+len(p.store.fields), verbHMGet)
		p.request = append(appendBulkKey(p.request, p.store.prefix, key), p.store.all...)
	}
	if len(absent) == 0 {
		return nil
	}
	p.request = appendHead(p.request, 1+len(absent), verbExists)
	for _, key := range absent {
		p.request = appendBulkKey(p.request, p.store.prefix, key)
	}
	return absent
}

// row fills a state from the declared fields. An entity of ours with none of
// them exists with no field set.
func (p *partition) row(key string, state *projector.State) error {
	head, err := answer(p.loader, '*')
	switch {
	case isWrongType(err):
		return changedByHand(p.store.prefix+key, "it is no longer a hash")
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
			return changedByHand(p.store.prefix+key, fmt.Sprintf("its field %q holds text that is not of type %s", field.Name, field.Kind))
		}
		state.SetAt(slot, value)
	}
	return nil
}

// noneForeign looks at the count of keys that are not ours but exist.
func (p *partition) noneForeign(absent []string) error {
	if len(absent) == 0 {
		return nil
	}
	n, err := answer(p.loader, ':')
	switch {
	case err != nil:
		return redisFault(err)
	case n.N == 0:
		return nil
	}
	return p.firstForeign(p.loader, absent) // if it was there for a moment: the commit looks again
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
			return vanished(p.store.prefix + keys[i])
		}
	}
	return nil
}

var _ readmodel.Partition = (*partition)(nil)
