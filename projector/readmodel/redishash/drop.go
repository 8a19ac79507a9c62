package redishash

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/fault"

	"github.com/refold-dev/refold/projector/contract"
)

// dropOfLane is how many entities of each lane one round trip removes.
const dropOfLane = 8

// Drop implements readmodel.Store. First every writer is fenced, then entities
// go in batches together with their place in a key set, then each ledger,
// and control last: a drop that dies can be run again at any point.
func (s *Store) Drop(ctx context.Context, projection string, keep bool) error {
	if keep {
		return nil
	}
	c, err := s.readControl(ctx, projection)
	if err != nil || !c.exists {
		return err
	}
	if err := s.fence(ctx, projection, c); err != nil {
		return err
	}
	for ledger, prefix := range c.ledgers {
		if err := s.dropLedger(ctx, namesOfLedger(projection, ledger), prefix); err != nil {
			return err
		}
	}
	if err := s.client.Unlink(ctx, controlName(projection)).Err(); err != nil {
		return redisFault(err)
	}
	return nil
}

// readControl treats a key that is not Refold's as no ledger: no claim can
// have succeeded under it, so there is nothing to remove.
func (s *Store) readControl(ctx context.Context, projection string) (control, error) {
	key := controlName(projection)
	fields, err := s.client.HGetAll(ctx, key).Result()
	if err == nil {
		var c control
		if c, err = parseControl(key, fields); err == nil {
			return c, nil
		}
	} else {
		err = ledgerFault(key, err)
	}
	if f := fault.As(err); f != nil && f.Reason == contract.ReasonNotOwned {
		return control{}, nil
	}
	return control{}, err
}

// fence makes every commit and claim from now on fail.
func (s *Store) fence(ctx context.Context, projection string, c control) error {
	_, err := s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.HSet(ctx, controlName(projection), fieldDropping, "1", fieldActive, "")
		for ledger := range c.ledgers {
			pipe.HIncrBy(ctx, namesOfLedger(projection, ledger).position, fieldEpoch, 1)
		}
		return nil
	})
	if err != nil {
		return ledgerFault(controlName(projection), err)
	}
	return nil
}

// dropLedger removes the entities of one ledger, then the ledger.
func (s *Store) dropLedger(ctx context.Context, n names, prefix string) error {
	for {
		some, err := s.some(ctx, n.keys)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			break
		}
		if err := s.dropEntities(ctx, prefix, some); err != nil {
			return err
		}
	}
	_, err := s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Unlink(ctx, append([]string{n.position}, n.sets...)...)
		pipe.HDel(ctx, n.control, ledgerPrefix+n.ledger)
		return nil
	})
	if err != nil {
		return redisFault(err)
	}
	return nil
}

// member is an entity's key, and the set that it is in.
type member struct{ set, key string }

// some returns a few members of each set; none when all are empty.
func (s *Store) some(ctx context.Context, sets []string) ([]member, error) {
	replies := make([]*redis.StringSliceCmd, len(sets))
	_, _ = s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each reply has its error
		for i, set := range sets {
			replies[i] = pipe.SRandMemberN(ctx, set, dropOfLane)
		}
		return nil
	})
	var some []member
	for i, reply := range replies {
		if err := reply.Err(); err != nil {
			return nil, ledgerFault(sets[i], err)
		}
		for _, key := range reply.Val() {
			some = append(some, member{sets[i], key})
		}
	}
	return some, nil
}

// dropEntities removes entities and their names together. What is no hash any
// more is not what Refold made: it stays, its name goes.
func (s *Store) dropEntities(ctx context.Context, prefix string, entities []member) error {
	types := make([]*redis.StatusCmd, len(entities))
	_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, e := range entities {
			types[i] = pipe.Type(ctx, prefix+e.key)
		}
		return nil
	})
	if err != nil {
		return redisFault(err)
	}
	_, err = s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, e := range entities {
			if types[i].Val() == "hash" {
				pipe.Unlink(ctx, prefix+e.key)
			}
			pipe.SRem(ctx, e.set, e.key)
		}
		return nil
	})
	if err != nil {
		return redisFault(err)
	}
	return nil
}
