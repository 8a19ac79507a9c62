package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/redisconn"
)

// fill makes the stream of a workload.
func (s *server) fill(ctx context.Context, w workload) error {
	const perBatch = 500
	_, err := pump(ctx, s.addr, func(yield func([]byte) bool) {
		var batch []byte
		for i, e := range w.all() {
			batch = e.appendAdd(batch, entryID(i))
			if i%perBatch == perBatch-1 || i == w.events-1 {
				if !yield(batch) {
					return
				}
				batch = batch[:0]
			}
		}
	})
	if err != nil {
		return err
	}
	if length, err := s.client.XLen(ctx, stream).Result(); err != nil || length != int64(w.events) {
		return errors.Join(err, fmt.Errorf("the stream has %d entries, not %d", length, w.events))
	}
	return nil
}

// drainPage is the entries of one XRANGE of the drain. With it and inFlight the
// server is the bottleneck; 500 to 50,000 and 2 to 16 were tried.
const drainPage = 10_000

// drain reads the bytes of the whole stream and drops them: the least that any
// reader of the log must do, on one connection as well as one can do it. It
// knows the pages' borders beforehand and looks at no entry.
func (s *server) drain(ctx context.Context, w workload) (seconds float64, err error) {
	const leastEntryBytes = 60
	begun := time.Now()
	replyBytes, err := pump(ctx, s.addr, func(yield func([]byte) bool) {
		var request []byte
		for first := 0; first < w.events; first += drainPage {
			request = redisconn.AppendCommand(request[:0], "XRANGE", stream, entryID(first), "+", "COUNT", strconv.Itoa(drainPage))
			if !yield(request) {
				return
			}
		}
	})
	if err == nil && replyBytes < int64(w.events)*leastEntryBytes {
		err = fmt.Errorf("the drain got %d bytes for %d events", replyBytes, w.events)
	}
	return time.Since(begun).Seconds(), err
}

// naivePrefix is where the tutorial's program writes.
const naivePrefix = "naive:"

// naive is what a tutorial writes: XREAD with COUNT 1000, a map for each event,
// and its commands in one pipeline for each read. It keeps no position.
func (s *server) naive(ctx context.Context) error {
	for last := "0"; ; {
		read, err := s.client.XRead(ctx, &redis.XReadArgs{Streams: []string{stream, last}, Count: 1000, Block: -1}).Result()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		if err != nil {
			return err
		}
		messages := read[0].Messages
		if _, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, m := range messages {
				naiveFold(ctx, p, m.Values)
			}
			return nil
		}); err != nil {
			return err
		}
		last = messages[len(messages)-1].ID
	}
}

func naiveFold(ctx context.Context, p redis.Pipeliner, e map[string]any) {
	key := naivePrefix + e["id"].(string)
	switch e["type"] {
	case "UserCreated":
		p.HSet(ctx, key, "id", e["id"], "name", e["name"], "email", e["email"])
	case "EmailUpdated":
		p.HSet(ctx, key, "email", e["email"])
	case "AddressUpdated":
		p.HSet(ctx, key, "city", e["city"])
	case "OrderPlaced":
		cents, _ := strconv.ParseInt(e["cents"].(string), 10, 64)
		p.HIncrBy(ctx, key, "orders", 1)
		p.HIncrBy(ctx, key, "spent", cents)
	}
}

// writes are the commands that write a model's hashes, in batches.
func writes(m *model) [][]byte {
	const perBatch = 500
	var batches [][]byte
	var batch []byte
	n := 0
	for entity, u := range m.users {
		words := []string{"HSET", keyPrefix + strconv.Itoa(entity)}
		for field, value := range u.hash() {
			words = append(words, field, value)
		}
		batch = redisconn.AppendCommand(batch, words...)
		if n++; n%perBatch == 0 || n == len(m.users) {
			batches, batch = append(batches, batch), nil
		}
	}
	return batches
}

// write sends the batches over two connections.
func (s *server) write(ctx context.Context, batches [][]byte) (seconds float64, err error) {
	begun := time.Now()
	half := len(batches) / 2
	other := make(chan error, 1)
	go func() {
		_, err := pump(ctx, s.addr, slices.Values(batches[half:]))
		other <- err
	}()
	_, err = pump(ctx, s.addr, slices.Values(batches[:half]))
	return time.Since(begun).Seconds(), errors.Join(err, <-other)
}
