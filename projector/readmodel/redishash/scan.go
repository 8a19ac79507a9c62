package redishash

import (
	"context"

	"github.com/refold-dev/refold/projector/redisconn"
)

// scanAtOnce is about how many members one reply of SSCAN has.
const scanAtOnce = "1000"

// Which sets of a lane have a key.
const (
	inFrom = 1 << iota
	bareInFrom
	inTo
	bareInTo
)

// laneKeys are the keys of one lane of both revisions.
type laneKeys map[string]uint8

// pair is one partition of two revisions; of one that does not have the partition
// the sets are empty.
type pair struct{ from, to names }

// pairs are all partitions of two revisions, of which from may be none.
func (c control) pairs(projection, from, to string) (pairs []pair) {
	for _, revision := range []string{from, to} {
		for _, n := range c.names(projection, revision) {
			partition := n.ledger[len(revision)+1:]
			p := pair{namesOfLedger(projection, from+":"+partition), namesOfLedger(projection, to+":"+partition)}
			if len(pairs) == 0 || !listed(pairs, p) {
				pairs = append(pairs, p)
			}
		}
	}
	return pairs
}

func listed(pairs []pair, p pair) bool {
	for _, other := range pairs {
		if other.to.ledger == p.to.ledger {
			return true
		}
	}
	return false
}

// lane reads the sets of one lane.
func (p pair) lane(w *redisconn.Wire, lane int) (laneKeys, error) {
	keys := laneKeys{}
	for _, set := range []struct {
		name string
		bit  uint8
	}{{p.from.keys[lane], inFrom}, {p.from.bare[lane], bareInFrom}, {p.to.keys[lane], inTo}, {p.to.bare[lane], bareInTo}} {
		if err := scan(w, set.name, func(key string) { keys[key] |= set.bit }); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// scan gives each member of a set, some twice, in replies of bounded length.
func scan(w *redisconn.Wire, set string, each func(key string)) error {
	for cursor := "0"; ; {
		if err := w.Send(redisconn.AppendCommand(nil, "SSCAN", set, cursor, "COUNT", scanAtOnce)); err != nil {
			return redisFault(err)
		}
		if _, err := answer(w, '*'); err != nil {
			return ledgerFault(set, err)
		}
		next, err := answer(w, '$')
		if err != nil {
			return redisFault(err)
		}
		cursor = string(next.Text)
		members, err := answer(w, '*')
		if err != nil {
			return redisFault(err)
		}
		for range members.N {
			member, err := answer(w, '$')
			if err != nil {
				return redisFault(err)
			}
			each(string(member.Text))
		}
		if cursor == "0" {
			return nil
		}
	}
}

// wires opens n connections; release closes them, or before that ends what is
// under way on them when ctx ends.
func (s *Store) wires(ctx context.Context, n int) (wires []*redisconn.Wire, release func(), err error) {
	var ends []func()
	release = func() {
		for _, end := range ends {
			end()
		}
	}
	for range n {
		w, err := redisconn.OpenWire(ctx, s.client)
		if err != nil {
			release()
			return nil, nil, redisFault(err)
		}
		wires, ends = append(wires, w), append(ends, w.During(ctx), w.Close)
	}
	return wires, release, nil
}
