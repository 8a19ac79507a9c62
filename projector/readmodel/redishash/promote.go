package redishash

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/failpoint"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/redisconn"
)

// promotion is one run of Promote.
type promotion struct {
	*Store
	projection string
	control    control // as it was when the run began
	from, to   layout
	hold       *hold
	resumed    bool // a run before it may have swapped some entities
	decided    bool // this run has passed the point of no return
	unsure     bool // this run has passed it, or published, or not: no reply came
	renamers   []*redisconn.Wire
	renamed    atomic.Int64
	since      time.Time // the writers stand still

	publication int64 // when it is published
}

// Promote implements readmodel.Store: both revisions are told to stand still at
// one ID; then, past the point of no return, entities are swapped in batches,
// under a WATCH of control, where the run's token is. A run that takes over
// writes a token of its own, and so ends the one before.
func (s *Store) Promote(ctx context.Context, projection, revision string) (contract.Cutover, error) {
	p := &promotion{Store: s, projection: projection}
	result := contract.Cutover{To: revision}
	var err error
	if p.control, err = controlAt(ctx, s.client, controlName(projection)); err != nil {
		return result, err
	}
	switch c := p.control; {
	case c.active == revision && c.op.swaps():
		return contract.Cutover{}, cuttingOver() // half of it is another's by now
	case c.active == revision:
		result.Publication = c.count
		return result, nil
	}
	begun := p.control.op.swaps() && p.control.op.To == revision
	if begun {
		result.From = p.control.op.From
	}
	if err = p.prepare(ctx, revision); err != nil {
		err = p.unlessChanged(ctx, err)
	} else if err = p.run(ctx); err != nil {
		err = p.failed(ctx, err)
	}
	if p.hold != nil && (err == nil || p.resumed || p.decided || p.unsure) {
		begun, result.From = true, p.hold.op.From
	}
	switch {
	case err != nil && begun:
		return result, err
	case err != nil:
		return contract.Cutover{}, err
	}
	s.at(failpoint.PromoteDone)
	result.Entities, result.PausedMillis, result.Publication = p.renamed.Load(), time.Since(p.since).Milliseconds(), p.publication
	return result, nil
}

// prepare looks at all that can be in the way while nothing is written.
func (p *promotion) prepare(ctx context.Context, revision string) error {
	c := p.control
	from := c.active
	if c.op.swaps() {
		from = c.op.From
	}
	if err := promotable(c, revision); err != nil {
		return err
	}
	p.from, p.to = c.layout(from), c.layout(revision)
	if _, err := p.pointers(ctx, p.client); err != nil {
		return err
	}
	if !c.op.swaps() {
		if err := p.free(ctx); err != nil {
			return err
		}
	}
	p.at(failpoint.PromoteChecked)
	return nil
}

// promotable says whether a revision can be published at all.
func promotable(c control, revision string) error {
	_, going := c.going[revision]
	switch {
	case c.dropping:
		return replayNeeded("removing the read model was begun and not finished")
	case len(c.rows(revision)) == 0, going:
		return unknownRevision(revision)
	case c.damaged[revision] != "":
		return broken(c.damaged[revision])
	}
	return nil
}

// run does what is written.
func (p *promotion) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if p.hold, err = p.begin(ctx, p.projection, newOperation(opCutover, "", p.to.revision), p.admit); err != nil {
		return err
	}
	p.since = p.hold.since
	if !p.resumed {
		p.at(failpoint.PromoteHeld)
		if err := p.hold.arrive(ctx, p.hold.to); err != nil {
			return err
		}
	}
	if !p.from.pointed() || !p.to.pointed() {
		if err := p.decide(ctx); err != nil {
			return err
		}
		p.at(failpoint.PromoteDecided)
		release, err := p.swap(ctx, cancel)
		defer release()
		if err != nil {
			return err
		}
		p.at(failpoint.PromoteRenamed)
	}
	return p.publish(ctx)
}

// admit says whether the run may begin, by what else is under way.
func (p *promotion) admit(c control, now int64) error {
	if err := promotable(c, p.to.revision); err != nil {
		return err
	}
	o := c.op
	p.resumed = o.swaps() && o.To == p.to.revision
	switch {
	case p.resumed && o.From != p.from.revision, !o.swaps() && c.active != p.from.revision:
		return takenOver() // since this run's first look
	case p.resumed, o == nil, o.expired(now), o.Kind == opCutover && o.To == p.to.revision:
		return nil
	case o.swaps():
		return cuttingOver()
	}
	return heldStill()
}

// decide passes the point of no return: from here on projectors wait for as long
// as it takes.
func (p *promotion) decide(ctx context.Context) error {
	if p.resumed {
		return nil
	}
	p.hold.op.Expires, p.hold.op.Until = 0, ""
	err := p.hold.edit(ctx, false, func(pipe redis.Pipeliner) {
		pipe.HSet(ctx, controlName(p.projection), fieldOp, p.hold.op.text())
		raise(ctx, pipe, p.hold.both())
	})
	p.decided, p.unsure = err == nil, err != nil && !errors.Is(err, errVoid)
	return err
}

// publish records the new revision, and lets all go on.
func (p *promotion) publish(ctx context.Context) error {
	err := p.edit(ctx, p.projection, func(tx *redis.Tx, c control) (change, error) {
		if _, err := p.hold.ours(ctx, tx, c); err != nil {
			return nil, err
		}
		if err := p.lasted(); err != nil {
			return nil, err
		}
		point, err := p.pointers(ctx, tx)
		if err != nil {
			return nil, err
		}
		p.publication = c.count + 1
		return func(pipe redis.Pipeliner) {
			pipe.HSet(ctx, controlName(p.projection), fieldActive, p.to.revision, fieldCount, p.publication)
			pipe.HDel(ctx, controlName(p.projection), fieldOp)
			point(pipe)
			raise(ctx, pipe, p.hold.both())
		}, nil
	})
	p.unsure = err != nil && !errors.Is(err, errVoid)
	return err
}

// pointers reads the pointers, watched where db is a transaction, and puts them
// right.
func (p *promotion) pointers(ctx context.Context, db redis.Cmdable) (change, error) {
	ours, theirs := p.to.pointer(), p.from.pointer()
	if tx, is := db.(*redis.Tx); is && ours+theirs != "" {
		if err := tx.Watch(ctx, ours, theirs).Err(); err != nil {
			return nil, redisFault(err)
		}
	}
	if ours != "" {
		value, err := pointerAt(ctx, db, ours)
		switch {
		case err != nil:
			return nil, err
		case value != "" && value != p.to.revision && (ours != theirs || value != p.from.revision):
			return nil, foreignEntity(ours)
		}
	}
	stale := false
	if theirs != "" && theirs != ours {
		value, err := pointerAt(ctx, db, theirs)
		if err != nil {
			return nil, err
		}
		stale = value == p.from.revision
	}
	return func(pipe redis.Pipeliner) {
		if ours != "" {
			pipe.Set(ctx, ours, p.to.revision, 0)
		}
		if stale {
			pipe.Unlink(ctx, theirs)
		}
	}, nil
}

// pointerAt is empty for a pointer that is not there.
func pointerAt(ctx context.Context, db redis.Cmdable, key string) (string, error) {
	value, err := db.Get(ctx, key).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return "", nil
	case isWrongType(err):
		return "", foreignEntity(key)
	case err != nil:
		return "", redisFault(err)
	}
	return value, nil
}

// failed lets the writers go on where nothing is swapped yet; else only a run
// that ends well does.
func (p *promotion) failed(ctx context.Context, err error) error {
	if p.hold != nil && !p.resumed && !p.decided {
		p.hold.abandon(ctx)
	}
	if errors.Is(err, errVoid) {
		return takenOver()
	}
	return p.unlessChanged(ctx, err)
}

// unlessChanged looks for another Job before a stranger is blamed for what stands
// in the way: what it has published does.
func (p *promotion) unlessChanged(ctx context.Context, err error) error {
	if f := fault.As(err); f == nil || f.Reason != contract.ReasonNotOwned {
		return err
	}
	c, readErr := controlAt(ctx, p.client, controlName(p.projection))
	ours := c.active == p.control.active && c.op.swaps() == p.control.op.swaps()
	if p.hold != nil && (p.decided || p.resumed) {
		ours = c.op != nil && c.op.Token == p.hold.op.Token
	}
	if readErr != nil || ours {
		return err
	}
	return takenOver()
}
