package redishash

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
)

// wordsPerCommand bounds how many keys one variadic command names.
const wordsPerCommand = 1000

// mostWatched is how many created keys a commit watches: Redis compares each
// WATCHed key with every other of the connection.
const mostWatched = 256

// holder is who holds the partition, as the ledger says.
type holder struct {
	active   string
	epoch    int64 // 0: there is no position
	position string
	process  string
	watched  bool // control is there, and watched
}

// Commit implements readmodel.Partition. When something touched the ledger and
// the claim still holds, it is tried once more.
func (p *partition) Commit(ctx context.Context, changed []readmodel.Entity, next readmodel.Checkpoint) error {
	if next.Epoch != p.epoch {
		return readmodel.ErrFenced
	}
	err := p.commit(ctx, changed, next)
	if errors.Is(err, errContended) {
		err = p.commit(ctx, changed, next)
	}
	if errors.Is(err, errContended) {
		return &fault.Error{
			Reason:  contract.ReasonReadModelUnreachable,
			Message: fmt.Sprintf("something else keeps writing to the ledger %q", p.names.position),
			Remedy:  "nothing: it is tried again; find out what writes there",
			Err:     err,
		}
	}
	return err
}

// commit is one attempt, under the WATCH that is already there.
func (p *partition) commit(ctx context.Context, changed []readmodel.Entity, next readmodel.Checkpoint) error {
	altered, err := p.transact(ctx, changed, next)
	switch f := fault.As(err); {
	case len(altered) > 0:
		return p.rewrite(ctx, altered, next)
	case f != nil && errors.Is(f, errPartial):
		p.damaged(ctx, f)
	}
	return err
}

// transact writes the difference. It returns the entities of which the server
// held something else than was loaded or committed.
func (p *partition) transact(ctx context.Context, changed []readmodel.Entity, next readmodel.Checkpoint) (altered []readmodel.Entity, err error) {
	if err := p.holds(); err != nil {
		return nil, err
	}
	created := p.created(changed)
	if err := p.absent(ctx, created); err != nil {
		return nil, err
	}
	pipe := p.conn.Pipeline()
	pipe.Do(ctx, "multi")
	guards := queueGuards(ctx, pipe, created)
	touched := p.queueEntities(ctx, pipe, changed)
	pipe.Do(ctx, positionArgs(p.names.position, next)...)
	exec := pipe.Do(ctx, "exec")
	watched := p.queueWatch(ctx, pipe)
	cmds := send(ctx, pipe)

	outcome := execError(cmds, exec)
	if outcome == nil {
		p.at = next.Position
		altered, outcome = p.whole(exec, guards, touched)
	}
	if outcome != nil && !errors.Is(outcome, errContended) {
		return nil, outcome
	}
	// A watch that failed behind an EXEC that did not is the next commit's
	// trouble: seen then says that there is no ledger.
	if err := p.readWatch(watched); err != nil && outcome != nil {
		return nil, err
	}
	return altered, outcome
}

// rewrite writes whole entities, and says that it had to.
func (p *partition) rewrite(ctx context.Context, altered []readmodel.Entity, next readmodel.Checkpoint) error {
	nothing := projector.NewState(p.store.schema)
	nothing.Create()
	for i := range altered {
		altered[i].Stored = nothing
	}
	if _, err := p.transact(ctx, altered, next); err != nil {
		return err
	}
	return rewritten(p.store.prefix + altered[0].Key)
}

// holds says, by what was read after the WATCH, whether the claim still holds.
func (p *partition) holds() error {
	switch {
	case !p.seen.watched:
		return ledgerGone(p.names.position)
	case p.seen.epoch > p.epoch, p.seen.active != p.names.revision:
		return readmodel.ErrFenced
	case p.seen.epoch < p.epoch, p.seen.process != p.store.holder, p.seen.position != p.at.String():
		// The server went back to an older state, under a connection that lasted.
		return ledgerGone(p.names.position)
	}
	return nil
}

// absent makes sure that there is nothing yet where the commit will create:
// HSET would write into what is someone else's. Few keys are watched as well.
func (p *partition) absent(ctx context.Context, created []any) error {
	if len(created) == 0 {
		return nil
	}
	pipe := p.conn.Pipeline()
	counts := make([]*redis.Cmd, 0, len(created)/wordsPerCommand+1)
	for chunk := range chunks(created) {
		if len(created) <= mostWatched {
			pipe.Do(ctx, append([]any{"watch"}, chunk...)...)
		}
		counts = append(counts, pipe.Do(ctx, append([]any{"exists"}, chunk...)...))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return redisFault(err)
	}
	for _, count := range counts {
		if n, _ := count.Int64(); n > 0 {
			return p.firstForeign(ctx, created)
		}
	}
	return nil
}

// queueGuards looks again, inside the transaction, where the keys were too
// many to be watched: what came between is at least found out.
func queueGuards(ctx context.Context, pipe redis.Pipeliner, created []any) (guards int) {
	if len(created) <= mostWatched {
		return 0
	}
	for chunk := range chunks(created) {
		pipe.Do(ctx, append([]any{"exists"}, chunk...)...)
		guards++
	}
	return guards
}

// created lists the Redis keys of entities that are not in the store yet.
func (p *partition) created(changed []readmodel.Entity) (keys []any) {
	for i := range changed {
		if changed[i].State.Exists() && !inStore(&changed[i]) {
			keys = append(keys, p.store.prefix+changed[i].Key)
		}
	}
	return keys
}

func inStore(e *readmodel.Entity) bool { return e.Stored != nil && e.Stored.Exists() }

// firstForeign names the first of keys that exists.
func (p *partition) firstForeign(ctx context.Context, keys []any) error {
	for _, key := range keys {
		n, err := p.conn.Exists(ctx, key.(string)).Result()
		if err != nil {
			return redisFault(err)
		}
		if n > 0 {
			return foreignEntity(key.(string))
		}
	}
	return errContended // it was there for a moment
}

// queueEntities queues what differs between the stored and the new states. It
// returns what each queued command writes.
func (p *partition) queueEntities(ctx context.Context, pipe redis.Pipeliner, changed []readmodel.Entity) (touched []touch) {
	var added, removed, bared, clothed []any
	for i := range changed {
		e := &changed[i]
		key := p.store.prefix + e.Key
		switch was, is := inStore(e) && isBare(e.Stored), e.State.Exists() && isBare(e.State); {
		case is && !was:
			bared = append(bared, e.Key)
		case was && !is:
			clothed = append(clothed, e.Key)
		}
		switch {
		case e.State.Exists():
			touched = p.queueFields(ctx, pipe, touched, key, e)
			if !inStore(e) {
				added = append(added, e.Key)
			}
		case inStore(e):
			pipe.Do(ctx, "unlink", key)
			touched = append(touched, touch{key: key})
			removed = append(removed, e.Key)
		}
	}
	for _, change := range []struct {
		verb, set string
		members   []any
	}{
		{"sadd", p.names.keys, added},
		{"srem", p.names.keys, removed},
		{"sadd", p.names.bare, bared},
		{"srem", p.names.bare, clothed},
	} {
		for chunk := range chunks(change.members) {
			pipe.Do(ctx, append([]any{change.verb, change.set}, chunk...)...)
			touched = append(touched, touch{key: change.set})
		}
	}
	return touched
}

// isBare says whether an entity has no field, and so no hash in Redis.
func isBare(s *projector.State) bool {
	for slot := range s.Schema().Fields() {
		if s.At(slot).IsSet() {
			return false
		}
	}
	return true
}

// touch is what a queued command writes: a key, and for an entity that was in
// the store how many fields the command must make or remove there.
type touch struct {
	key    string
	entity *readmodel.Entity
	fields int64
}

// queueFields queues at most one HSET and one HDEL.
func (p *partition) queueFields(ctx context.Context, pipe redis.Pipeliner, touched []touch, key string, e *readmodel.Entity) []touch {
	fresh, known := int64(0), e
	if !inStore(e) {
		known = nil
	}
	set, unset := append(make([]any, 0, 2+2*len(p.fields)), "hset", key), []any{"hdel", key}
	none := len(unset)
	for slot := range p.fields {
		was, is := projector.Value{}, e.State.At(slot)
		if inStore(e) {
			was = e.Stored.At(slot)
		}
		switch {
		case was == is:
		case !is.IsSet():
			unset = append(unset, p.fields[slot])
		default:
			set = append(set, p.fields[slot], is.Text())
			if !was.IsSet() {
				fresh++
			}
		}
	}
	if len(set) > none {
		pipe.Do(ctx, set...)
		touched = append(touched, touch{key, known, fresh})
	}
	if len(unset) > none {
		pipe.Do(ctx, unset...)
		touched = append(touched, touch{key, known, int64(len(unset) - none)})
	}
	return touched
}

// whole makes sure that every command of an executed transaction did its
// work. Redis goes on after a command that fails in EXEC, as one does on an
// entity that was replaced by another type behind our back: the commit then
// misses that entity, and the only honest answer is to stop and say so.
// It returns the entities of which other fields were made or removed than were
// missing or there.
func (p *partition) whole(exec *redis.Cmd, guards int, touched []touch) (altered []readmodel.Entity, err error) {
	replies, err := exec.Slice()
	if err != nil {
		return nil, redisFault(err)
	}
	for i, reply := range replies {
		failed, isError := reply.(error)
		n, _ := reply.(int64)
		at := i - guards
		switch {
		case at < 0 && n > 0:
			return nil, partial("one of the keys with the prefix %q was made by something else while it was made here", p.store.prefix)
		case isError && at >= 0 && at < len(touched):
			return nil, partial("the key %q was changed by something other than Refold, and could not be written", touched[at].key)
		case isError:
			return nil, ledgerFault(p.names.position, failed)
		case at >= 0 && at < len(touched) && touched[at].entity != nil && touched[at].fields != n:
			altered = append(altered, *touched[at].entity)
		}
	}
	return altered, nil
}

// damaged notes that the read model misses an effect that its position counts,
// so that no later claim goes on as if it did not.
func (p *partition) damaged(ctx context.Context, f *fault.Error) {
	_ = p.store.client.HSet(ctx, p.names.control, fieldDamaged, f.Message).Err()
}

// watch is a WATCH of the ledger and the look at who holds the partition.
type watch struct {
	watch, active *redis.Cmd
	position      *redis.SliceCmd
}

// queueWatch queues the watch for the next commit.
func (p *partition) queueWatch(ctx context.Context, pipe redis.Pipeliner) watch {
	return watch{
		watch:    pipe.Do(ctx, "watch", p.names.control, p.names.position),
		active:   pipe.Do(ctx, "hget", p.names.control, fieldActive),
		position: pipe.HMGet(ctx, p.names.position, fieldEpoch, fieldID, fieldHolder),
	}
}

// readWatch keeps what the watch saw.
func (p *partition) readWatch(w watch) error {
	active, activeErr := w.active.Text()
	var epoch, position, process string
	for i, into := range []*string{&epoch, &position, &process} {
		if w.position.Err() == nil {
			*into, _ = w.position.Val()[i].(string)
		}
	}
	number, _ := strconv.ParseInt(epoch, 10, 64)
	p.seen = holder{active, number, position, process, w.watch.Err() == nil && activeErr == nil}
	for _, err := range []error{w.watch.Err(), activeErr, w.position.Err()} {
		if err != nil && !errors.Is(err, redis.Nil) {
			return ledgerFault(p.names.position, err)
		}
	}
	return nil
}
