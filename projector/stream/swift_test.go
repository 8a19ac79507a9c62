package stream

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/refold-dev/refold/projector"
)

// decodeGeneral decodes entries by the general decoder alone.
func decodeGeneral(entries []byte, most int) *Batch {
	b := NewReader(nil, testSource, "g").newBatch(projector.ID{})
	b.buf, b.most = entries, most
	for {
		if want, err := b.event(); want > 0 || err != nil {
			return b
		}
	}
}

// decodeSwift decodes entries as far as they have the common shape.
func decodeSwift(entries []byte, most int) *Batch {
	b := NewReader(nil, testSource, "g").newBatch(projector.ID{})
	b.buf, b.most = entries, most
	b.swift(1 << 20)
	return b
}

func swiftEntry(id string, values ...string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "*2\r\n$%d\r\n%s\r\n*%d\r\n", len(id), id, len(values))
	for _, v := range values {
		fmt.Fprintf(&s, "$%d\r\n%s\r\n", len(v), v)
	}
	return s.String()
}

func TestEntriesOfTheCommonShapeAreDecodedSwiftly(t *testing.T) {
	many := make([]string, 98)
	cases := map[string]string{
		"one digit of sequence":    swiftEntry("1795412031120-0", "type", "A"),
		"eight digits of sequence": swiftEntry("9999999999999-99999999", "type", "A"),
		"an empty name and value":  swiftEntry("1795412031120-1", "", ""),
		"two digits of length":     swiftEntry("1795412031120-1", strings.Repeat("n", 10), strings.Repeat("v", 99)),
		"three digits of length":   swiftEntry("1795412031120-1", strings.Repeat("n", 100), strings.Repeat("v", 999)),
		"many fields":              swiftEntry("1795412031120-1", many...),
		"CRLF in a value":          swiftEntry("1795412031120-1", "a\r\n", "\r\n$1\r\n"),
	}
	for name, entry := range cases {
		t.Run(name, func(t *testing.T) {
			got, want := decodeSwift([]byte(entry), 0), decodeGeneral([]byte(entry), 0)
			if len(got.Events) != 1 || !slices.EqualFunc(flat(got.Events), flat(want.Events), slices.Equal) {
				t.Errorf("got %q, want %q", flat(got.Events), flat(want.Events))
			}
			if got.Last != want.Last || got.Bytes != len(entry) || want.Bytes != len(entry) {
				t.Errorf("ended at %s, %s after %d, %d bytes", got.Last, want.Last, got.Bytes, want.Bytes)
			}
		})
	}
}

func TestWhatOneByteChangesIsNeverDecodedOtherwise(t *testing.T) {
	entries := swiftEntry("1795412031120-7", "type", "A", "id", "12345678901") + swiftEntry("1795412031121-0", "a", strings.Repeat("b", 100)) + swiftEntry("1795412031121-10", "c", "d")
	for at := range len(entries) {
		for c := range 256 {
			spoiled := []byte(entries)
			spoiled[at] = byte(c)
			got, want := flat(decodeSwift(spoiled, 0).Events), flat(decodeGeneral(spoiled, 0).Events)
			if len(got) > len(want) || !slices.EqualFunc(got, want[:len(got)], slices.Equal) {
				t.Fatalf("%#x at %d: got %q, want %q", c, at, got, want)
			}
		}
	}
}
