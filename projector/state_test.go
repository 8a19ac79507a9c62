package projector

import (
	"strings"
	"testing"

	"github.com/refold-dev/refold/projector/contract"
)

func twoFields(t *testing.T) *Schema {
	t.Helper()
	s, err := NewSchema([]contract.Field{{Name: "name", Type: contract.TypeString}, {Name: "orders", Type: contract.TypeInteger}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewSchemaSaysWhichFieldIsWrong(t *testing.T) {
	for want, fields := range map[string][]contract.Field{
		`readModel.fields[1]: the name "a" is declared twice`: {{Name: "a", Type: "String"}, {Name: "a", Type: "Integer"}},
		`readModel.fields[0]: unknown type "Text"`:            {{Name: "a", Type: "Text"}},
	} {
		if _, err := NewSchema(fields); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestAnEntityExistsFromItsFirstFieldUntilDelete(t *testing.T) {
	s := NewState(twoFields(t))
	if s.Exists() {
		t.Fatal("a new state exists")
	}
	s.SetAt(0, StringValue("Ada"))
	s.UnsetAt(0)
	if !s.Exists() || s.At(0).IsSet() {
		t.Error("unsetting the last field deleted the entity, or left the field")
	}
	s.SetAt(1, IntegerValue(1))
	if s.Delete(); s.Exists() || s.Get("orders").IsSet() {
		t.Error("a deleted entity has something left")
	}
	if s.Create(); !s.Exists() || s.Get("name").IsSet() {
		t.Error("a created entity is not there, or not empty")
	}
}

func TestSetRefusesWhatIsNotDeclared(t *testing.T) {
	s := NewState(twoFields(t))
	for name, v := range map[string]Value{"orders": StringValue("1"), "email": StringValue("x"), "name": {}} {
		if err := s.Set(name, v); err == nil || s.Exists() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Set("orders", IntegerValue(7)); err != nil || s.Get("orders").Int() != 7 {
		t.Errorf("orders: %v, %v", s.Get("orders"), err)
	}
	if s.Get("email").IsSet() {
		t.Error("an undeclared field is set")
	}
}

func TestCopyFromSharesNothing(t *testing.T) {
	schema := twoFields(t)
	from, to := NewState(schema), NewState(schema)
	from.SetAt(0, StringValue("Ada"))
	to.SetAt(1, IntegerValue(1))
	to.CopyFrom(from)
	from.Delete()
	if !to.Exists() || to.Get("name").Str() != "Ada" || to.Get("orders").IsSet() {
		t.Errorf("the copy is %v", to)
	}
}

func TestAFieldIsTheFirstOfItsName(t *testing.T) {
	e := Event{Fields: []Field{{[]byte("a"), nil}, {[]byte("b"), []byte("1")}, {[]byte("b"), []byte("2")}}}
	for name, want := range map[string]string{"a": "", "b": "1"} {
		if v, found := e.Field(name); !found || string(v) != want {
			t.Errorf("%s: %q, %v", name, v, found)
		}
	}
	if _, found := e.Field("c"); found {
		t.Error("a field that is not there was found")
	}
}
