package redishash

import (
	"strconv"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/redisconn"
)

// The verbs of a commit, as words of a command.
const (
	verbHSet    = "$4\r\nHSET\r\n"
	verbHDel    = "$4\r\nHDEL\r\n"
	verbHMGet   = "$5\r\nHMGET\r\n"
	verbRestore = "$7\r\nRESTORE\r\n"
	verbUnlink  = "$6\r\nUNLINK\r\n"
	verbExists  = "$6\r\nEXISTS\r\n"
	verbWatch   = "$5\r\nWATCH\r\n"
	verbSAdd    = "$4\r\nSADD\r\n"
	verbSRem    = "$4\r\nSREM\r\n"
	verbMembers = "$10\r\nSMISMEMBER\r\n"
)

const noTTL = "$1\r\n0\r\n"

// Prepare implements readmodel.Partition.
func (p *partition) Prepare(changed []readmodel.Entity, next readmodel.Checkpoint) readmodel.Transaction {
	t := p.pool.take()
	for i := range changed {
		p.entity(t, changed[i].Key, changed[i].State)
	}
	t.toSet(verbSAdd, p.names.keys, &t.added)
	t.toSet(verbSRem, p.names.keys, &t.removed)
	t.toSet(verbSAdd, p.names.bare, &t.bared)
	t.toSet(verbSRem, p.names.bare, &t.clothed)
	t.askWhetherFree()
	p.position(t, next)
	p.end(t)
	return t
}

// entity queues what of an entity the store does not hold.
func (p *partition) entity(t *transaction, key string, s *projector.State) {
	switch {
	case !s.Changed(), !s.Exists() && !s.InStore():
	case !s.Exists():
		t.head(2, verbUnlink, key, unknown)
		t.body = appendBulkKey(t.body, p.store.prefix, key)
		t.removed.add("", key)
		if c := count(s); s.Doubted() || c.stored == 0 {
			t.clothed.add("", key)
		}
	case !s.InStore():
		p.create(t, key, s)
	default:
		p.update(t, key, s)
	}
}

// create makes an entity's hash where there is none: by RESTORE, which costs the
// server less than HSET and never writes into what is there, or by HSET.
func (p *partition) create(t *transaction, key string, s *projector.State) {
	t.created = append(t.created, key)
	t.free.add(p.store.prefix, key)
	t.added.add("", key)
	c := count(s)
	switch {
	case c.set == 0:
		t.bared.add("", key)
	case p.restores && p.restore(t, key, s):
	default:
		t.unsafe = true
		p.fields(t, key, s, c)
	}
}

// restore queues RESTORE; false when the entity is too large for it.
func (p *partition) restore(t *transaction, key string, s *projector.State) bool {
	packed := listpack(t.packed, p.store.fields, s)
	if packed == nil {
		return false
	}
	t.packed = packed
	t.head(4, verbRestore, key, unknown)
	t.body = append(appendBulkKey(t.body, p.store.prefix, key), noTTL...)
	t.body = appendCount(t.body, '$', payloadBytes(len(packed)))
	t.body = append(appendPayload(t.body, packed), '\r', '\n')
	return true
}

// update writes the difference, or all where it is not known what is there.
func (p *partition) update(t *transaction, key string, s *projector.State) {
	c := count(s)
	p.fields(t, key, s, c)
	if s.Doubted() {
		t.added.add("", key)
	}
	switch {
	case c.set == 0 && (c.stored > 0 || s.Doubted()):
		t.bared.add("", key)
	case c.set > 0 && (c.stored == 0 || s.Doubted()):
		t.clothed.add("", key)
	}
}

// counts of an entity's fields.
type counts struct {
	set, stored             int // here, and in the store
	written, fresh, removed int // by a commit; fresh are those written that the store lacks
}

func count(s *projector.State) (c counts) {
	for slot := range s.Schema().Fields() {
		is, was := s.At(slot).IsSet(), s.Stored(slot)
		if was {
			c.stored++
		}
		if is {
			c.set++
		}
		switch {
		case is && writes(s, slot):
			c.written++
			if !was {
				c.fresh++
			}
		case !is && writes(s, slot):
			c.removed++
		}
	}
	return c
}

// writes says whether a commit says anything of a slot.
func writes(s *projector.State, slot int) bool {
	if s.Doubted() {
		return true
	}
	return s.ChangedAt(slot) && (s.Stored(slot) || s.At(slot).IsSet())
}

// fields queues HSET and HDEL. What they must answer is known only where it is
// known what is there.
func (p *partition) fields(t *transaction, key string, s *projector.State, c counts) {
	fresh, removed := int32(c.fresh), int32(c.removed)
	if s.Doubted() || !s.InStore() {
		fresh, removed = unknown, unknown
	}
	if c.written > 0 {
		t.head(2+2*c.written, verbHSet, key, fresh)
		t.body = appendBulkKey(t.body, p.store.prefix, key)
		for slot := range p.store.fields {
			if v := s.At(slot); v.IsSet() && writes(s, slot) {
				t.body = append(t.body, p.store.fields[slot].bulk...)
				t.body = appendBulkValue(t.body, v)
			}
		}
	}
	if c.removed > 0 {
		t.head(2+c.removed, verbHDel, key, removed)
		t.body = appendBulkKey(t.body, p.store.prefix, key)
		for slot := range p.store.fields {
			if !s.At(slot).IsSet() && writes(s, slot) {
				t.body = append(t.body, p.store.fields[slot].bulk...)
			}
		}
	}
}

// position queues the checkpoint.
func (p *partition) position(t *transaction, next readmodel.Checkpoint) {
	t.epoch = next.Epoch
	t.id = next.Position.Append(t.id)
	n := 10
	if next.Lanes != nil {
		t.lanes = appendLanes(t.lanes, next.Lanes)
		n += 2
	}
	t.queued++
	t.body = appendBulk(appendHead(t.body, n, verbHSet), p.names.position)
	t.body = appendBulkBytes(appendBulk(t.body, fieldID), t.id)
	for _, number := range []struct {
		name  string
		value int64
	}{{fieldEpoch, next.Epoch}, {fieldEntries, next.Entries}, {fieldEvents, next.Events}} {
		var text [20]byte
		t.body = appendBulkBytes(appendBulk(t.body, number.name), strconv.AppendInt(text[:0], number.value, 10))
	}
	switch {
	case next.Lanes != nil:
		t.body = appendBulkBytes(appendBulk(t.body, fieldLanes), t.lanes)
	case p.lanes:
		t.command("HDEL", p.names.position, fieldLanes)
	}
	p.lanes = next.Lanes != nil
}

var exec = redisconn.AppendCommand(nil, "EXEC")

// end adds what follows the last command of a transaction: EXEC, the WATCH for
// the next one, and the look at who holds the partition.
func (p *partition) end(t *transaction) {
	t.body = append(append(t.body, exec...), p.look...)
}
