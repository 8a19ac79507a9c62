package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/refold-dev/refold/projector"
)

// entityType names the type of state in the compiler's words. It is no
// identifier, so no expression can build such a value.
const entityType = "entity so far"

// entities teaches CEL the declared fields, so that state.foo is checked when
// the rules are compiled.
type entities struct {
	types.Provider
	schema *projector.Schema
}

func (p entities) FindStructType(name string) (*types.Type, bool) {
	if name == entityType {
		return types.NewTypeTypeWithParam(types.NewObjectType(entityType)), true
	}
	return p.Provider.FindStructType(name)
}

func (p entities) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name != entityType {
		return p.Provider.FindStructFieldType(name, field)
	}
	slot, declared := p.schema.Slot(field)
	if !declared {
		return nil, false
	}
	return &types.FieldType{
		Type:  celType(p.schema.Fields()[slot].Kind),
		IsSet: func(of any) bool { return of.(*projector.State).At(slot).IsSet() },
		GetFrom: func(of any) (any, error) {
			v := of.(*projector.State).At(slot)
			if !v.IsSet() {
				return nil, absent{field}
			}
			return celValue(v)
		},
	}, true
}

// absent is the error of reading a field that the entity does not have.
type absent struct{ field string }

func (e absent) Error() string {
	return fmt.Sprintf("the entity has no value in %q yet", e.field)
}

func celType(k projector.Kind) *cel.Type {
	switch k {
	case projector.String:
		return cel.StringType
	case projector.Integer:
		return cel.IntType
	case projector.Number:
		return cel.DoubleType
	case projector.Boolean:
		return cel.BoolType
	case projector.Timestamp:
		return cel.TimestampType
	}
	return cel.DynType
}

func celValue(v projector.Value) (any, error) {
	switch v.Kind() {
	case projector.String:
		return text(v.Str()), nil
	case projector.Integer:
		return types.Int(v.Int()), nil
	case projector.Number:
		return types.Double(v.Float()), nil
	case projector.Boolean:
		return types.Bool(v.Bool()), nil
	case projector.Timestamp:
		t, err := time.Parse(time.RFC3339Nano, v.Str())
		return types.Timestamp{Time: t}, err
	case projector.JSON:
		return decodeJSON(v.Str())
	}
	return nil, errors.New("the field has no value")
}

func decodeJSON(text string) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}

func fieldNames(s *projector.Schema) []string {
	names := make([]string, 0, len(s.Fields()))
	for _, f := range s.Fields() {
		names = append(names, f.Name)
	}
	return names
}

// typed offers the declared fields under the variable state.
func typed(schema *projector.Schema) cel.EnvOption {
	return func(e *cel.Env) (*cel.Env, error) {
		return cel.CustomTypeProvider(entities{e.CELTypeProvider(), schema})(e)
	}
}
