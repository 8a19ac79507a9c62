package stream

import (
	"testing"

	"github.com/refold-dev/refold/projector/contract"
)

var testSource = contract.Source{Stream: "s", From: "0"}

func TestTheNextCountFollowsTheSizeOfEvents(t *testing.T) {
	limit := Limit{Events: 1000, Bytes: 10_000}
	cases := map[string]struct{ count, got, size, want int }{
		"nothing came":              {64, 0, 0, 64},
		"small events, more to ask": {10, 10, 100, 80},
		"never more than the limit": {500, 500, 500, 1000},
		"the tail, nothing to grow": {64, 3, 30, 64},
		"large events":              {64, 64, 640_000, 1},
		"a huge event":              {64, 1, 100_000, 1},
		"medium events":             {64, 64, 32_000, 20},
	}
	for name, c := range cases {
		if got := nextCount(c.count, c.got, c.size, limit); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
