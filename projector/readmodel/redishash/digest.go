package redishash

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// sum is a number modulo 2^128: a sum of digests does not depend on the order of
// what was digested, and one of them can be taken back.
type sum struct{ high, low uint64 }

func (s *sum) add(other sum) {
	var carry uint64
	s.low, carry = bits.Add64(s.low, other.low, 0)
	s.high, _ = bits.Add64(s.high, other.high, carry)
}

func (s *sum) take(other sum) {
	var borrow uint64
	s.low, borrow = bits.Sub64(s.low, other.low, 0)
	s.high, _ = bits.Sub64(s.high, other.high, borrow)
}

func (s *sum) hex() string {
	b := binary.BigEndian.AppendUint64(nil, s.high)
	return hex.EncodeToString(binary.BigEndian.AppendUint64(b, s.low))
}

// digestOf is the first half of SHA-256 of an entity's canonical encoding: its
// key, then the names and values of its fields by name, each behind its length in
// 8 bytes. The text is b's memory, which is returned for use again.
func digestOf(b []byte, key string, names []string, r *hashRow) (sum, []byte) {
	b = appendSized(b[:0], key)
	for i, name := range names {
		if value, set := r.at(i); set {
			b = appendSized(appendSized(b, name), value)
		}
	}
	hash := sha256.Sum256(b)
	return sum{binary.BigEndian.Uint64(hash[:8]), binary.BigEndian.Uint64(hash[8:16])}, b
}

func appendSized[T string | []byte](b []byte, text T) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(text))), text...)
}
