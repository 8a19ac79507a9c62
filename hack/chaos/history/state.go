package history

import (
	"strconv"
	"time"
)

// The read model's fields.
const (
	fieldEvents = iota
	fieldWeight
	fieldSum
	fieldChain
	fieldPeak
	fieldName
	fieldAt
	fieldSeen
	fieldFlag
	fieldRatio
	fieldBig
	fieldTags
	fieldCount
)

var fieldNames = [fieldCount]string{"events", "weight", "sum", "chain", "peak", "name", "at", "seen", "flag", "ratio", "big", "tags"}

// Counter is the field that each event adds 1 to: it tells what was lost from
// what was doubled.
const Counter = "events"

// state is one entity, as the store's texts.
type state struct {
	exists bool
	has    [fieldCount]bool
	text   [fieldCount]string
}

func (s *state) texts() map[string]string {
	fields := map[string]string{}
	for i, has := range s.has {
		if has {
			fields[fieldNames[i]] = s.text[i]
		}
	}
	return fields
}

// apply is the fold: what the rules in contract.go say, once more.
func (s *state) apply(e *event, key string) {
	switch e.kind {
	case deleted:
		*s = state{}
		return
	case emptied:
		*s = state{exists: s.exists}
		return
	case moved:
		s.plus(fieldEvents, 1)
		if key == e.key {
			s.plus(fieldWeight, e.weight)
		} else {
			s.plus(fieldWeight, -e.weight)
		}
		return
	}
	s.count(e)
	if e.kind == created {
		s.put(fieldAt, time.UnixMilli(int64(e.id.Ms)).UTC().Format(time.RFC3339Nano))
	}
	for _, v := range e.values {
		s.put(v.field, v.kept)
	}
}

// count is what every event but a few does. The chain depends on the order of
// all events of the entity.
func (s *state) count(e *event) {
	s.put(fieldChain, strconv.FormatInt((s.number(fieldChain)*31+e.weight)%1_000_003, 10))
	s.put(fieldPeak, strconv.FormatInt(max(s.number(fieldPeak), e.weight), 10))
	s.plus(fieldEvents, 1)
	s.plus(fieldWeight, e.weight)
	sum, _ := strconv.ParseFloat(s.text[fieldSum], 64)
	s.put(fieldSum, strconv.FormatFloat(sum+e.part, 'g', -1, 64))
}

func (s *state) put(field int, text string) {
	s.exists, s.has[field], s.text[field] = true, true, text
}

func (s *state) plus(field int, n int64) { s.put(field, strconv.FormatInt(s.number(field)+n, 10)) }

// number is 0 where there is none.
func (s *state) number(field int) int64 {
	n, _ := strconv.ParseInt(s.text[field], 10, 64)
	return n
}
