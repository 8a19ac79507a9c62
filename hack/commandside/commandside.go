// Package commandside is a sample of what stands before Refold: a program that
// decides, and appends what it has decided to the log. docs/command-side.md shows
// it; nothing of Refold imports it.
package commandside

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// ErrConflict says that somebody else has appended an event of the entity since it was
// looked at. Whoever asked looks again, and decides anew.
var ErrConflict = errors.New("the entity has changed meanwhile")

// Log appends events of entities to a stream. Beside it a hash counts each
// entity's events: its version.
type Log struct {
	Client   *redis.Client
	Stream   string // user_events
	Versions string // user_versions; on Redis Cluster in the stream's slot
}

// Version is how many events an entity has. Ask before you read what you decide by.
func (l Log) Version(ctx context.Context, entity string) (int64, error) {
	version, err := l.Client.HGet(ctx, l.Versions, entity).Int64()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	return version, err
}

// appendIf appends an event if the entity still has the version that it was decided
// by. Both keys change in one step, or none.
var appendIf = redis.NewScript(`
	if (redis.call('HGET', KEYS[2], ARGV[1]) or '0') ~= ARGV[2] then return false end
	redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
	return redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))`)

// Append appends one event, as names and values, and returns its ID; or ErrConflict.
// After a lost connection nobody knows whether it was appended: look at Version.
func (l Log) Append(ctx context.Context, entity string, version int64, event ...string) (id string, err error) {
	args := []any{entity, strconv.FormatInt(version, 10)}
	for _, word := range event {
		args = append(args, word)
	}
	id, err = appendIf.Run(ctx, l.Client, []string{l.Stream, l.Versions}, args...).Text()
	if errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("%s at version %d: %w", entity, version, ErrConflict)
	}
	return id, err
}
