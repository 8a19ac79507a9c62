package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/chaos/history"
)

// watch samples the ledger on a connection of its own until stop: what must
// never happen must not happen between two looks of the judge either.
type watch struct {
	client *redis.Client
	model  *history.History
	cancel context.CancelFunc
	done   chan struct{}
	broken error // what it has seen; read after done
	looks  int64
}

func startWatch(ctx context.Context, client *redis.Client, model *history.History) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{client: client, model: model, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.broken = w.look(ctx)
	}()
	return w
}

func (w *watch) stop() error {
	w.cancel()
	<-w.done
	return w.broken
}

// look ends with what is wrong, or nil when ctx ends. A Redis that is away
// tells nothing.
func (w *watch) look(ctx context.Context) error {
	var last ledger
	for ; pause(ctx, 2*time.Millisecond) == nil; w.looks++ {
		fields, err := w.client.HGetAll(ctx, positionKey).Result()
		if err != nil || len(fields) == 0 {
			continue
		}
		now, err := parseLedger(fields)
		if err == nil {
			err = now.wrong(w.model)
		}
		if err == nil {
			err = last.before(now)
		}
		if err != nil {
			return fmt.Errorf("seen while it ran: %w", err)
		}
		last = now
	}
	return nil
}
