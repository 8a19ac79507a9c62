package rules

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"github.com/refold-dev/refold/projector"
)

// adapter turns the values of documents and states into CEL's. It differs
// from CEL's own in two ways: a number that neither an int nor a double can
// hold is an error and not another number, and maps are walked in the order
// of their keys, so that a fold does not depend on the order of a Go map.
type adapter struct{ types.Adapter }

func (a adapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case json.Number:
		return number(v)
	case map[string]any:
		return newObject(a, v)
	case []any:
		return types.NewDynamicList(a, v)
	case *projector.State:
		return types.NewErr("the entity as a whole is not a value; name one of its fields")
	}
	return a.Adapter.NativeToValue(v)
}

func number(n json.Number) ref.Val {
	text := string(n)
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return types.Int(i)
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return types.Uint(u)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !strings.ContainsAny(text, ".eE") {
		return types.NewErr("the number %s is too large to be held exactly; write it as a string", clip(text))
	}
	return types.Double(f)
}

// object is a map of a document.
type object struct {
	ordered
	members map[string]any
	adapter types.Adapter
}

func newObject(a types.Adapter, members map[string]any) *object {
	return &object{ordered{types.NewStringInterfaceMap(a, members)}, members, a}
}

// FindStringKey is the door that CEL's field selection tries first.
func (o *object) FindStringKey(name string) (any, bool) {
	v, found := o.members[name]
	return v, found
}

// ordered is a map that is walked in the order of its keys.
type ordered struct{ traits.Mapper }

// IsZeroValue implements traits.Zeroer.
func (m ordered) IsZeroValue() bool { return m.Size() == types.IntZero }

// Iterator implements traits.Iterable.
func (m ordered) Iterator() traits.Iterator { return &keys{names: m.sorted()} }

// Fold implements traits.Foldable.
func (m ordered) Fold(f traits.Folder) {
	for _, key := range m.sorted() {
		v, _ := m.Find(key)
		if !f.FoldEntry(key, v) {
			return
		}
	}
}

func (m ordered) sorted() []ref.Val {
	var all []ref.Val
	for it := m.Mapper.Iterator(); it.HasNext() == types.True; {
		all = append(all, it.Next())
	}
	slices.SortFunc(all, compareKeys)
	return all
}

// compareKeys orders keys by type, then by value: a map's keys are strings,
// numbers or booleans, and may be of several types.
func compareKeys(a, b ref.Val) int {
	if byType := strings.Compare(a.Type().TypeName(), b.Type().TypeName()); byType != 0 {
		return byType
	}
	if c, ok := a.(traits.Comparer); ok {
		if order, ok := c.Compare(b).(types.Int); ok {
			return int(order)
		}
	}
	return 0
}

// keys walks over a map's keys.
type keys struct {
	names []ref.Val
	next  int
}

func (k *keys) HasNext() ref.Val { return types.Bool(k.next < len(k.names)) }

func (k *keys) Next() ref.Val {
	if k.next >= len(k.names) {
		return nil
	}
	k.next++
	return k.names[k.next-1]
}

func (k *keys) ConvertToNative(reflect.Type) (any, error) {
	return nil, types.NoSuchOverloadErr().(error)
}
func (k *keys) ConvertToType(ref.Type) ref.Val { return types.NoSuchOverloadErr() }
func (k *keys) Equal(ref.Val) ref.Val          { return types.NoSuchOverloadErr() }
func (k *keys) Type() ref.Type                 { return types.IteratorType }
func (k *keys) Value() any                     { return nil }

// orderMaps makes the maps that an expression writes out, {'a': 1}, ordered too.
func orderMaps(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	if c, ok := i.(interpreter.InterpretableConstructor); ok && c.Type() == types.MapType {
		return mapLiteral{c}, nil
	}
	return i, nil
}

type mapLiteral struct {
	interpreter.InterpretableConstructor
}

func (l mapLiteral) Exec(f *interpreter.ExecutionFrame) ref.Val {
	v := l.InterpretableConstructor.Exec(f)
	if m, ok := v.(traits.Mapper); ok {
		return ordered{m}
	}
	return v
}

func (l mapLiteral) Eval(a interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(a, l.Exec)
}
