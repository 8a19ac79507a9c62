// Command goreducer is a projector with a reducer in Go that does the fold of
// hack/bench as one would write it by hand: what the rules are compared with.
package main

import (
	"fmt"
	"math"
	"os"
	"strconv"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/reduce/builtin"
	"github.com/refold-dev/refold/projector/run"
)

func main() {
	registry := builtin.Registry()
	if err := registry.Register("Bench", newUsers); err != nil {
		panic(err)
	}
	os.Exit(run.Main(registry))
}

// users folds the events of users; its fields are slots.
type users struct{ id, name, email, city, orders, spent int }

func newUsers(c projector.Config) (projector.Reducer, error) {
	u := &users{}
	for name, slot := range map[string]*int{
		"id": &u.id, "name": &u.name, "email": &u.email, "city": &u.city, "orders": &u.orders, "spent": &u.spent,
	} {
		var declared bool
		if *slot, declared = c.Schema.Slot(name); !declared {
			return nil, fmt.Errorf("readModel.fields: %s is not declared", name)
		}
	}
	return u, nil
}

// Keys implements projector.Reducer.
func (u *users) Keys(e *projector.Event, keys []string) ([]string, error) {
	switch string(e.Type) {
	case "UserCreated", "EmailUpdated", "AddressUpdated", "OrderPlaced":
	default:
		return keys, projector.ErrUnnamedType
	}
	id, _ := e.Field("id")
	if len(id) == 0 {
		return keys, projector.ErrNoKey
	}
	return append(keys, string(id)), nil
}

// Reduce implements projector.Reducer.
func (u *users) Reduce(e *projector.Event, _ string, s *projector.State) error {
	switch string(e.Type) {
	case "UserCreated":
		return firstError(copyField(e, "id", s, u.id), copyField(e, "name", s, u.name), copyField(e, "email", s, u.email))
	case "EmailUpdated":
		return copyField(e, "email", s, u.email)
	case "AddressUpdated":
		return copyField(e, "city", s, u.city)
	default:
		return u.order(e, s)
	}
}

func (u *users) order(e *projector.Event, s *projector.State) error {
	text, _ := e.Field("cents")
	cents, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("cents: %w", err)
	}
	return firstError(add(s, u.orders, 1), add(s, u.spent, cents))
}

func copyField(e *projector.Event, name string, s *projector.State, slot int) error {
	value, found := e.Field(name)
	if !found {
		return fmt.Errorf("the event has no field %s", name)
	}
	s.SetAt(slot, projector.StringValue(string(value)))
	return nil
}

// add counts what is not set as 0.
func add(s *projector.State, slot int, n int64) error {
	before := s.At(slot).Int()
	if n > 0 && before > math.MaxInt64-n || n < 0 && before < math.MinInt64-n {
		return fmt.Errorf("integer overflow: %d + %d", before, n)
	}
	s.SetAt(slot, projector.IntegerValue(before+n))
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
