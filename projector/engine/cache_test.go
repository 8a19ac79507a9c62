package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/refold-dev/refold/projector"
)

// stored adds an entity that the store has, with so many bytes.
func stored(c *cache, key string, bytes int) *entry {
	e := c.add(key, c.hash(key))
	e.state.SetAt(1, projector.StringValue(strings.Repeat("x", bytes)))
	e.state.MarkStored()
	e.used = false
	c.weigh(e)
	return e
}

func TestTheKeysOfTheEvictedTakeLittle(t *testing.T) {
	c := newCache(testSchema(t), 64<<10)
	c.whole = true
	for i := 0; c.whole; i++ {
		if i > 2_000_000 {
			t.Fatalf("the keys take %d bytes", c.evicted.bytes())
		}
		stored(c, fmt.Sprint(i), 10)
		c.shrink()
		if bytes := c.evicted.bytes(); bytes > 2*firstLayer/8 {
			t.Fatalf("%d bytes", bytes)
		}
	}
	if c.isNew("0") || c.evicted.bytes() != 0 {
		t.Error("an entity that was evicted is taken for new")
	}
}
