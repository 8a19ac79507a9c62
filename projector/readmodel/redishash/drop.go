package redishash

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/fault"

	"github.com/refold-dev/refold/projector/contract"
)

// dropBatch is how many entities one round trip removes.
const dropBatch = 500

// Drop implements readmodel.Store. First every writer is fenced, then entities
// go in batches together with their place in the key set, then each ledger,
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
		keys, err := s.client.SRandMemberN(ctx, n.keys, dropBatch).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return ledgerFault(n.keys, err)
		}
		if len(keys) == 0 {
			break
		}
		if err := s.dropEntities(ctx, n, prefix, keys); err != nil {
			return err
		}
	}
	_, err := s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Unlink(ctx, n.position, n.keys, n.bare)
		pipe.HDel(ctx, n.control, ledgerPrefix+n.ledger)
		return nil
	})
	if err != nil {
		return redisFault(err)
	}
	return nil
}

// dropEntities removes entities and their names together. What is no hash any
// more is not what Refold made: it stays, its name goes.
func (s *Store) dropEntities(ctx context.Context, n names, prefix string, keys []string) error {
	types := make([]*redis.StatusCmd, len(keys))
	_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range keys {
			types[i] = pipe.Type(ctx, prefix+key)
		}
		return nil
	})
	if err != nil {
		return redisFault(err)
	}
	_, err = s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range keys {
			if types[i].Val() == "hash" {
				pipe.Unlink(ctx, prefix+key)
			}
			pipe.SRem(ctx, n.keys, key)
		}
		return nil
	})
	if err != nil {
		return redisFault(err)
	}
	return nil
}
