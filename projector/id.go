package projector

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ID is a stream ID: milliseconds and a sequence number. The zero ID, "0-0",
// lies before every entry.
type ID struct{ Ms, Seq uint64 }

// ParseID reads "ms-seq" or "ms" (sequence 0), as Redis does.
func ParseID(s string) (ID, error) {
	ms, seq, found := strings.Cut(s, "-")
	var id ID
	var err error
	if id.Ms, err = strconv.ParseUint(ms, 10, 64); err == nil && found {
		id.Seq, err = strconv.ParseUint(seq, 10, 64)
	}
	if err != nil {
		return ID{}, fmt.Errorf("%q is not a stream ID: want milliseconds-sequence, as in 1795412031120-0", clip(s))
	}
	return id, nil
}

// ParseStart reads where history begins: a stream ID, or an RFC 3339 time,
// which stands for the first ID of its millisecond.
func ParseStart(s string) (ID, error) {
	if id, err := ParseID(s); err == nil {
		return id, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.UnixMilli() < 0 {
		return ID{}, fmt.Errorf("%q is neither a stream ID (1795412031120-0) nor an RFC 3339 time (2026-11-23T00:00:00Z)", clip(s))
	}
	return ID{Ms: uint64(t.UnixMilli())}, nil
}

// ParseEnd reads where history ends, inclusively: a stream ID, or an RFC 3339
// time or an ID's milliseconds alone, which stand for the last ID of theirs.
func ParseEnd(s string) (ID, error) {
	id, err := ParseStart(s)
	if err == nil && !strings.Contains(s, "-") || err == nil && strings.Contains(s, ":") {
		id.Seq = math.MaxUint64
	}
	return id, err
}

// Compare is -1, 0 or +1 as id lies before, at or after other.
func (id ID) Compare(other ID) int {
	switch {
	case id == other:
		return 0
	case id.Ms < other.Ms, id.Ms == other.Ms && id.Seq < other.Seq:
		return -1
	}
	return 1
}

// Next is the smallest ID after id; the largest ID is its own successor.
func (id ID) Next() ID {
	switch {
	case id.Seq < math.MaxUint64:
		return ID{id.Ms, id.Seq + 1}
	case id.Ms < math.MaxUint64:
		return ID{id.Ms + 1, 0}
	}
	return id
}

// Prev is the largest ID before id; the zero ID is its own predecessor.
func (id ID) Prev() ID {
	switch {
	case id.Seq > 0:
		return ID{id.Ms, id.Seq - 1}
	case id.Ms > 0:
		return ID{id.Ms - 1, math.MaxUint64}
	}
	return id
}

// Append appends the ID's text to b.
func (id ID) Append(b []byte) []byte {
	b = strconv.AppendUint(b, id.Ms, 10)
	b = append(b, '-')
	return strconv.AppendUint(b, id.Seq, 10)
}

func (id ID) String() string { return string(id.Append(make([]byte, 0, 41))) }
