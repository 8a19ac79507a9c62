package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/refold-dev/refold/projector"
)

// toJSON keeps a document's own numbers, digit for digit, and orders members
// by name.
func toJSON(v ref.Val) (projector.Value, error) {
	tree, err := native(v)
	if err != nil {
		return projector.Value{}, err
	}
	var doc bytes.Buffer
	enc := json.NewEncoder(&doc)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(tree); err != nil {
		return projector.Value{}, err
	}
	return projector.JSONValue(doc.Bytes())
}

// native is v as encoding/json takes it. Parts of a document are taken as
// they came, with their numbers' own digits.
func native(v ref.Val) (any, error) {
	switch v := v.(type) {
	case types.Null:
		return nil, nil
	case types.Bool, types.Int, types.Uint:
		return v.Value(), nil
	case types.Double:
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("%v cannot become JSON", f)
		}
		return float64(v), nil
	case types.String:
		if !utf8.ValidString(string(v)) {
			return nil, errors.New("a string that is not valid UTF-8 cannot become JSON")
		}
		return string(v), nil
	case types.Bytes:
		return []byte(v), nil
	case types.Timestamp:
		return v.UTC().Format(time.RFC3339Nano), nil
	case types.Duration:
		return v.String(), nil
	case *types.Optional:
		return nativeOptional(v)
	case *object:
		return v.members, nil
	case traits.Mapper:
		return nativeMap(v)
	case traits.Lister:
		return nativeList(v)
	case *types.Err:
		return nil, v
	}
	return nil, fmt.Errorf("%s cannot become JSON", v.Type().TypeName())
}

func nativeOptional(v *types.Optional) (any, error) {
	if !v.HasValue() {
		return nil, errors.New("an absent optional inside a list or a map cannot become JSON")
	}
	return native(v.GetValue())
}

func nativeMap(m traits.Mapper) (any, error) {
	all := make(map[string]any)
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, err := memberName(key)
		if err != nil {
			return nil, err
		}
		value, _ := m.Find(key)
		if all[name], err = native(value); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func memberName(key ref.Val) (string, error) {
	switch key := key.(type) {
	case types.String:
		_, err := native(key)
		return string(key), err
	case types.Int:
		return strconv.FormatInt(int64(key), 10), nil
	case types.Uint:
		return strconv.FormatUint(uint64(key), 10), nil
	case types.Bool:
		return strconv.FormatBool(bool(key)), nil
	}
	return "", fmt.Errorf("a map with a key of type %s cannot become JSON", key.Type().TypeName())
}

func nativeList(l traits.Lister) (any, error) {
	if own, ok := l.Value().([]any); ok && isDocument(own) {
		return own, nil
	}
	all := []any{}
	for it := l.Iterator(); it.HasNext() == types.True; {
		value, err := native(it.Next())
		if err != nil {
			return nil, err
		}
		all = append(all, value)
	}
	return all, nil
}

// isDocument tells a list of a document from one that CEL has built.
func isDocument(list []any) bool {
	for _, v := range list {
		switch v.(type) {
		case nil, bool, string, json.Number, []any, map[string]any:
		default:
			return false
		}
	}
	return true
}
