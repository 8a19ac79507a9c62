package rules

import (
	"errors"
	"fmt"
	"slices"

	"github.com/refold-dev/refold/projector"
)

// rule is one compiled step.
type rule struct {
	index   int         // in the manifest
	when    *expression // nil: always
	test    comparison  // when, if it is a simple one
	assigns []assign    // set and add, sorted by name
	direct  bool        // no assign reads what another one writes
	unset   []int       // slots
	delete  bool
}

// assign is one field's set or add.
type assign struct {
	*expression
	slot     int
	kind     projector.Kind
	add      bool
	shortcut shortcut
}

// write is what an assign came to.
type write struct {
	slot  int
	value projector.Value // not set: the field goes
}

func (w write) apply(s *projector.State) {
	if w.value.IsSet() {
		s.SetAt(w.slot, w.value)
	} else {
		s.UnsetAt(w.slot)
	}
}

// apply does what the rule says, whose condition holds.
func (r *rule) apply(t *turn) (err error) {
	if r.delete {
		t.state.Delete()
		return nil
	}
	if r.direct {
		err = r.assignEach(t)
	} else {
		err = r.assignTogether(t)
	}
	if err != nil {
		return err
	}
	if len(r.assigns) > 0 {
		t.state.Create()
	}
	for _, slot := range r.unset {
		t.state.UnsetAt(slot)
	}
	return nil
}

func (r *rule) applies(t *turn) (bool, error) {
	if r.when == nil {
		return true, nil
	}
	if decided := r.test.decide(t); decided != undecided {
		return decided == isTrue, nil
	}
	sc := t.scope()
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

// isDirect says whether each assign may be done as soon as it is evaluated.
// Simple expressions do not read the state.
func (r *rule) isDirect() bool {
	return len(r.assigns) == 1 || !slices.ContainsFunc(r.assigns, func(a assign) bool { return a.fast.kind == shapeNone })
}

func (r *rule) assignEach(t *turn) error {
	for i := range r.assigns {
		a := &r.assigns[i]
		if a.shortcut.take(t) {
			continue
		}
		v, found, err := a.value(t, t.room[:0])
		if err != nil {
			return err
		}
		if found {
			write{a.slot, v}.apply(t.state)
		}
	}
	return nil
}

// assignTogether writes when the whole rule is evaluated, because all its
// expressions see the state before it.
func (r *rule) assignTogether(t *turn) error {
	sc := t.scope()
	sc.writes = sc.writes[:0]
	for i := range r.assigns {
		a := &r.assigns[i]
		v, found, err := a.value(t, nil)
		if err != nil {
			return err
		}
		if found {
			sc.writes = append(sc.writes, write{a.slot, v})
		}
	}
	for _, w := range sc.writes {
		w.apply(t.state)
	}
	return nil
}

// value is what the field becomes: unset if it goes, not found if it stays.
func (a *assign) value(t *turn, room []byte) (v projector.Value, found bool, err error) {
	v, found, ok := a.fast.value(t, a.kind, room)
	if !ok || a.add && found && !v.IsSet() {
		v, found, err = a.interpret(t.scope())
	}
	if err != nil || !found || !a.add {
		return v, found, err
	}
	if v, err = sum(t.state.At(a.slot), v); err != nil {
		err = a.failed(t.scope(), err)
	}
	return v, true, err
}

// interpret is the expression's result in the field's kind, unset for null;
// not found for an absent optional.
func (a *assign) interpret(sc *scope) (v projector.Value, found bool, err error) {
	result, err := a.eval(sc)
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
	n, ok := plus(old.Int(), delta.Int())
	if !ok {
		return projector.Value{}, fmt.Errorf("integer overflow: %d + %d", old.Int(), delta.Int())
	}
	return projector.IntegerValue(n), nil
}

func plus(a, b int64) (sum int64, ok bool) {
	sum = a + b
	return sum, (sum > a) == (b > 0)
}
