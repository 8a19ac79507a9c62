package redishash

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
)

// editAttempts bounds how often an edit starts over because a claim, or another
// Job, came between its look and its write.
const editAttempts = 50

// change queues what an edit writes.
type change func(pipe redis.Pipeliner)

// edit looks at control under a WATCH and writes what decide wants, in one
// transaction. decide may be called again and again; it may watch more keys. A
// nil change writes nothing.
func (s *Store) edit(ctx context.Context, projection string, decide func(tx *redis.Tx, c control) (change, error)) error {
	key := controlName(projection)
	var err error
	for range editAttempts {
		err = s.client.Watch(ctx, func(tx *redis.Tx) error {
			c, err := controlAt(ctx, tx, key)
			if err != nil {
				return err
			}
			write, err := decide(tx, c)
			if err != nil || write == nil {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
				write(pipe)
				return nil
			})
			return err
		}, key)
		if !errors.Is(err, redis.TxFailedErr) {
			break
		}
	}
	return editFault(key, err)
}

// editFault leaves what is no error of the server's as it is.
func editFault(key string, err error) error {
	switch {
	case err == nil, fault.As(err) != nil, errors.Is(err, errVoid):
		return err
	case errors.Is(err, redis.TxFailedErr):
		return &fault.Error{
			Reason:  contract.ReasonReadModelUnreachable,
			Message: fmt.Sprintf("the ledger %q kept changing while it was to be written", key),
			Remedy:  "nothing: it is tried again",
		}
	}
	return ledgerFault(key, err)
}

func controlAt(ctx context.Context, db redis.Cmdable, key string) (control, error) {
	fields, err := db.HGetAll(ctx, key).Result()
	if err != nil {
		return control{}, ledgerFault(key, err)
	}
	return parseControl(key, fields)
}

// readControl treats a key that is not Refold's as no ledger: no claim can
// have succeeded under it, so there is nothing to remove.
func (s *Store) readControl(ctx context.Context, projection string) (control, error) {
	c, err := controlAt(ctx, s.client, controlName(projection))
	if f := fault.As(err); f != nil && f.Reason == contract.ReasonNotOwned {
		return control{}, nil
	}
	return c, err
}

// Revisions implements readmodel.Store.
func (s *Store) Revisions(ctx context.Context, projection string) (revisions []readmodel.Revision, err error) {
	c, err := s.readControl(ctx, projection)
	for _, name := range c.revisions() {
		revisions = append(revisions, readmodel.Revision{Name: name, Source: c.source(name), Published: name == c.active})
	}
	return revisions, err
}

// revisions has the published one first, and then the order of names.
func (c control) revisions() (names []string) {
	for ledger := range c.ledgers {
		revision, _, _ := strings.Cut(ledger, ":")
		names = append(names, revision)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if i := slices.Index(names, c.active); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, c.active)
	}
	return names
}

// names are the keys of revisions' ledgers.
func (c control) names(projection string, revisions ...string) (all []names) {
	for _, revision := range revisions {
		for _, ledger := range c.rows(revision) {
			all = append(all, namesOfLedger(projection, ledger))
		}
	}
	return all
}

// raise queues what makes every commit of the ledgers fail from now on. Holders
// stay: they claim again.
func raise(ctx context.Context, pipe redis.Pipeliner, ledgers []names) {
	for _, n := range ledgers {
		pipe.HIncrBy(ctx, n.position, fieldEpoch, 1)
	}
}

// span is from the lane that is the least far to the one that is the farthest.
type span struct{ least, most projector.ID }

func (s *span) add(other span) {
	if other.least.Compare(s.least) < 0 {
		s.least = other.least
	}
	if other.most.Compare(s.most) > 0 {
		s.most = other.most
	}
}

// spans reads how far ledgers are.
func (s *Store) spans(ctx context.Context, ledgers []names) ([]span, error) {
	rows := make([]*redis.MapStringStringCmd, len(ledgers))
	_, _ = s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each reply has its error
		for i, n := range ledgers {
			rows[i] = pipe.HGetAll(ctx, n.position)
		}
		return nil
	})
	return spansOf(ledgers, rows)
}

func spansOf(ledgers []names, rows []*redis.MapStringStringCmd) ([]span, error) {
	spans := make([]span, len(ledgers))
	for i, row := range rows {
		key := ledgers[i].position
		fields, err := row.Result()
		if err != nil {
			return nil, ledgerFault(key, err)
		}
		if len(fields) == 0 {
			return nil, ledgerGone(key)
		}
		cp, err := parsePosition(key, fields)
		if err != nil {
			return nil, err
		}
		spans[i] = span{cp.Position, cp.Position}
		if cp.Lanes != nil {
			for _, lane := range cp.Lanes {
				spans[i].add(span{cp.Position, lane.Position})
			}
		}
	}
	return spans, nil
}
