package redishash

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/failpoint"
	"github.com/refold-dev/refold/projector/fault"
)

// dropOfLane is how many entities of each lane one round trip removes.
const dropOfLane = 8

// Drop implements readmodel.Store. First every writer is fenced, then entities
// go in batches together with their place in a key set, then each ledger,
// and control last: a drop that dies can be run again at any point.
func (s *Store) Drop(ctx context.Context, projection string, keep bool) error {
	c, err := s.readControl(ctx, projection)
	if err != nil || !c.exists {
		return err
	}
	if keep {
		return s.dropOthers(ctx, projection, c)
	}
	if c, err = s.fence(ctx, projection); err != nil {
		return err
	}
	if err := s.dropPointer(ctx, c.layout(c.active), c.active); err != nil {
		return err
	}
	for _, revision := range c.revisions() {
		if err := s.dropLedgers(ctx, projection, c, revision); err != nil {
			return err
		}
	}
	if err := s.client.Unlink(ctx, controlName(projection)).Err(); err != nil {
		return redisFault(err)
	}
	return nil
}

// fence makes every commit and claim from now on fail, and every Job. What is
// published stays said, as does a swap: they tell where the entities are.
func (s *Store) fence(ctx context.Context, projection string) (c control, err error) {
	key := controlName(projection)
	err = s.edit(ctx, projection, func(_ *redis.Tx, found control) (change, error) {
		if c = found; !c.exists {
			return nil, nil
		}
		return func(pipe redis.Pipeliner) {
			pipe.HSet(ctx, key, fieldDropping, "1")
			if c.op.swaps() {
				taken := *c.op
				taken.Token = rand.Text()
				pipe.HSet(ctx, key, fieldOp, taken.text())
			} else {
				pipe.HDel(ctx, key, fieldOp)
			}
			raise(ctx, pipe, c.names(projection, c.revisions()...))
		}, nil
	})
	return c, err
}

// places are where a revision's entities are: one location, but for one that a
// swap was about, of which some are in the first and the others in the second.
func (s *Store) places(c control, revision string) []string {
	l := c.layout(revision)
	switch going, is := c.going[revision]; {
	case is:
		return []string{going}
	case c.op.concerns(revision) && c.op.swaps() && !l.pointed():
		return []string{l.shadow(), l.public()}
	}
	return []string{l.location(revision == c.active)}
}

// dropOthers leaves the published revision. A swap that has begun is ended
// first: before, none is published whole.
func (s *Store) dropOthers(ctx context.Context, projection string, c control) error {
	if c.dropping {
		return nil
	}
	for swapped := false; !swapped; {
		if c.op.swaps() {
			if _, err := s.Promote(ctx, projection, c.op.To); err != nil {
				return err
			}
		}
		err := s.edit(ctx, projection, func(_ *redis.Tx, found control) (change, error) {
			if c = found; c.op == nil || c.op.swaps() {
				return nil, nil
			}
			return func(pipe redis.Pipeliner) { pipe.HDel(ctx, controlName(projection), fieldOp) }, nil
		})
		if err != nil {
			return err
		}
		swapped = !c.op.swaps() // one may have begun since the look
	}
	for _, revision := range c.revisions() {
		if revision == c.active {
			continue
		}
		if err := s.DropRevision(ctx, projection, revision, false); err != nil {
			return err
		}
	}
	return nil
}

// DropRevision implements readmodel.Store. Where the entities are is noted in the
// transaction that fences the writers: a run that comes after one that died
// could not know any more.
func (s *Store) DropRevision(ctx context.Context, projection, revision string, published bool) error {
	var c control
	err := s.edit(ctx, projection, func(tx *redis.Tx, found control) (change, error) {
		c = found
		if len(c.rows(revision)) == 0 {
			return nil, nil
		}
		if err := s.mayGo(c, revision, published); err != nil {
			return nil, err
		}
		pointer, err := pointing(ctx, tx, c.layout(revision), revision)
		if err != nil {
			return nil, err
		}
		return func(pipe redis.Pipeliner) {
			if s.mark(ctx, pipe, projection, revision, &c); pointer != "" && published {
				pipe.Unlink(ctx, pointer)
			}
		}, nil
	})
	if err != nil {
		return err
	}
	s.at(failpoint.DropMarked)
	return s.dropLedgers(ctx, projection, c, revision)
}

// mayGo says whether a revision may be dropped now.
func (s *Store) mayGo(c control, revision string, published bool) error {
	switch {
	case revision == c.active && !published:
		return &fault.Error{
			Reason:    contract.ReasonNotOwned,
			Message:   fmt.Sprintf("the revision %s is the one that readers read", revision),
			Remedy:    "publish another revision first",
			Permanent: true,
		}
	case c.op.concerns(revision) && c.op.swaps():
		return cuttingOver()
	}
	return nil
}

// mark queues what says that the revision goes, and notes it in c. A hold of it
// ends: its Job finds it gone.
func (s *Store) mark(ctx context.Context, pipe redis.Pipeliner, projection, revision string, c *control) {
	key := controlName(projection)
	if _, already := c.going[revision]; !already {
		c.going[revision] = c.layout(revision).location(revision == c.active)
	}
	pipe.HSet(ctx, key, goingPrefix+revision, c.going[revision])
	if revision == c.active {
		pipe.HSet(ctx, key, fieldActive, "", fieldCount, c.count+1)
	}
	if c.op.concerns(revision) {
		pipe.HDel(ctx, key, fieldOp)
	}
	raise(ctx, pipe, c.names(projection, revision))
}

// dropPointer removes a pointer that still names the revision.
func (s *Store) dropPointer(ctx context.Context, l layout, revision string) error {
	err := s.client.Watch(ctx, func(tx *redis.Tx) error {
		key, err := pointing(ctx, tx, l, revision)
		if err != nil || key == "" {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error { return pipe.Unlink(ctx, key).Err() })
		return err
	})
	return redisFaultOrNil(err)
}

// pointing watches a pointer and returns its key; empty where it does not name
// the revision.
func pointing(ctx context.Context, tx *redis.Tx, l layout, revision string) (key string, err error) {
	if key = l.pointer(); key == "" {
		return "", nil
	}
	if err := tx.Watch(ctx, key).Err(); err != nil {
		return "", redisFault(err)
	}
	value, err := pointerAt(ctx, tx, key)
	if f := fault.As(err); f != nil && f.Reason == contract.ReasonNotOwned {
		return "", nil // it is not ours
	}
	if err != nil || value != revision {
		return "", err
	}
	return key, nil
}

func redisFaultOrNil(err error) error {
	if err == nil {
		return nil
	}
	return redisFault(err)
}

// dropLedgers removes a revision's entities and ledgers; with the last one goes
// what else control says of the revision.
func (s *Store) dropLedgers(ctx context.Context, projection string, c control, revision string) error {
	places, ledgers := s.places(c, revision), c.names(projection, revision)
	for i, n := range ledgers {
		rest := []string{ledgerPrefix + n.ledger}
		if i == len(ledgers)-1 {
			rest = append(rest, goingPrefix+revision, damagedPrefix+revision)
		}
		if err := s.dropLedger(ctx, n, places, rest); err != nil {
			return err
		}
	}
	return nil
}

// dropLedger removes the entities of one ledger, then the ledger.
func (s *Store) dropLedger(ctx context.Context, n names, places, rest []string) error {
	for {
		some, err := s.some(ctx, n)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			break
		}
		if err := s.dropEntities(ctx, places, some); err != nil {
			return err
		}
		s.at(failpoint.DropBatch)
	}
	s.at(failpoint.DropEmptied)
	_, err := s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Unlink(ctx, append([]string{n.position}, n.sets...)...)
		pipe.HDel(ctx, n.control, rest...)
		return nil
	})
	return redisFaultOrNil(err)
}

// member is an entity's key, the set that it is in, and the one that it is in
// too if it has no hash.
type member struct{ key, set, bareSet string }

// some returns a few members of each lane; none when all are empty.
func (s *Store) some(ctx context.Context, n names) ([]member, error) {
	replies := make([]*redis.StringSliceCmd, len(n.keys))
	_, _ = s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each reply has its error
		for i, set := range n.keys {
			replies[i] = pipe.SRandMemberN(ctx, set, dropOfLane)
		}
		return nil
	})
	var some []member
	for i, reply := range replies {
		if err := reply.Err(); err != nil {
			return nil, ledgerFault(n.keys[i], err)
		}
		for _, key := range reply.Val() {
			some = append(some, member{key: key, set: n.keys[i], bareSet: n.bare[i]})
		}
	}
	return some, nil
}

// dropEntities removes entities and their names together. What is no hash any
// more is not what Refold made: it stays, its name goes. So does what stands in
// the place of an entity that has no hash.
func (s *Store) dropEntities(ctx context.Context, places []string, entities []member) error {
	bare := make([]*redis.BoolSliceCmd, len(entities))
	types := make([][]*redis.StatusCmd, len(entities))
	_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, e := range entities {
			bare[i] = pipe.SMIsMember(ctx, e.bareSet, e.key)
			for _, place := range places {
				types[i] = append(types[i], pipe.Type(ctx, place+e.key))
			}
		}
		return nil
	})
	if err != nil {
		return redisFault(err)
	}
	_, err = s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, e := range entities {
			for j, place := range places {
				if !bare[i].Val()[0] && types[i][j].Val() == "hash" {
					pipe.Unlink(ctx, place+e.key)
					break // the others' are another revision's
				}
			}
			pipe.SRem(ctx, e.set, e.key)
		}
		return nil
	})
	return redisFaultOrNil(err)
}
