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

func TestLargeEntitiesMakeRoomForTheRoomsOfSmallOnes(t *testing.T) {
	c := newCache(testSchema(t), mebibyte)
	for i := range 10_000 {
		stored(c, fmt.Sprint("small-", i), 10)
		c.shrink()
	}
	for i := range 100 {
		stored(c, fmt.Sprint("large-", i), 100_000)
		c.shrink()
	}
	for range 10 { // each looks at some
		c.shrink()
	}
	rooms := int64(c.rooms.built) * c.rooms.bytes
	if c.large > 0 && rooms+int64(c.large)*100_000 > c.budget+c.budget/4 {
		t.Errorf("%d large entities beside %d bytes of rooms, and %d is the budget", c.large, rooms, c.budget)
	}
	if c.evictions == 0 || len(c.ring) == 0 {
		t.Errorf("%d evictions, %d are left", c.evictions, len(c.ring))
	}
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
		if bytes := c.evicted.bytes(); bytes > 2*leastFilter {
			t.Fatalf("%d bytes", bytes)
		}
	}
	if c.isNew("0") || c.evicted.bytes() != 0 {
		t.Error("an entity that was evicted is taken for new")
	}
}
