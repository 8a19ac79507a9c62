package redishash

import (
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestTheChecksumIsRedis(t *testing.T) {
	if got := crc64([]byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("%x", got)
	}
}

func TestOnlyWhatANumberWouldBeWrittenAsIsOne(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "-": false, "0": true, "-0": false, "00": false, "01": false, "+1": false, " 1": false, "1 ": false,
		"-1": true, "9223372036854775807": true, "9223372036854775808": false, "-9223372036854775808": true,
		"-9223372036854775809": false, "18446744073709551617": false, "99999999999999999999": false, "1.5": false, "1e3": false,
	} {
		n, is := canonicalInt(text)
		if is != want || is && strconv.FormatInt(n, 10) != text {
			t.Errorf("%q: %d, %t", text, n, is)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(math.MinInt64, math.MaxInt64).Draw(t, "n")
		if got, is := canonicalInt(strconv.FormatInt(n, 10)); !is || got != n {
			t.Fatalf("%d became %d, %t", n, got, is)
		}
	})
}
