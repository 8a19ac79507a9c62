package projector_test

import (
	"fmt"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// visits counts how often a page was seen and keeps who came last.
type visits struct{ count, last int } // slots

// newVisits finds the slots once; a field that is not declared is an error now
// and not at some event.
func newVisits(c projector.Config) (projector.Reducer, error) {
	count, counts := c.Schema.Slot("visits")
	last, keeps := c.Schema.Slot("last")
	if !counts || !keeps {
		return nil, fmt.Errorf("readModel.fields: Visits needs visits and last")
	}
	return visits{count, last}, nil
}

func (v visits) Keys(e *projector.Event, keys []string) ([]string, error) {
	if string(e.Type) != "PageSeen" {
		return keys, projector.ErrUnnamedType
	}
	page, found := e.Field("page")
	if !found {
		return keys, projector.ErrNoKey
	}
	return append(keys, string(page)), nil
}

func (v visits) Reduce(e *projector.Event, _ string, s *projector.State) error {
	visitor, _ := e.Field("visitor")
	s.SetAt(v.count, projector.IntegerValue(s.At(v.count).Int()+1)) // 0 if it is not set
	s.SetAt(v.last, projector.StringValue(string(visitor)))
	return nil
}

// A reducer in Go: cmd/projector with run.Main(registry) folds with it.
func Example() {
	registry := projector.Registry{}
	if err := registry.Register("Visits", newVisits); err != nil {
		panic(err)
	}
	schema, err := projector.NewSchema([]contract.Field{{Name: "visits", Type: "Integer"}, {Name: "last", Type: "String"}})
	if err != nil {
		panic(err)
	}
	reducer, err := registry.New(projector.Config{Reducer: contract.Reducer{Type: "Visits"}, Schema: schema})
	if err != nil {
		panic(err)
	}

	page := projector.NewState(schema)
	for _, visitor := range []string{"Ada", "Grace"} {
		event := &projector.Event{Type: []byte("PageSeen"), Fields: []projector.Field{
			{Name: []byte("page"), Value: []byte("/")}, {Name: []byte("visitor"), Value: []byte(visitor)}}}
		keys, err := reducer.Keys(event, nil)
		if err == nil {
			err = reducer.Reduce(event, keys[0], page)
		}
		if err != nil {
			panic(err)
		}
	}
	fmt.Println(page.Get("visits").Int(), page.Get("last").Str())
	// Output: 2 Grace
}
