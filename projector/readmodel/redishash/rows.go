package redishash

import (
	"bytes"
	"fmt"
	"hash/maphash"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/redisconn"
)

// Entities are asked for while as many are read: fewer of large ones, since the
// server keeps all answers that are not read.
const (
	rowsAtOnce  = 256
	rowsFirst   = 4
	bytesAtOnce = 1 << 20
)

// rowsNow is how many entities to ask for, after so many that had so many bytes.
func rowsNow(rows, bytes int) int {
	if rows == 0 {
		return rowsFirst
	}
	return max(1, min(4*rows, rowsAtOnce, bytesAtOnce*rows/max(bytes, 1)))
}

// hashRow is an entity's fields as a reader sees them. Its memory is used again.
type hashRow struct {
	text []byte
	ends []int // of each field in text
	set  []bool
}

func (r *hashRow) reset() { r.text, r.ends, r.set = r.text[:0], r.ends[:0], r.set[:0] }

func (r *hashRow) add(text []byte, set bool) {
	r.text = append(r.text, text...)
	r.ends, r.set = append(r.ends, len(r.text)), append(r.set, set)
}

func (r *hashRow) at(i int) (text []byte, set bool) {
	if i >= len(r.set) || !r.set[i] {
		return nil, false
	}
	begin := 0
	if i > 0 {
		begin = r.ends[i-1]
	}
	return r.text[begin:r.ends[i]], true
}

// any says whether a reader sees the entity at all.
func (r *hashRow) any() bool {
	for _, set := range r.set {
		if set {
			return true
		}
	}
	return false
}

// read compares entities, of which in tells the revisions that have them.
func (c *comparison) read(keys []string, in []uint8, each func(key string, r record)) error {
	asked, rows, bytes := 0, 0, 0
	ask := func() error {
		end := min(asked+rowsNow(rows, bytes), len(keys))
		c.request = c.request[:0]
		for i := asked; i < end; i++ {
			c.askRow(keys[i], in[i])
		}
		asked = end
		return c.wire.SendAhead(c.request)
	}
	if err := ask(); err != nil {
		return redisFault(err)
	}
	for done := 0; done < len(keys); {
		end := asked
		if err := ask(); err != nil {
			return redisFault(err)
		}
		for rows, bytes = end-done, 0; done < end; done++ {
			if err := c.readRows(keys[done], in[done]); err != nil {
				return err
			}
			bytes += len(c.rows[0].text) + len(c.rows[1].text)
			each(keys[done], c.classify(keys[done]))
		}
	}
	return nil
}

func (c *comparison) askRow(key string, in uint8) {
	for _, side := range []struct {
		bit uint8
		at  string
	}{{inFrom, c.fromAt}, {inTo, c.toAt}} {
		if in&side.bit == 0 || len(c.names) == 0 {
			continue
		}
		c.request = appendHead(c.request, 2+len(c.names), verbHMGet)
		c.request = append(appendBulkKey(c.request, side.at, key), c.fields...)
	}
}

func (c *comparison) readRows(key string, in uint8) error {
	for i, at := range []string{c.fromAt, c.toAt} {
		c.rows[i].reset()
		if in&(inFrom<<(2*i)) == 0 || len(c.names) == 0 {
			continue
		}
		if err := c.readRow(&c.rows[i], at+key); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) readRow(r *hashRow, key string) error {
	head, err := answer(c.wire, '*')
	switch {
	case isWrongType(err):
		return changedByHand(key, "it is no longer a hash")
	case err != nil:
		return redisFault(err)
	case head.N != int64(len(c.names)):
		return redisFault(fmt.Errorf("%w: to HMGET", redisconn.ErrBadReply))
	}
	for range c.names {
		text, err := answer(c.wire, '$')
		if err != nil {
			return redisFault(err)
		}
		r.add(text.Text, text.N >= 0)
	}
	return nil
}

// classify says what the two rows that were read contribute, and keeps the sample.
func (c *comparison) classify(key string) record {
	from, to := &c.rows[0], &c.rows[1]
	r := record{hash: maphash.String(c.seed, key)}
	was, is := from.any(), to.any()
	if is {
		r.digest, c.scratch = digestOf(c.scratch, key, c.names, to)
	}
	e := contract.DiffSample{Key: key}
	switch {
	case !was && !is:
		r.what = classAbsent
	case !was:
		r.what, e.Change = classAdded, contract.Added
	case !is:
		r.what, e.Change = classRemoved, contract.Removed
	default:
		c.differences(&r, &e)
	}
	if e.Change == "" {
		c.sample.remove(key)
	} else if c.sample.wants(key) {
		c.sample.add(e)
	}
	return r
}

// differences compares an entity that both have, field by field.
func (c *comparison) differences(r *record, e *contract.DiffSample) {
	r.what = classSame
	for i, name := range c.names {
		a, hasA := c.rows[0].at(i)
		b, hasB := c.rows[1].at(i)
		if hasA == hasB && bytes.Equal(a, b) {
			continue
		}
		if e.Change == "" {
			r.what, e.Change = classChanged, contract.Changed
		}
		if i < mostCounted {
			r.what |= 1 << (classBits + i)
		}
		if len(e.Fields) < sampleMostNames {
			e.Fields = append(e.Fields, name)
		}
	}
}
