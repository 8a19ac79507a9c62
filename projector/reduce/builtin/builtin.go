// Package builtin lists the reducers that every projector has. They come
// through the same door as a user's: a registry, passed in from cmd.
package builtin

import (
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/reduce/rules"
)

// Registry is a new registry with the built-in reducers; the caller adds its own.
func Registry() projector.Registry {
	return projector.Registry{rules.Type: rules.New}
}
