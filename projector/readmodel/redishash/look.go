package redishash

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/redisconn"
)

// lookAttempts is how often is looked again because a Job published another
// revision in that moment.
const lookAttempts = 5

// Read implements readmodel.Browser.
func (s *Store) Read(ctx context.Context, projection, revision string, keys []string, each func(readmodel.Row) error) error {
	c, b, err := s.browse(ctx, projection, revision)
	if err != nil {
		return err
	}
	wires, release, err := s.wires(ctx, 1)
	if err != nil {
		return err
	}
	defer release()
	r := reading{browsed: b, wire: wires[0]}
	for len(keys) > 0 {
		n := min(len(keys), rowsNow(len(r.rows), r.bytes))
		if err := r.read(keys[:n]); err != nil {
			return err
		}
		if err := s.unmoved(ctx, projection, c); err != nil {
			return err
		}
		for _, row := range r.rows {
			if err := each(row); err != nil {
				return err
			}
		}
		keys = keys[n:]
	}
	return nil
}

func (s *Store) unmoved(ctx context.Context, projection string, before control) error {
	now, err := controlAt(ctx, s.client, controlName(projection))
	if err == nil && now.moved(before) {
		return cuttingOver()
	}
	return err
}

// moved says whether entities may be named in another way than before.
func (c control) moved(before control) bool {
	return c.active != before.active || c.count != before.count || c.op.swaps()
}

// reading reads rows: as many at once as those before were small.
type reading struct {
	browsed
	wire    *redisconn.Wire
	request []byte
	rows    []readmodel.Row // of the last request
	bytes   int
}

func (r *reading) read(keys []string) error {
	r.request = r.request[:0]
	for _, key := range keys {
		for _, n := range r.names {
			r.request = redisconn.AppendCommand(r.request, "SMISMEMBER", n.keys[readmodel.LaneOf(key)], key)
		}
		r.request = redisconn.AppendCommand(r.request, append([]string{"HMGET", r.location + key}, r.fields...)...)
	}
	if err := r.wire.Send(r.request); err != nil {
		return redisFault(err)
	}
	r.rows, r.bytes = r.rows[:0], 0
	for _, key := range keys {
		if err := r.row(key); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) row(key string) error {
	row := readmodel.Row{Key: key}
	for _, n := range r.names {
		if _, err := answer(r.wire, '*'); err != nil {
			return ledgerFault(n.position, err)
		}
		is, err := answer(r.wire, ':')
		if err != nil {
			return redisFault(err)
		}
		row.Exists = row.Exists || is.N == 1
	}
	fields, err := r.hash()
	switch {
	case err != nil && row.Exists && isWrongType(err):
		return changedByHand(r.location+key, "it is no longer a hash")
	case err != nil && !isWrongType(err):
		return redisFault(err)
	case row.Exists:
		row.Fields = fields
	}
	r.rows = append(r.rows, row)
	return nil
}

func (r *reading) hash() (map[string]string, error) {
	if _, err := answer(r.wire, '*'); err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for _, name := range r.fields {
		text, err := answer(r.wire, '$')
		if err != nil {
			return nil, err
		}
		if text.N >= 0 {
			fields[name] = string(text.Text)
		}
		r.bytes += len(text.Text)
	}
	return fields, nil
}

// Look implements readmodel.Browser.
func (s *Store) Look(ctx context.Context, projection string, revisions []string, key string) ([]readmodel.Seen, error) {
	for range lookAttempts {
		seen, err := s.look(ctx, projection, revisions, key)
		if !errors.Is(err, errVoid) {
			return seen, err
		}
	}
	return nil, cuttingOver()
}

// look is errVoid where entities were named in another way in that moment.
func (s *Store) look(ctx context.Context, projection string, revisions []string, key string) ([]readmodel.Seen, error) {
	before, err := controlAt(ctx, s.client, controlName(projection))
	if err != nil {
		return nil, err
	}
	looks := make([]looking, len(revisions))
	for i, revision := range revisions {
		if looks[i].browsed, err = s.browsed(before, projection, revision); err != nil {
			return nil, err
		}
	}
	pipe := s.client.TxPipeline()
	control := pipe.HGetAll(ctx, controlName(projection))
	for i := range looks {
		looks[i].ask(ctx, pipe, key)
	}
	if _, err := pipe.Exec(ctx); err != nil && !isWrongType(err) { // whose it is, each reply tells
		return nil, redisFault(err)
	}
	now, err := parseControl(controlName(projection), control.Val())
	switch {
	case err != nil:
		return nil, err
	case now.moved(before):
		return nil, errVoid
	}
	seen := make([]readmodel.Seen, len(looks))
	for i := range looks {
		if seen[i], err = looks[i].seen(key); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// looking is an entity in one revision, asked for.
type looking struct {
	browsed
	positions []*redis.MapStringStringCmd
	members   []*redis.BoolSliceCmd
	row       *redis.SliceCmd
}

func (l *looking) ask(ctx context.Context, pipe redis.Pipeliner, key string) {
	for _, n := range l.names {
		l.positions = append(l.positions, pipe.HGetAll(ctx, n.position))
		l.members = append(l.members, pipe.SMIsMember(ctx, n.keys[readmodel.LaneOf(key)], key))
	}
	l.row = pipe.HMGet(ctx, l.location+key, l.fields...)
}

// seen is as far as the partition that has the entity, or as the one that is the
// least far where none has it.
func (l *looking) seen(key string) (readmodel.Seen, error) {
	seen := readmodel.Seen{Row: readmodel.Row{Key: key}}
	for i, n := range l.names {
		position, err := positionOf(n, l.positions[i], key)
		if err != nil {
			return seen, err
		}
		members, err := l.members[i].Result()
		if err != nil {
			return seen, ledgerFault(n.position, err)
		}
		has := len(members) == 1 && members[0]
		if i == 0 || has || !seen.Exists && position.Compare(seen.Position) < 0 {
			seen.Exists, seen.Position = has, position
		}
	}
	if !seen.Exists {
		return seen, nil
	}
	values, err := l.row.Result()
	switch {
	case isWrongType(err):
		return seen, changedByHand(l.location+key, "it is no longer a hash")
	case err != nil:
		return seen, redisFault(err)
	}
	seen.Fields = map[string]string{}
	for i, value := range values {
		if text, set := value.(string); set {
			seen.Fields[l.fields[i]] = text
		}
	}
	return seen, nil
}

func positionOf(n names, reply *redis.MapStringStringCmd, key string) (projector.ID, error) {
	fields, err := reply.Result()
	switch {
	case err != nil:
		return projector.ID{}, ledgerFault(n.position, err)
	case len(fields) == 0:
		return projector.ID{}, ledgerGone(n.position)
	}
	at, err := parsePosition(n.position, fields)
	if err == nil && at.Lanes != nil {
		return at.Lanes[readmodel.LaneOf(key)].Position, nil
	}
	return at.Position, err
}
