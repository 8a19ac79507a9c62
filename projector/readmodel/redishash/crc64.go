package redishash

import "encoding/binary"

// jones is D. T. Jones' polynomial, reflected: Redis' CRC-64, which has neither
// a start value nor a last XOR.
const jones = 0x95ac9329ac4bc9b5

// crcTables are for eight bytes at a time ("slicing", Kounavis and Berry, 2008).
// hash/crc64 has them for other polynomials, and for this one only when the
// text is long.
var crcTables = makeCRCTables()

func makeCRCTables() *[8][256]uint64 {
	tables := new([8][256]uint64)
	for i := range tables[0] {
		crc := uint64(i)
		for range 8 {
			crc = crc>>1 ^ jones&-(crc&1)
		}
		tables[0][i] = crc
	}
	for k := 1; k < len(tables); k++ {
		for i, crc := range tables[k-1] {
			tables[k][i] = tables[0][byte(crc)] ^ crc>>8
		}
	}
	return tables
}

func crc64(p []byte) (crc uint64) {
	t := crcTables
	for ; len(p) >= 8; p = p[8:] {
		crc ^= binary.LittleEndian.Uint64(p)
		crc = t[7][byte(crc)] ^ t[6][byte(crc>>8)] ^ t[5][byte(crc>>16)] ^ t[4][byte(crc>>24)] ^
			t[3][byte(crc>>32)] ^ t[2][byte(crc>>40)] ^ t[1][byte(crc>>48)] ^ t[0][byte(crc>>56)]
	}
	for _, c := range p {
		crc = t[0][byte(crc)^c] ^ crc>>8
	}
	return crc
}
