package redishash

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/redisconn"
)

// errContended says that the ledger changed between WATCH and EXEC.
var errContended = errors.New("the ledger changed while it was looked at")

// holder is who holds the partition, as the ledger says.
type holder struct {
	epoch     int64
	published bool  // the revision is the one that readers read
	ours      bool  // this process claimed it last
	asLeft    bool  // the position is where it was left
	watched   bool  // control is there, and watched
	err       error // of the look itself
}

// execute sends a transaction and reads what became of it. It returns the
// entities of which other fields were made or removed than were missing or
// there; errContended when the WATCH refused it, a fault when the server
// refused it, and readmodel.ErrOutcomeUnknown when no reply came.
func (p *partition) execute(t *transaction) (altered []string, err error) {
	p.seen = holder{}
	if err := p.send(t); err != nil {
		return nil, p.lost(err)
	}
	n, refused, err := p.executed(t)
	switch {
	case err != nil:
		return nil, p.lost(err)
	case refused != nil:
		return nil, redisFault(refused)
	case n < 0:
		if p.seen.err = p.readWatch(); p.seen.err != nil {
			return nil, ledgerFault(p.names.position, p.seen.err)
		}
		return nil, errContended
	}
	altered, missed, err := p.results(t)
	if err != nil {
		return nil, p.lost(err)
	}
	p.id, p.laneText = append(p.id[:0], t.id...), append(p.laneText[:0], t.lanes...)
	// A watch that failed behind an EXEC that did not is the next commit's
	// trouble.
	p.seen.err = p.readWatch()
	return altered, missed
}

func (p *partition) lost(err error) error {
	p.seen.err = err
	return fmt.Errorf("%w: %w", readmodel.ErrOutcomeUnknown, err)
}

func (p *partition) send(t *transaction) error {
	if len(t.guards) == 0 {
		return p.wire.Send(t.body)
	}
	for _, part := range [][]byte{multi, t.guards, t.body[len(multi):]} {
		if err := p.wire.Send(part); err != nil {
			return err
		}
	}
	return nil
}

const queued = "+QUEUED\r\n"

// executed reads up to the head of EXEC's answer: how many results follow, -1
// when the WATCH refused it. refused is the server's word against it: where a
// command could not be queued, that is why EXEC fails.
func (p *partition) executed(t *transaction) (results int64, refused, err error) {
	for left := 1 + t.queued; left > 0; {
		if left -= p.wire.Skip(left, queued); left == 0 {
			break
		}
		r, err := p.wire.Reply()
		if err != nil {
			return 0, nil, err
		}
		if refused == nil {
			refused = r.Err()
		}
		left--
	}
	r, err := p.wire.Reply()
	switch {
	case err != nil:
		return 0, nil, err
	case r.Err() != nil && refused == nil:
		return 0, r.Err(), nil
	case refused == nil && (r.Kind != '*' || r.N >= 0 && r.N != int64(t.queued)):
		return 0, nil, fmt.Errorf("%w: to EXEC", redisconn.ErrBadReply)
	}
	return r.N, refused, nil
}

// results makes sure that every command of an executed transaction did its
// work. Redis goes on after a command that fails in EXEC, as one does on an
// entity that was replaced by another type behind our back: the commit then
// misses that entity, and the only honest answer is to stop and say so.
func (p *partition) results(t *transaction) (altered []string, missed, err error) {
	for i := range t.queued {
		r, err := p.wire.Reply()
		if err != nil {
			return nil, nil, err
		}
		if missed != nil {
			continue
		}
		at := i - t.guarded
		switch {
		case at < 0:
			missed = p.guarded(r)
		case at >= len(t.touched):
			if r.Err() != nil {
				missed = ledgerFault(p.names.position, r.Err())
			}
		case r.Kind == '-':
			missed = partial("the key %q was changed by something other than Refold, and could not be written", p.nameOf(&t.touched[at]))
		case t.touched[at].fields != unknown && int64(t.touched[at].fields) != r.N:
			if key := t.touched[at].key; len(altered) == 0 || altered[len(altered)-1] != key {
				altered = append(altered, key)
			}
		}
	}
	return altered, missed, nil
}

func (p *partition) guarded(r redisconn.Reply) error {
	switch {
	case r.Err() != nil:
		return redisFault(r.Err())
	case r.N > 0:
		return partial("one of the keys with the prefix %q was made by something else while it was made here", p.location)
	}
	return nil
}

func (p *partition) nameOf(touched *touch) string {
	if touched.entity {
		return p.location + touched.key
	}
	return touched.key
}

// lookCommand is the WATCH for the next commit and the look at who holds the
// partition, which readWatch reads.
func lookCommand(n names) []byte {
	b := redisconn.AppendCommand(nil, "WATCH", n.control, n.position)
	b = redisconn.AppendCommand(b, "HGET", n.control, fieldActive)
	return redisconn.AppendCommand(b, "HMGET", n.position, fieldEpoch, fieldID, fieldHolder, fieldLanes)
}

// readWatch keeps what the watch saw.
func (p *partition) readWatch() error {
	watch, err := p.wire.Reply()
	if err != nil {
		return err
	}
	refused := watch.Err()
	active, err := p.wire.Reply()
	if err != nil {
		return err
	}
	refused = errors.Join(refused, active.Err())
	p.seen.watched = refused == nil && active.N >= 0
	p.seen.published = string(active.Text) == p.names.revision
	row, err := p.wire.Reply()
	if err != nil || row.Kind != '*' {
		return errors.Join(err, refused, row.Err())
	}
	return errors.Join(refused, p.readHolder())
}

// readHolder reads the fields that lookCommand names.
func (p *partition) readHolder() error {
	p.seen.ours, p.seen.asLeft = true, true
	for _, read := range []func(text []byte){
		func(text []byte) { p.seen.epoch, _ = strconv.ParseInt(string(text), 10, 64) },
		func(text []byte) { p.seen.asLeft = bytes.Equal(text, p.id) },
		func(text []byte) { p.seen.ours = string(text) == p.store.holder },
		func(text []byte) { p.seen.asLeft = p.seen.asLeft && bytes.Equal(text, p.laneText) },
	} {
		r, err := answer(p.wire, '$')
		if err != nil {
			return err
		}
		read(r.Text)
	}
	return nil
}
