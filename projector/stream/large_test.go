package stream

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

// allocated is how many bytes are allocated while f runs: its memory is at no
// time more than that.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestAnEntryBeyondItsBoundIsRefusedHoweverItComes(t *testing.T) {
	entries := []string{
		swiftEntry("1795412031120-0", "a", "b"),
		swiftEntry("1795412031120-1", "type", "A", "v", strings.Repeat("x", 100)),
		swiftEntry("1795412031120-2", strings.Fields(strings.Repeat("name value ", 100))...),
		swiftEntry("1795412031120-3", "type", "A", "v", strings.Repeat("x", 100_000)),
	}
	for _, entry := range entries {
		reply := []byte(opening + "*1\r\n" + entry)
		var said []string
		for _, chunk := range []int{1 << 20, 4096, 100, 1} {
			if b, err := decodeBound(reply, chunk, 1, len(entry)); err != nil || len(b.Events) != 1 {
				t.Errorf("%d bytes, as many as may be, in chunks of %d: %v", len(entry), chunk, err)
			}
			_, err := decodeBound(reply, chunk, 1, len(entry)-1)
			if !errors.Is(err, errTooLarge) {
				t.Fatalf("%d bytes where there may be one less, in chunks of %d: %v", len(entry), chunk, err)
			}
			said = append(said, err.Error())
		}
		if want := fmt.Sprintf("at least %d bytes", len(entry)); !strings.Contains(said[0], want) || len(slices.Compact(said)) > 1 {
			t.Errorf("%q do not all say %q", said, want)
		}
	}
}

func TestEventsBeforeOneThatIsTooLargeAreHandedOn(t *testing.T) {
	reply := opening + "*2\r\n" + entry1 + swiftEntry("1795412031120-0", "a", strings.Repeat("x", 1000))
	b, err := decodeBound([]byte(reply), 1<<20, 2, 500)
	if !errors.Is(err, errCut) || len(b.Events) != 1 {
		t.Errorf("%q, %v", flat(b.Events), err)
	}
}

func TestALengthInAReplyAllocatesNothing(t *testing.T) {
	for _, reply := range []string{"*1\r\n*2\r\n$4000000000\r\ns", opening + "*1\r\n*2\r\n$15\r\n1795412031120-0\r\n*2\r\n$1\r\na\r\n$4000000000\r\nx"} {
		var err error
		got := allocated(func() { _, err = decode([]byte(reply), 100, 10) })
		if !errors.Is(err, io.EOF) || got > 2*keptBuffer {
			t.Errorf("%q: %d MiB, %v", reply, got>>20, err)
		}
	}
}

func TestWhatIsTooLargeSaysWhatToDo(t *testing.T) {
	f := fault.As(tooLarge(projector.ID{Ms: 1795412031120, Seq: 1}, 64<<20, 8<<20))
	want := fault.Error{Reason: contract.ReasonEventTooLarge, Permanent: true, EventID: "1795412031120-1", Err: errTooLarge,
		Message: "it has at least 67108864 bytes, and no more than 8388608 fit into memory",
		Remedy:  "raise the memory limit of the projector to at least 2845 MiB; nothing after this event is folded until then"}
	if *f != want {
		t.Errorf("got %+v\nwant %+v", *f, want)
	}
}
