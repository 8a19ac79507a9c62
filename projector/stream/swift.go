package stream

import (
	"encoding/binary"

	"github.com/refold-dev/refold/projector"
)

// Nearly every entry has the shape that a server of today gives it: an ID of 13
// digits, a dash and a number; few fields; no string of 1000 bytes or more. Such
// entries are decoded here, eight bytes at a look. Whatever is only a little
// different, or not wholly there, is left to the general decoder, which also
// finds the words for what is wrong.

// swift decodes entries while they are of that shape and wholly in the buffer,
// until there are n events.
func (b *Batch) swift(n int) {
	if b.half.open {
		return
	}
	buf, pos, last, fields := b.buf, b.pos, b.Last, b.fields
	for len(b.Events) < n {
		id, at := swiftID(buf, pos)
		if at == 0 || id.Ms < last.Ms || id.Ms == last.Ms && id.Seq <= last.Seq {
			break
		}
		more, at := swiftFields(buf, at, fields)
		if at == 0 || b.most > 0 && at-pos > b.most {
			break
		}
		b.Events = append(b.Events, projector.Event{ID: id, Fields: more[len(fields):len(more):len(more)]})
		pos, last, fields = at, id, more
	}
	b.advance(pos)
	b.Last, b.fields = last, fields
}

// look loads the eight bytes at a place, the first as the lowest; 0, which no
// text is, where they are not all there.
func look(buf []byte, at int) uint64 {
	if at < 0 || at > len(buf)-8 {
		return 0
	}
	return binary.LittleEndian.Uint64(buf[at:])
}

// swiftID reads an entry's beginning, up to the end of its ID; 0 where it is of
// another shape.
func swiftID(buf []byte, at int) (id projector.ID, end int) {
	const (
		pair     = '*' | '2'<<8 | '\r'<<16 | '\n'<<24 | '$'<<32 | '\r'<<56
		digits   = 0x00ffff00_00000000
		msDigits = 13
	)
	head := look(buf, at)
	ten, one := head>>40&0xff-'0', head>>48&0xff-'0'
	if head&^digits != pair || ten > 9 || one > 9 {
		return id, 0
	}
	begin := at + len("*2\r\n$00\r\n")
	end = begin + int(10*ten+one)
	dash := begin + msDigits
	if end < dash+2 || end > dash+9 || end > len(buf)-8 || buf[begin-1] != '\n' || buf[dash] != '-' {
		return id, 0
	}
	high, sound1 := decimal(look(buf, begin), 8)
	low, sound2 := decimal(look(buf, begin+8), msDigits-8)
	seq, sound3 := decimal(look(buf, dash+1), end-dash-1)
	if !sound1 || !sound2 || !sound3 {
		return id, 0
	}
	return projector.ID{Ms: high*100_000 + low, Seq: seq}, end
}

// decimal reads the first n of eight digits at once; n is 1 to 8. (Daniel
// Lemire, "Quickly parsing eight digits", 2022.)
func decimal(text uint64, n int) (value uint64, sound bool) {
	const (
		low  = 0x000000ff_000000ff
		mul1 = 100 + 1_000_000<<32
		mul2 = 1 + 10_000<<32
	)
	x := (text ^ 0x30303030_30303030) << ((64 - 8*n) & 63)
	sound = (x|(x+0x76767676_76767676))&0x80808080_80808080 == 0
	x = x*10 + x>>8
	return (x&low*mul1 + x>>16&low*mul2) >> 32, sound
}

// swiftFields reads from the end of the ID to the entry's end, 0 where it is of
// another shape. The fields are appended.
func swiftFields(buf []byte, at int, fields []projector.Field) (all []projector.Field, end int) {
	n, size := heading(look(buf, at), '*')
	if size == 0 || n%2 != 0 {
		return nil, 0
	}
	at += size - len("\r\n")
	for ; n > 0; n -= 2 {
		l, size := heading(look(buf, at), '$')
		name := at + size
		at = name + l
		if size == 0 || at > len(buf) {
			return nil, 0
		}
		nameEnd := at
		l, size = heading(look(buf, at), '$')
		value := at + size
		at = value + l
		if size == 0 || at > len(buf) {
			return nil, 0
		}
		fields = append(fields, projector.Field{Name: buf[name:nameEnd:nameEnd], Value: buf[value:at:at]})
	}
	if at > len(buf)-2 || buf[at] != '\r' || buf[at+1] != '\n' {
		return nil, 0
	}
	return fields, at + 2
}

// heading reads "\r\n", a type and a number of at most three digits, "\r\n". Its
// size is 0 where it is of another shape.
func heading(text uint64, kind byte) (n, size int) {
	const crlf = '\r' | '\n'<<8
	if text&0xffffff != crlf|uint64(kind)<<16 {
		return 0, 0
	}
	a, b, c := text>>24&0xff-'0', text>>32&0xff-'0', text>>40&0xff-'0'
	switch {
	case text>>32&0xffff == crlf && a <= 9:
		return int(a), len("\r\n$0\r\n")
	case text>>40&0xffff == crlf && a <= 9 && b <= 9:
		return int(10*a + b), len("\r\n$00\r\n")
	case text>>48&0xffff == crlf && a <= 9 && b <= 9 && c <= 9:
		return int(100*a + 10*b + c), len("\r\n$000\r\n")
	}
	return 0, 0
}
