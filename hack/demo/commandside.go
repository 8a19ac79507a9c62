package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/redis/go-redis/v9"
)

const (
	users          = 5_000
	firstBurstSize = 100_000
	pipelineLength = 1_000
)

// commandSide is the write side of an event-sourced shop: it appends what
// happened and never touches a read model.
type commandSide struct {
	redis   *redis.Client
	random  *rand.Rand
	created map[int]bool
}

func newCommandSide(client *redis.Client) *commandSide {
	return &commandSide{redis: client, random: rand.New(rand.NewPCG(7, 42)), created: map[int]bool{}}
}

// event is one entry: its type and its fields as name, value, name, value …
func event(eventType string, fields ...any) []any {
	return append([]any{"type", eventType}, fields...)
}

// append adds events in order, a pipeline at a time.
func (c *commandSide) append(ctx context.Context, events [][]any) error {
	for len(events) > 0 {
		n := min(pipelineLength, len(events))
		_, err := c.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, e := range events[:n] {
				p.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: e})
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("append to %s: %w", stream, err)
		}
		events = events[n:]
	}
	return nil
}

// story is what happened to a few users, each event once.
func (c *commandSide) story() [][]any {
	c.created[42], c.created[43] = true, true
	return [][]any{
		event("UserCreated", "id", "42", "name", "Ada Lovelace", "email", "ada@example.com"),
		event("UserCreated", "id", "43", "name", "Grace Hopper", "email", "grace@example.com"),
		event("UserCreated", "id", "visitor", "name", "Nobody", "email", "nobody@example.com"),
		event("AddressUpdated", "id", "42", "city", "London"),
		event("EmailUpdated", "id", "42", "email", "countess@example.com"),
		event("OrderPlaced", "id", "42", "order", "1", "cents", "1999"),
		event("OrderPlaced", "id", "43", "order", "2", "cents", "450"),
		event("PageViewed", "id", "42", "page", "/"), // nobody folds this one
		event("UserDeleted", "id", "visitor"),
	}
}

// burst makes n events for users 0 … users-1; the same seed makes the same.
func (c *commandSide) burst(n int) [][]any {
	events := make([][]any, 0, n)
	for len(events) < n {
		events = append(events, c.next())
	}
	return events
}

func (c *commandSide) next() []any {
	user := c.random.IntN(users)
	id := strconv.Itoa(user)
	if !c.created[user] {
		c.created[user] = true
		return event("UserCreated", "id", id, "name", "User "+id, "email", "user"+id+"@example.com")
	}
	switch roll := c.random.IntN(100); {
	case roll < 30:
		return event("EmailUpdated", "id", id, "email", fmt.Sprintf("user%s.%d@example.com", id, c.random.IntN(1000)))
	case roll < 50:
		return event("AddressUpdated", "id", id, "city", []string{"Paris", "Zürich", "大阪", "New York"}[c.random.IntN(4)])
	case roll < 98 || user == 42:
		return event("OrderPlaced", "id", id, "order", strconv.Itoa(c.random.IntN(1e9)), "cents", strconv.Itoa(1+c.random.IntN(20_000)))
	}
	delete(c.created, user)
	return event("UserDeleted", "id", id)
}
