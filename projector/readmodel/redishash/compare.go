package redishash

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"time"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/failpoint"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/redisconn"
)

const (
	// compareAttempts is how often a comparison is begun whose hold ran out.
	compareAttempts = 3
	// Entities that changed after they were compared are compared again, before the
	// hold in so many rounds until few are left.
	settleRounds  = 6
	fewTouched    = 500
	compareAtOnce = 2000 // entities whose sets are asked for together
)

// Compare implements readmodel.Store. All entities are compared while both
// revisions fold on, and what was touched meanwhile again while they stand.
// Where changes can't be followed all are compared under the hold.
func (s *Store) Compare(ctx context.Context, projection, candidate string) (contract.Diff, error) {
	for range compareAttempts {
		diff, err := s.compareOnce(ctx, projection, candidate)
		if !errors.Is(err, errVoid) {
			return diff, err
		}
	}
	return contract.Diff{}, notComparable("the comparison took longer than the revisions stood still for it, or something else ended it", false)
}

// comparison is one attempt.
type comparison struct {
	*Store
	control control
	pairs   []pair
	names   []string // of all fields that either revision declares, sorted
	hold    *hold
	tracker *tracker // nil where changes can't be followed

	fromAt, toAt string // what precedes the keys

	wire    *redisconn.Wire
	sorted  byLane
	request []byte
	fields  []byte // names, as words of a command
	scratch []byte
	rows    [2]hashRow

	seed   maphash.Seed
	lanes  [readmodel.Lanes][]record          // sorted by hash
	again  [readmodel.Lanes]map[uint64]record // what was compared again: counts in place of those
	tally  tally
	sample sample
}

func (s *Store) compareOnce(ctx context.Context, projection, candidate string) (contract.Diff, error) {
	c, err := s.newComparison(ctx, projection, candidate)
	if err != nil {
		return contract.Diff{}, err
	}
	wires, release, err := s.wires(ctx, 1)
	if err != nil {
		return contract.Diff{}, err
	}
	defer release()
	c.wire = wires[0]
	tracker, stop, err := s.track(ctx, c.wire, c.locations())
	if err != nil {
		return contract.Diff{}, err
	}
	defer stop()
	c.tracker = tracker
	s.at(failpoint.CompareTracking)
	if err := c.beforehand(ctx); err != nil {
		return contract.Diff{}, err
	}
	return c.underHold(ctx, projection, candidate)
}

func (s *Store) newComparison(ctx context.Context, projection, candidate string) (*comparison, error) {
	found, err := controlAt(ctx, s.client, controlName(projection))
	if err != nil {
		return nil, err
	}
	if err := mayCompare(found, candidate); err != nil {
		return nil, err
	}
	c := &comparison{
		Store:   s,
		control: found,
		pairs:   found.pairs(projection, found.active, candidate),
		fromAt:  found.layout(found.active).public(),
		toAt:    found.layout(candidate).shadow(),
		seed:    maphash.MakeSeed(),
	}
	for _, revision := range []string{found.active, candidate} {
		for _, ledger := range found.rows(revision) {
			c.names = append(c.names, found.ledgers[ledger].Fields...)
		}
	}
	slices.Sort(c.names)
	c.names = slices.Compact(c.names)
	for _, name := range c.names {
		c.fields = appendBulk(c.fields, name)
	}
	return c, nil
}

// mayCompare says whether there are two revisions to compare.
func mayCompare(c control, candidate string) error {
	if c.active == candidate {
		return notComparable("the revision is the published one", true)
	}
	return promotable(c, candidate)
}

// locations are those whose changes are followed.
func (c *comparison) locations() []string {
	if c.control.active == "" {
		return []string{c.toAt}
	}
	return []string{c.fromAt, c.toAt}
}

// beforehand compares all while both revisions fold on.
func (c *comparison) beforehand(ctx context.Context) error {
	if c.tracker == nil {
		return nil
	}
	for lane := range readmodel.Lanes {
		c.tracker.forget(lane)
		if err := c.lane(lane); err != nil {
			return err
		}
		if touched := c.tracker.take(lane + 1); len(touched) > 0 {
			if err := c.compareAgain(touched, nil); err != nil {
				return err
			}
		}
	}
	for range settleRounds {
		if err := c.tracker.settle(ctx); err != nil {
			return err
		}
		touched := c.tracker.take(readmodel.Lanes)
		if err := c.compareAgain(touched, nil); err != nil || len(touched) < fewTouched {
			return err
		}
	}
	return nil
}

// underHold compares what is left while both stand still at one ID.
func (c *comparison) underHold(ctx context.Context, projection, candidate string) (contract.Diff, error) {
	var err error
	c.hold, err = c.begin(ctx, projection, newOperation(opVerify, "", candidate), func(found control, now int64) error {
		switch {
		case found.active != c.control.active || len(found.rows(candidate)) == 0:
			return errVoid
		case found.op.swaps():
			return cuttingOver()
		case found.op != nil && !found.op.expired(now):
			return heldStill()
		}
		return nil
	})
	if err != nil {
		return contract.Diff{}, err
	}
	c.at(failpoint.CompareHeld)
	if err = c.last(ctx); err == nil {
		c.at(failpoint.CompareCounted)
		err = c.hold.release(ctx)
	}
	if err != nil {
		c.hold.abandon(ctx)
		return contract.Diff{}, err
	}
	return c.diff(time.Since(c.hold.since)), nil
}

func (c *comparison) last(ctx context.Context) error {
	if err := c.hold.arrive(ctx, c.hold.both()); err != nil {
		return err
	}
	c.at(failpoint.CompareArrived)
	renewed := c.hold.since
	renew := func() error { return c.hold.renew(ctx, &renewed) }
	if c.tracker != nil {
		if err := c.tracker.settle(ctx); err != nil {
			return err
		}
		return c.compareAgain(c.tracker.take(readmodel.Lanes), renew)
	}
	for lane := range readmodel.Lanes {
		if err := c.lane(lane); err != nil {
			return err
		}
		if err := renew(); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) diff(held time.Duration) contract.Diff {
	d := contract.Diff{
		Same:          c.tally.classes[classSame],
		Added:         c.tally.classes[classAdded],
		Removed:       c.tally.classes[classRemoved],
		Changed:       c.tally.classes[classChanged],
		ChangedFields: c.tally.changedFields(c.names),
		Digest:        c.tally.digest.hex(),
		Sample:        c.sample.shown(),
		AtID:          c.hold.at(),
		HeldMillis:    held.Milliseconds(),
	}
	return d
}

// lane compares all entities of a lane.
func (c *comparison) lane(lane int) error {
	found := laneKeys{}
	for _, p := range c.pairs {
		for _, set := range []struct {
			name string
			bit  uint8
		}{{p.from.keys[lane], inFrom}, {p.to.keys[lane], inTo}} {
			if err := scan(c.wire, set.name, func(key string) { found[key] |= set.bit }); err != nil {
				return err
			}
		}
	}
	keys, in := make([]string, 0, len(found)), make([]uint8, 0, len(found))
	for key, bits := range found {
		keys, in = append(keys, key), append(in, bits)
	}
	records := make([]record, 0, len(found))
	err := c.read(keys, in, func(key string, r record) {
		records = append(records, r)
		c.tally.add(r)
	})
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.hash, b.hash) })
	c.lanes[lane] = records
	return err
}

// compareAgain puts entities' present state in place of what was counted. between
// is called now and then.
func (c *comparison) compareAgain(keys []string, between func() error) error {
	for chunk := range slices.Chunk(keys, compareAtOnce) {
		in, err := c.members(chunk)
		if err != nil {
			return err
		}
		if err := c.read(chunk, in, c.replace); err != nil {
			return err
		}
		if between != nil {
			if err := between(); err != nil {
				return err
			}
		}
	}
	return nil
}

// members asks which revisions have keys.
func (c *comparison) members(keys []string) ([]uint8, error) {
	in := make([]uint8, len(keys))
	c.sorted.sort(keys)
	for _, p := range c.pairs {
		for _, revision := range []struct {
			sets []string
			bit  uint8
		}{{p.from.keys, inFrom}, {p.to.keys, inTo}} {
			if err := c.membersOf(revision.sets, keys, in, revision.bit); err != nil {
				return nil, err
			}
		}
	}
	return in, nil
}

func (c *comparison) membersOf(sets, keys []string, in []uint8, bit uint8) error {
	c.request = c.request[:0]
	for lane, indices := range c.sorted.chunks {
		c.request = appendBulk(appendHead(c.request, len(indices)+2, verbMembers), sets[lane])
		for _, i := range indices {
			c.request = appendBulk(c.request, keys[i])
		}
	}
	if err := c.wire.Send(c.request); err != nil {
		return redisFault(err)
	}
	for lane, indices := range c.sorted.chunks {
		if _, err := answer(c.wire, '*'); err != nil {
			return ledgerFault(sets[lane], err)
		}
		for _, i := range indices {
			is, err := answer(c.wire, ':')
			if err != nil {
				return redisFault(err)
			}
			if is.N == 1 {
				in[i] |= bit
			}
		}
	}
	return nil
}

// replace counts a record in place of the entity's former one.
func (c *comparison) replace(key string, r record) {
	lane := readmodel.LaneOf(key)
	former, is := c.again[lane][r.hash]
	if !is {
		at, found := slices.BinarySearchFunc(c.lanes[lane], r.hash, func(e record, hash uint64) int { return cmp.Compare(e.hash, hash) })
		if is = found; found {
			former = c.lanes[lane][at]
		}
	}
	if is {
		c.tally.take(former)
	}
	c.tally.add(r)
	if c.again[lane] == nil {
		c.again[lane] = map[uint64]record{}
	}
	c.again[lane][r.hash] = r
}
