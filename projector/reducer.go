// Package projector is the SDK: what a reducer sees of the log and of the
// read model, and the registry through which reducers, the built-in ones as
// well as a user's, reach a projector. It is a leaf: it imports only the
// contract and never a store, a server's client or anything of Kubernetes.
package projector

import (
	"errors"
	"fmt"
	"slices"

	"github.com/refold-dev/refold/projector/contract"
)

// Reducer folds events into entities. It is pure: the same events give the
// same states, whenever and wherever they are folded. Methods may be called
// from several goroutines at once, for different entities.
type Reducer interface {
	// Keys appends to keys the key of every entity that the event touches, in
	// the order in which they are folded, without doubles. It appends none
	// for an event that touches nothing, and says why: ErrUnnamedType or
	// ErrNoKey; such events are skipped and counted. Any other error is handled
	// as the error policy says. A key may be a view of the event's bytes: whoever
	// keeps it, copies it.
	Keys(e *Event, keys []string) ([]string, error)

	// Reduce folds e into the entity key. A failed Reduce leaves s in an
	// undefined state; the caller throws it away.
	Reduce(e *Event, key string, s *State) error
}

// Explainer is a Reducer that can tell which of its rules changed an entity, to
// people who ask. What is folded into a read model goes through Reduce.
type Explainer interface {
	Reducer
	// Explain is Reduce, and appends to applied the index of every rule that it
	// applied, as they stand in reducer.rules; beside an error the last of them is
	// the one that failed, unless its condition did.
	Explain(e *Event, key string, s *State, applied []int) ([]int, error)
}

var (
	// ErrUnnamedType is returned by Keys for a type that no rule names.
	ErrUnnamedType = errors.New("no rule names the event's type")
	// ErrNoKey is returned by Keys when there is no entity to fold into.
	ErrNoKey = errors.New("the event has no key")
)

// Config is what a factory builds a reducer from.
type Config struct {
	Reducer contract.Reducer
	Format  string // of the source: contract.FormatFields, …
	Schema  *Schema
}

// Factory builds a reducer. An error says what in the manifest is wrong and
// where, e.g. `reducer.rules[2].set.email: 1:7: undeclared reference to "evnt"`.
type Factory func(Config) (Reducer, error)

// Registry maps reducer types, as in spec.reducer.type, to factories.
type Registry map[string]Factory

// Register adds a type; a name that is taken is an error.
func (r Registry) Register(name string, f Factory) error {
	if _, taken := r[name]; taken {
		return fmt.Errorf("reducer type %q is registered twice", name)
	}
	r[name] = f
	return nil
}

// New builds the reducer that c names.
func (r Registry) New(c Config) (Reducer, error) {
	f, ok := r[c.Reducer.Type]
	if !ok {
		names := make([]string, 0, len(r))
		for name := range r {
			names = append(names, name)
		}
		slices.Sort(names)
		return nil, fmt.Errorf("reducer.type: %q is not registered in this projector; it has %q", c.Reducer.Type, names)
	}
	return f(c)
}
