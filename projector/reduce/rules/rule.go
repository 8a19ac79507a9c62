package rules

import (
	"errors"
	"fmt"
	"math"

	"github.com/refold-dev/refold/projector"
)

// rule is one compiled step.
type rule struct {
	when    *expression // nil: always
	test    comparison  // when, if it is a simple one
	assigns []assign    // set and add, sorted by name
	unset   []int       // slots
	delete  bool
}

// assign is one field's set or add.
type assign struct {
	*expression
	slot int
	kind projector.Kind
	add  bool
}

// write is what an assign came to; applied when the whole rule is evaluated,
// because all its expressions see the state before it.
type write struct {
	slot  int
	value projector.Value // not set: the field goes
}

func (r *rule) apply(sc *scope) error {
	applies, err := r.applies(sc)
	if err != nil || !applies {
		return err
	}
	if r.delete {
		sc.state.Delete()
		return nil
	}
	sc.writes = sc.writes[:0]
	for i := range r.assigns {
		if err := r.assigns[i].eval(sc); err != nil {
			return err
		}
	}
	r.commit(sc)
	return nil
}

func (r *rule) applies(sc *scope) (bool, error) {
	if r.when == nil {
		return true, nil
	}
	if decided := r.test.decide(sc.event); decided != undecided {
		return decided == isTrue, nil
	}
	v, err := r.when.eval(sc)
	if err != nil {
		return false, err
	}
	applies, isBool := v.Value().(bool)
	if !isBool {
		return false, r.when.failed(sc, fmt.Errorf("a condition is true or false, not %s", v.Type().TypeName()))
	}
	return applies, nil
}

func (r *rule) commit(sc *scope) {
	if len(r.assigns) > 0 {
		sc.state.Create()
	}
	for _, w := range sc.writes {
		if w.value.IsSet() {
			sc.state.SetAt(w.slot, w.value)
		} else {
			sc.state.UnsetAt(w.slot)
		}
	}
	for _, slot := range r.unset {
		sc.state.UnsetAt(slot)
	}
}

// eval appends to sc.writes what the assign does; nothing for an absent optional.
func (a *assign) eval(sc *scope) error {
	v, found, err := a.value(sc)
	if err != nil || !found {
		return err
	}
	if a.add {
		if v, err = sum(sc.state.At(a.slot), v); err != nil {
			return a.failed(sc, err)
		}
	}
	sc.writes = append(sc.writes, write{a.slot, v})
	return nil
}

// value is the expression's result in the field's kind; an unset value stands
// for null.
func (a *assign) value(sc *scope) (v projector.Value, found bool, err error) {
	if v, found, ok := a.fast.value(sc.event, a.kind); ok && (v.IsSet() || !found || !a.add) {
		return v, found, nil
	}
	result, err := a.expression.eval(sc)
	if err != nil {
		return projector.Value{}, false, err
	}
	if isNone(result) {
		return projector.Value{}, false, nil
	}
	v, err = convert(a.kind, unwrap(result))
	if err == nil && a.add && !v.IsSet() {
		err = errors.New("null cannot be added")
	}
	if err != nil {
		return projector.Value{}, false, a.failed(sc, err)
	}
	return v, true, nil
}

// sum adds a delta to what a field holds; an absent field counts as 0.
func sum(old, delta projector.Value) (projector.Value, error) {
	if !old.IsSet() {
		return delta, nil
	}
	if delta.Kind() == projector.Number {
		return projector.NumberValue(old.Float() + delta.Float())
	}
	a, b := old.Int(), delta.Int()
	if b > 0 && a > math.MaxInt64-b || b < 0 && a < math.MinInt64-b {
		return projector.Value{}, fmt.Errorf("integer overflow: %d + %d", a, b)
	}
	return projector.IntegerValue(a + b), nil
}
