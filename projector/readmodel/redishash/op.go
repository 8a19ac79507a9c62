package redishash

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
)

// What a Job does that makes projectors stand still.
const (
	opVerify  = "Verify"
	opCutover = "Cutover"
)

// operation is control's field op. With Expires it is a hold: both revisions
// fold up to Until, or not at all where that is empty, and go on by themselves
// when the server's clock has passed Expires. Without, it is a swap, which ends
// when a Job has ended it.
type operation struct {
	Kind    string `json:"kind"`
	Token   string `json:"token"` // names the Job that does it
	From    string `json:"from"`
	To      string `json:"to"`
	Until   string `json:"until"`
	Expires int64  `json:"expires"` // milliseconds of Unix time, 0 for never
}

func newOperation(kind, from, to string) operation {
	return operation{Kind: kind, Token: rand.Text(), From: from, To: to}
}

// parseOperation is nil for no text.
func parseOperation(text string) (*operation, error) {
	if text == "" {
		return nil, nil
	}
	o := new(operation)
	if err := json.Unmarshal([]byte(text), o); err != nil {
		return nil, err
	}
	return o, nil
}

func (o operation) text() string {
	text, _ := json.Marshal(o) // of strings and a number
	return string(text)
}

func (o *operation) concerns(revision string) bool {
	return o != nil && (o.From == revision || o.To == revision)
}

// swaps says that the point of no return is passed.
func (o *operation) swaps() bool { return o != nil && o.Expires == 0 }

// expired says also of a hold that ends later than any can that it is over: the
// server's clock was set back.
func (o *operation) expired(now int64) bool {
	return o.Expires > 0 && (o.Expires <= now || o.Expires-now > 2*holdLease.Milliseconds())
}

// until is the bound of a hold; nil where it has none, or none yet.
func (o *operation) until() *projector.ID {
	if o.Until == "" {
		return nil
	}
	id, err := projector.ParseID(o.Until)
	if err != nil {
		return nil
	}
	return &id
}

// serverMillis is the server's clock: the one that all leases are by.
func serverMillis(ctx context.Context, c redis.Cmdable) (int64, error) {
	now, err := c.Time(ctx).Result()
	return now.UnixMilli(), err
}

// holdLease is how long projectors stand still for a Job that says nothing.
const holdLease = 5 * time.Second
