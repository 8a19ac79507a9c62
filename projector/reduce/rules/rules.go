// Package rules is the reducer type Rules: a fold written in the manifest as
// CEL expressions, compiled once and checked against the declared fields. It
// is pure: it reads no clock, no environment and no order of a Go map, so the
// same events give the same states wherever and whenever they are folded.
package rules

import (
	"fmt"
	"maps"
	"slices"
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
	few    []named // byType, if there are so few that a look at each beats a hash
	scopes sync.Pool
}

// named is what to do with a type of event.
type named struct {
	typ   string
	rules []*rule
}

// mostCompared is how many types are looked at one by one.
const mostCompared = 12

// arrange makes finding a type's rules fast, when byType is complete.
func (r *reducer) arrange() {
	if len(r.byType) > mostCompared {
		return
	}
	for _, typ := range slices.Sorted(maps.Keys(r.byType)) {
		r.few = append(r.few, named{typ, r.byType[typ]})
	}
}

func (r *reducer) rulesOf(typ []byte) []*rule {
	if len(r.few) == 0 {
		return r.byType[string(typ)]
	}
	for i := range r.few {
		if r.few[i].typ == string(typ) {
			return r.few[i].rules
		}
	}
	return nil
}

// Keys implements projector.Reducer.
func (r *reducer) Keys(e *projector.Event, keys []string) ([]string, error) {
	if len(r.rulesOf(e.Type)) == 0 {
		return keys, projector.ErrUnnamedType
	}
	t := turn{event: e, scopes: &r.scopes}
	if key, ok := r.key.fast.text(&t); ok {
		if key == "" {
			return keys, projector.ErrNoKey
		}
		return append(keys, key), nil
	}
	keys, err := r.interpretKeys(t.scope(), keys)
	t.end()
	return keys, err
}

func (r *reducer) interpretKeys(sc *scope, keys []string) ([]string, error) {
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
	t := turn{event: e, key: key, state: s, scopes: &r.scopes}
	err := r.reduce(&t, nil)
	t.end()
	return err
}

// Explain implements projector.Explainer.
func (r *reducer) Explain(e *projector.Event, key string, s *projector.State, applied []int) ([]int, error) {
	t := turn{event: e, key: key, state: s, scopes: &r.scopes}
	err := r.reduce(&t, &applied)
	t.end()
	return applied, err
}

// reduce notes in applied, if it is wanted, which rules' conditions held.
func (r *reducer) reduce(t *turn, applied *[]int) error {
	for _, rule := range r.rulesOf(t.event.Type) {
		applies, err := rule.applies(t)
		if applies {
			if applied != nil {
				*applied = append(*applied, rule.index)
			}
			err = rule.apply(t)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
		return string(v), nil
	case types.Int:
		return strconv.FormatInt(int64(v), 10), nil
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10), nil
	case *types.Err:
		return "", v
	}
	return "", fmt.Errorf("a non-string key: %s is neither a string nor an int nor a list of these", v.Type().TypeName())
}
