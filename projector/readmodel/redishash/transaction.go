package redishash

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/readmodel"
)

// send executes a pipeline, of which each reply is looked at. The client tells
// of a server that refuses the connection beside the commands, and leaves them
// looking as if they had succeeded: here they all have failed.
func send(ctx context.Context, pipe redis.Pipeliner) []redis.Cmder {
	cmds, err := pipe.Exec(ctx)
	if err == nil || slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Err() != nil }) {
		return cmds
	}
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
	return cmds
}

// execError tells what became of a pipelined MULTI … EXEC: nil when it was
// executed, errContended when the WATCH refused it, a fault when the server
// refused it, and readmodel.ErrOutcomeUnknown when no reply came.
func execError(cmds []redis.Cmder, exec *redis.Cmd) error {
	err := exec.Err()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, redis.Nil):
		return errContended
	case !isReply(err):
		return fmt.Errorf("%w: %w", readmodel.ErrOutcomeUnknown, err)
	}
	for _, cmd := range cmds { // EXECABORT: the cause is where it was queued
		if cause := cmd.Err(); cause != nil && !errors.Is(cause, redis.Nil) {
			return redisFault(cause)
		}
	}
	return redisFault(err)
}

// isReply says whether err is a server's answer.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// chunks cuts words into pieces that one command may name.
func chunks(words []any) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for len(words) > 0 {
			n := min(len(words), wordsPerCommand)
			if !yield(words[:n:n]) {
				return
			}
			words = words[n:]
		}
	}
}
