package history

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// ID is a stream ID.
type ID struct{ Ms, Seq uint64 }

// ParseID reads "<ms>-<seq>".
func ParseID(text string) (ID, error) {
	ms, seq, found := strings.Cut(text, "-")
	m, err := strconv.ParseUint(ms, 10, 64)
	n, err2 := strconv.ParseUint(seq, 10, 64)
	if !found || err != nil || err2 != nil {
		return ID{}, fmt.Errorf("%q is no stream ID", text)
	}
	return ID{m, n}, nil
}

func (id ID) String() string { return fmt.Sprintf("%d-%d", id.Ms, id.Seq) }

// Compare orders IDs as the stream does.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Ms, other.Ms), cmp.Compare(id.Seq, other.Seq))
}
