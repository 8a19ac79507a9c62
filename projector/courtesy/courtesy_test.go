package courtesy

import (
	"testing"
	"time"
)

func TestItRestsWhileTheServerIsSlowAndNotWhenItIsCalm(t *testing.T) {
	var c Courtesy
	for range 100 {
		c.took(150 * time.Microsecond)
	}
	if got := c.Rest(10 * time.Millisecond); got != 0 {
		t.Errorf("on a calm server it rests %s", got)
	}
	c.took(5 * time.Millisecond)
	if got := c.Rest(10 * time.Millisecond); got == 0 || got > 50*time.Millisecond {
		t.Errorf("after one slow answer it rests %s", got)
	}
	for range 20 {
		c.took(5 * time.Millisecond)
	}
	if got := c.Rest(10 * time.Millisecond); got < 40*time.Millisecond || got > 60*time.Millisecond {
		t.Errorf("while all is slow it rests %s", got)
	}
	if got := c.Rest(time.Minute); got != MostRest {
		t.Errorf("it rests %s", got)
	}
	for range 30 {
		c.took(150 * time.Microsecond)
	}
	if got := c.Rest(10 * time.Millisecond); got != 0 {
		t.Errorf("calm again it rests %s", got)
	}
	for range 20_000 { // minutes later
		c.took(5 * time.Millisecond)
	}
	if got := c.Rest(10 * time.Millisecond); got != 0 {
		t.Errorf("a server that is slow by nature is rested for: %s", got)
	}
}
