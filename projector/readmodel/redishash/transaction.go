package redishash

import (
	"errors"
	"fmt"
	"iter"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/readmodel"
)

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

// firstFailure finds the first command that failed inside an executed
// transaction.
func firstFailure(exec *redis.Cmd) (at int, failed error) {
	replies, err := exec.Slice()
	if err != nil {
		return 0, err
	}
	for i, reply := range replies {
		if err, ok := reply.(error); ok {
			return i, err
		}
	}
	return 0, nil
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
