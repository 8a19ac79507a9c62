package contract_test

import (
	"testing"

	"github.com/refold-dev/refold/projector/contract"
)

func TestWhatGoMayUseLeavesRoomForTheRest(t *testing.T) {
	const mebibyte = 1 << 20
	for limit, want := range map[int64]int64{
		mebibyte:       mebibyte, // of no use, but a number that Go takes
		64 * mebibyte:  40 * mebibyte,
		128 * mebibyte: 104 * mebibyte,
		512 * mebibyte: 483183819, // a change would restart every pod
	} {
		if got := contract.GoMemoryBytes(limit); got != want {
			t.Errorf("of %d: %d, want %d", limit, got, want)
		}
	}
	for _, want := range []int64{1, 40 * mebibyte, 104 * mebibyte, 483183819, 1 << 40} {
		if got := contract.GoMemoryBytes(contract.MemoryLimitFor(want)); got < want {
			t.Errorf("the limit for %d gives %d", want, got)
		}
	}
}
