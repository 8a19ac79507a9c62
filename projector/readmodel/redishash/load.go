package redishash

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/readmodel"
)

// Load implements readmodel.Partition: two round trips per thousand keys, the
// first to learn which of them are ours.
func (p *partition) Load(ctx context.Context, keys []string, states []*projector.State) error {
	for len(keys) > 0 {
		n := min(len(keys), wordsPerCommand)
		if err := p.load(ctx, keys[:n], states[:n]); err != nil {
			return err
		}
		keys, states = keys[n:], states[n:]
	}
	return nil
}

func (p *partition) load(ctx context.Context, keys []string, states []*projector.State) error {
	ours, err := p.members(ctx, keys)
	if err != nil {
		return err
	}
	pipe := p.conn.Pipeline()
	rows := make([]*redis.SliceCmd, len(keys))
	absent := []any{"exists"}
	for i, key := range keys {
		if ours[i] {
			rows[i] = redis.NewSliceCmd(ctx, append([]any{"hmget", p.store.prefix + key}, p.fields...)...)
			_ = pipe.Process(ctx, rows[i])
		} else {
			absent = append(absent, p.store.prefix+key)
		}
	}
	foreign := pipe.Do(ctx, append(absent, p.names.position)...)
	send(ctx, pipe)
	var bare []string
	for i, row := range rows {
		if row == nil {
			continue
		}
		if err := p.parse(p.store.prefix+keys[i], row, states[i]); err != nil {
			return err
		}
		if isBare(states[i]) {
			bare = append(bare, keys[i])
		}
	}
	if err := p.allBare(ctx, bare); err != nil {
		return err
	}
	return p.noneForeign(ctx, foreign, absent[1:])
}

// allBare makes sure that entities of ours without a field were left so.
func (p *partition) allBare(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	words := make([]any, len(keys))
	for i, key := range keys {
		words[i] = key
	}
	left, err := p.conn.SMIsMember(ctx, p.names.bare, words...).Result()
	if err != nil {
		return ledgerFault(p.names.bare, err)
	}
	if i := slices.Index(left, false); i >= 0 {
		return vanished(p.store.prefix + keys[i])
	}
	return nil
}

// members says which keys this revision made.
func (p *partition) members(ctx context.Context, keys []string) ([]bool, error) {
	words := make([]any, len(keys))
	for i, key := range keys {
		words[i] = key
	}
	ours, err := p.conn.SMIsMember(ctx, p.names.keys, words...).Result()
	if err != nil {
		return nil, ledgerFault(p.names.keys, err)
	}
	return ours, nil
}

// parse fills a state from the declared fields. An entity of ours with none of
// them exists with no field set.
func (p *partition) parse(key string, row *redis.SliceCmd, state *projector.State) error {
	texts, err := row.Result()
	if isWrongType(err) {
		return changedByHand(key, "it is no longer a hash")
	}
	if err != nil {
		return redisFault(err)
	}
	state.Create()
	for slot, field := range p.store.schema.Fields() {
		text, set := texts[slot].(string)
		if !set {
			continue
		}
		value, err := projector.ParseText(field.Kind, text)
		if err != nil {
			return changedByHand(key, fmt.Sprintf("its field %q holds text that is not of type %s", field.Name, field.Kind))
		}
		state.SetAt(slot, value)
	}
	return nil
}

// noneForeign looks at the count of keys that are not ours but exist. The
// position, which always exists, is counted too: EXISTS needs a word.
func (p *partition) noneForeign(ctx context.Context, count *redis.Cmd, absent []any) error {
	n, err := count.Int64()
	switch {
	case err != nil:
		return redisFault(err)
	case n <= 1:
		return nil
	}
	if err := p.firstForeign(ctx, absent); !errors.Is(err, errContended) {
		return err
	}
	return nil // it was there for a moment; the commit looks again
}

var _ readmodel.Partition = (*partition)(nil)
