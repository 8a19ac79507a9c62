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
	t.toSets(verbSAdd, p.names.keys, t.added, &p.sorted)
	t.toSets(verbSRem, p.names.keys, t.removed, &p.sorted)
	t.toSets(verbSAdd, p.names.bare, t.bared, &p.sorted)
	t.toSets(verbSRem, p.names.bare, t.clothed, &p.sorted)
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
		t.body = appendBulkKey(t.body, p.location, key)
		t.removed = append(t.removed, key)
		if s.Doubted() || p.wasBare(s) {
			t.clothed = append(t.clothed, key)
		}
	case !s.InStore():
		p.create(t, key, s)
	default:
		p.update(t, key, s)
	}
}

func (p *partition) wasBare(s *projector.State) bool {
	for slot := range p.store.fields {
		if s.Stored(slot) {
			return false
		}
	}
	return true
}

// create makes an entity's hash where there is none: by RESTORE, which costs the
// server less than HSET and never writes into what is there, or by HSET.
func (p *partition) create(t *transaction, key string, s *projector.State) {
	t.created = append(t.created, key)
	t.free.add(p.location, key)
	t.added = append(t.added, key)
	if p.restores && p.restore(t, key, s) {
		return
	}
	d := p.compare(t, s)
	if d.set == 0 {
		t.bared = append(t.bared, key)
		return
	}
	t.unsafe = true
	p.hset(t, key, d.written, unknown)
}

// restore queues RESTORE; false for an entity that Redis would not keep as a
// listpack, as it keeps none without a field.
func (p *partition) restore(t *transaction, key string, s *projector.State) bool {
	packed := listpack(t.words, p.store.fields, s)
	if packed == nil {
		return false
	}
	t.words = packed
	t.head(4, verbRestore, key, unknown)
	t.body = append(appendBulkKey(t.body, p.location, key), noTTL...)
	t.body = appendCount(t.body, '$', payloadBytes(len(packed)))
	t.body = append(appendPayload(t.body, packed), '\r', '\n')
	return true
}

// update writes the difference, or all where it is not known what is there:
// then it is not known either how many fields that will make or remove.
func (p *partition) update(t *transaction, key string, s *projector.State) {
	d, doubted := p.compare(t, s), s.Doubted()
	fresh, removed := d.fresh, d.removed
	if doubted {
		fresh, removed = unknown, unknown
		t.added = append(t.added, key)
	}
	if d.written > 0 {
		p.hset(t, key, d.written, fresh)
	}
	if d.removed > 0 {
		t.head(2+d.removed, verbHDel, key, removed)
		t.body = append(appendBulkKey(t.body, p.location, key), t.gone...)
	}
	switch {
	case d.set == 0 && (d.stored > 0 || doubted):
		t.bared = append(t.bared, key)
	case d.set > 0 && (d.stored == 0 || doubted):
		t.clothed = append(t.clothed, key)
	}
}

// hset queues HSET of t.words, which are so many fields.
func (p *partition) hset(t *transaction, key string, fields, fresh int) {
	t.head(2+2*fields, verbHSet, key, fresh)
	t.body = append(appendBulkKey(t.body, p.location, key), t.words...)
}

// difference counts an entity's fields.
type difference struct {
	set, stored             int // here, and in the store
	written, fresh, removed int // by a commit; fresh are those written that the store lacks
}

// compare leaves names and values to be set in t.words, and names to be removed
// in t.gone.
func (p *partition) compare(t *transaction, s *projector.State) (d difference) {
	set, gone, doubted := t.words[:0], t.gone[:0], s.Doubted()
	for slot := range p.store.fields {
		v, stored := s.At(slot), s.Stored(slot)
		if stored {
			d.stored++
		}
		if v.IsSet() {
			d.set++
		}
		switch {
		case !doubted && !s.ChangedAt(slot):
		case v.IsSet():
			d.written++
			if !stored {
				d.fresh++
			}
			set = appendBulkValue(append(set, p.store.fields[slot].bulk...), v)
		case stored || doubted:
			d.removed++
			gone = append(gone, p.store.fields[slot].bulk...)
		}
	}
	t.words, t.gone = set, gone
	return d
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
