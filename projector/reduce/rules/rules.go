// Package rules is the reducer type Rules: a fold written in the manifest as
// CEL expressions, compiled once and checked against the declared fields. It
// is pure: it reads no clock, no environment and no order of a Go map, so the
// same events give the same states wherever and whenever they are folded.
package rules

import (
	"fmt"
	"strconv"
	"sync"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/refold-dev/refold/projector"
)

// Type is the reducer's name in spec.reducer.type.
const Type = "Rules"

// New compiles c.Reducer. The error joins everything that is wrong, in the
// order of the manifest, one finding with its place, column and the compiler's
// words after the other.
func New(c projector.Config) (projector.Reducer, error) {
	compiler, err := newCompiler(c)
	if err != nil {
		return nil, err
	}
	r := compiler.reducer(c.Reducer)
	if err := compiler.findings(); err != nil {
		return nil, err
	}
	r.scopes.New = func() any { return &scope{adapter: compiler.env.adapter} }
	return r, nil
}

// reducer is safe for concurrent use: it is never written after New, and what
// one evaluation needs comes from a pool.
type reducer struct {
	key    *expression
	byType map[string][]*rule
	scopes sync.Pool
}

// Keys implements projector.Reducer.
func (r *reducer) Keys(e *projector.Event, keys []string) ([]string, error) {
	if len(r.byType[string(e.Type)]) == 0 {
		return keys, projector.ErrUnnamedType
	}
	if key, ok := r.key.fast.text(e); ok {
		if key == "" {
			return keys, projector.ErrNoKey
		}
		return append(keys, key), nil
	}
	sc := r.scope(e, "", nil)
	defer r.release(sc)
	v, err := r.key.eval(sc)
	if err != nil {
		return keys, err
	}
	before := len(keys)
	keys, err = appendKeys(keys, v)
	switch {
	case err != nil:
		return keys[:before], r.key.failed(sc, err)
	case len(keys) == before:
		return keys, projector.ErrNoKey
	}
	return keys, nil
}

// Reduce implements projector.Reducer.
func (r *reducer) Reduce(e *projector.Event, key string, s *projector.State) error {
	sc := r.scope(e, key, s)
	defer r.release(sc)
	for _, rule := range r.byType[string(e.Type)] {
		if err := rule.apply(sc); err != nil {
			return err
		}
	}
	return nil
}

func (r *reducer) scope(e *projector.Event, key string, s *projector.State) *scope {
	sc := r.scopes.Get().(*scope)
	sc.event, sc.key, sc.state = e, key, s
	return sc
}

func (r *reducer) release(sc *scope) {
	sc.reset()
	r.scopes.Put(sc)
}

// appendKeys appends the key or keys that v stands for. Null, an absent
// optional and the empty string stand for none.
func appendKeys(keys []string, v ref.Val) ([]string, error) {
	v = unwrap(v)
	list, isList := v.(traits.Lister)
	if !isList {
		key, err := keyText(v)
		if err != nil || key == "" {
			return keys, err
		}
		return append(keys, key), nil
	}
	seen := make(map[string]struct{})
	for it := list.Iterator(); it.HasNext() == types.True; {
		key, err := keyText(unwrap(it.Next()))
		if err != nil {
			return keys, err
		}
		if _, doubled := seen[key]; key == "" || doubled {
			continue
		}
		seen[key] = struct{}{}
		keys = append(keys, key)
	}
	return keys, nil
}

// keyText is "" for what stands for no key.
func keyText(v ref.Val) (string, error) {
	switch v := v.(type) {
	case nil, types.Null:
		return "", nil
	case types.String:
		return own(string(v)), nil
	case types.Int:
		return strconv.FormatInt(int64(v), 10), nil
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10), nil
	case *types.Err:
		return "", v
	}
	return "", fmt.Errorf("a non-string key: %s is neither a string nor an int nor a list of these", v.Type().TypeName())
}
