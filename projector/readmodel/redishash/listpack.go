package redishash

import (
	"encoding/binary"

	"github.com/refold-dev/refold/projector"
)

// A hash that is made by RESTORE comes as the server would dump it: the type, a
// listpack of names and values as one string, the version of the format, and a
// checksum. See Redis' rdb.h and listpack.c, and
// https://github.com/antirez/listpack/blob/master/listpack.md
const (
	rdbHashListpack = 16 // since version 10 of the format, which is Redis 7.0
	rdbVersion      = 10

	// Beyond these Redis keeps a hash as a table, unless it is configured to.
	mostPackedFields = 128
	mostPackedBytes  = 64

	listpackHead = 6 // its bytes and its elements
	listpackEnd  = 0xff
)

// listpack is an entity as a listpack, in b's memory. It is nil for one that
// Redis would not keep as such, or not at all. The fields' names must all fit.
func listpack(b []byte, fields []field, s *projector.State) []byte {
	n := 0
	b = append(b[:0], make([]byte, listpackHead)...)
	for slot := range fields {
		v := s.At(slot)
		if !v.IsSet() {
			continue
		}
		var fits bool
		b = append(b, fields[slot].packed...)
		if b, fits = appendPackedValue(b, v); !fits {
			return nil
		}
		n++
	}
	if n == 0 || n > mostPackedFields {
		return nil
	}
	return closeListpack(b, 2*n)
}

// closeListpack fills in the head, for which there is room.
func closeListpack(b []byte, elements int) []byte {
	b = append(b, listpackEnd)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint16(b[4:], uint16(elements))
	return b
}

func appendPackedValue(b []byte, v projector.Value) ([]byte, bool) {
	switch v.Kind() {
	case projector.Integer:
		return appendPackedInt(b, v.Int()), true
	case projector.Number, projector.Boolean:
		var text [32]byte
		return appendPackedText(b, string(v.AppendText(text[:0])))
	}
	return appendPackedText(b, v.Str())
}

// appendPackedText appends one element: a number where the text is one, as
// Redis does. It refuses text that is too long.
func appendPackedText(b []byte, text string) ([]byte, bool) {
	if n, is := canonicalInt(text); is {
		return appendPackedInt(b, n), true
	}
	switch n := len(text); {
	case n < 64:
		b = append(append(b, 0x80|byte(n)), text...)
		return append(b, byte(n+1)), true
	case n <= mostPackedBytes:
		b = append(append(b, 0xe0|byte(n>>8), byte(n)), text...)
		return append(b, byte(n+2)), true
	}
	return nil, false
}

// appendPackedInt appends a number in the fewest bytes, and its length, by which
// the listpack is read backwards.
func appendPackedInt(b []byte, n int64) []byte {
	switch {
	case 0 <= n && n < 1<<7:
		return append(b, byte(n), 1)
	case -1<<12 <= n && n < 1<<12:
		return append(b, 0xc0|byte(n>>8)&0x1f, byte(n), 2)
	case -1<<15 <= n && n < 1<<15:
		return append(b, 0xf1, byte(n), byte(n>>8), 3)
	case -1<<23 <= n && n < 1<<23:
		return append(b, 0xf2, byte(n), byte(n>>8), byte(n>>16), 4)
	case -1<<31 <= n && n < 1<<31:
		return append(binary.LittleEndian.AppendUint32(append(b, 0xf3), uint32(n)), 5)
	}
	return append(binary.LittleEndian.AppendUint64(append(b, 0xf4), uint64(n)), 9)
}

// canonicalInt reads text that a number of 64 bits would be written as.
func canonicalInt(text string) (n int64, is bool) {
	const most = 20 // digits and a sign
	digits := text
	negative := len(text) > 1 && text[0] == '-'
	if negative {
		digits = text[1:]
	}
	switch {
	case len(digits) == 0 || len(text) > most || digits[0] < '0' || digits[0] > '9':
		return 0, false
	case digits[0] == '0':
		return 0, text == "0"
	}
	var sum uint64
	for i := range len(digits) {
		c := digits[i] - '0'
		if c > 9 {
			return 0, false
		}
		sum = 10*sum + uint64(c)
	}
	return signed(sum, negative, len(digits))
}

func signed(sum uint64, negative bool, digits int) (int64, bool) {
	const largest = 1<<63 - 1
	switch {
	case digits > 19:
		return 0, false
	case negative && sum <= largest+1:
		return -int64(sum), true
	case !negative && sum <= largest:
		return int64(sum), true
	}
	return 0, false
}

// appendPayload appends what RESTORE takes: a dumped hash.
func appendPayload(b, packed []byte) []byte {
	begin := len(b)
	b = append(b, rdbHashListpack)
	switch n := len(packed); {
	case n < 1<<6:
		b = append(b, byte(n))
	case n < 1<<14:
		b = append(b, 0x40|byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0x80), uint32(n))
	}
	b = append(b, packed...)
	b = append(b, rdbVersion, 0)
	return binary.LittleEndian.AppendUint64(b, crc64(b[begin:]))
}

// payloadBytes is how long that is.
func payloadBytes(packed int) int {
	const around = 1 + 2 + 8
	switch {
	case packed < 1<<6:
		return around + 1 + packed
	case packed < 1<<14:
		return around + 2 + packed
	}
	return around + 5 + packed
}
