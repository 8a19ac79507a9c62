// Package inspect answers people's questions about a log and what is folded from
// it: what an entity was at some time, which events made it what it is, what each
// of them changed and which rule did it. It only reads: it folds the log once
// more, in memory, and looks at the read model. It keeps nothing, commits
// nothing, knows nothing of Kubernetes, and stays out of the way of the projector
// that it is asked in.
package inspect

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/stream"
)

// Fold folds events into entities in memory, and tells what each of them
// changed. It is for one goroutine at a time.
type Fold struct {
	schema   *projector.Schema
	decoder  stream.Decoder
	reducer  projector.Reducer
	explain  projector.Explainer   // nil where the reducer is none
	keep     func(key string) bool // nil for all
	entities map[string]*entity
	bytes    int64

	// Scratch of one event, kept for the next.
	keys    []string
	touched []touched
	before  before
	holes   []byte
	types   map[string]string // names of types, each once
}

type entity struct {
	state *projector.State
	bytes int64 // as counted in Fold.bytes
}

// touched is an entity as it was before the event that is being folded into it.
type touched struct {
	entity *entity
	saved  projector.Saved
}

// NewFold compiles the document's reducer. The error is the compiler's findings,
// or says which field of the read model is declared wrongly.
func NewFold(document contract.Document, registry projector.Registry) (*Fold, error) {
	schema, err := projector.NewSchema(document.ReadModel.Fields)
	if err != nil {
		return nil, err
	}
	reducer, err := registry.New(projector.Config{Reducer: document.Reducer, Format: document.Source.Format, Schema: schema})
	if err != nil {
		return nil, err
	}
	return newFold(schema, stream.NewDecoder(document.Source), reducer), nil
}

func newFold(schema *projector.Schema, decoder stream.Decoder, reducer projector.Reducer) *Fold {
	f := &Fold{
		schema:   schema,
		decoder:  decoder,
		reducer:  reducer,
		entities: map[string]*entity{},
		types:    map[string]string{},
	}
	f.explain, _ = reducer.(projector.Explainer)
	return f
}

// Only makes the fold keep and trace one entity alone. It is called before the
// first event.
func (f *Fold) Only(key string) {
	key = strings.Clone(key)
	f.keep = func(k string) bool { return k == key }
}

// Apply folds one event, of which ID and Fields are set as package stream hands
// it on, and says what that did. After an error nothing of the event is folded:
// the projector would halt at it. The error is a *fault.Error with the event's ID.
func (f *Fold) Apply(e *projector.Event) (Step, error) {
	var step Step
	if err := f.fold(e, &step); err != nil {
		return Step{}, err
	}
	step.ID, step.Type = e.ID, f.typeOf(e)
	return step, nil
}

// State is an entity as of the last event.
func (f *Fold) State(key string) (Entity, bool) {
	e, ok := f.entities[key]
	if !ok {
		return Entity{}, false
	}
	return entityOf(key, e.state), true
}

// Keys are those of all entities, in the order of their bytes.
func (f *Fold) Keys() []string { return slices.Sorted(maps.Keys(f.entities)) }

// Len is how many entities there are.
func (f *Fold) Len() int { return len(f.entities) }

// Bytes is about how much memory the entities take.
func (f *Fold) Bytes() int64 { return f.bytes }

// fold folds an event into what it touches, all or nothing, and notes in step,
// unless that is nil, what that did.
func (f *Fold) fold(e *projector.Event, step *Step) (err error) {
	f.keys, f.touched = f.keys[:0], f.touched[:0]
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the reducer panicked: %v", p)
		}
		if err != nil {
			f.undo()
			err = failed(e, err)
		}
	}()
	skipped, err := f.findKeys(e)
	if err != nil {
		return err
	}
	if skipped != nil && step != nil {
		step.Skipped = skipped.Error()
	}
	for _, key := range f.keys {
		if err := f.reduce(e, key, step); err != nil {
			return err
		}
	}
	f.settle()
	return nil
}

// findKeys finds the keys that are of interest.
func (f *Fold) findKeys(e *projector.Event) (skipped, err error) {
	if err := f.decoder.Decode(e); err != nil {
		return nil, err
	}
	keys, err := f.reducer.Keys(e, f.keys)
	switch {
	case errors.Is(err, projector.ErrUnnamedType), errors.Is(err, projector.ErrNoKey):
		return err, nil
	case err != nil:
		return nil, err
	case len(keys) == 0:
		return projector.ErrNoKey, nil
	}
	if f.keys = keys; f.keep != nil {
		f.keys = slices.DeleteFunc(keys, func(key string) bool { return !f.keep(key) })
	}
	return nil, nil
}

func (f *Fold) reduce(e *projector.Event, key string, step *Step) (err error) {
	s := f.touch(key)
	if step == nil {
		return f.reducer.Reduce(e, key, s)
	}
	f.before.take(s)
	var rules []int
	if f.explain == nil {
		err = f.reducer.Reduce(e, key, s)
	} else {
		rules, err = f.explain.Explain(e, key, s, []int{})
	}
	if err == nil {
		step.Effects = append(step.Effects, f.before.effect(key, s, rules))
	}
	return err
}

// touch saves what an event is to be folded into.
func (f *Fold) touch(key string) *projector.State {
	e := f.entities[key]
	if e == nil {
		e = &entity{state: projector.NewState(f.schema)}
		f.entities[strings.Clone(key)] = e
	}
	n := len(f.touched)
	f.touched = slices.Grow(f.touched, 1)[:n+1] // what was saved there before is memory for this
	f.touched[n].entity = e
	e.state.Save(&f.touched[n].saved)
	return e.state
}

// settle ends an event: what was there before it is gone now.
func (f *Fold) settle() {
	for i, key := range f.keys {
		e := f.touched[i].entity
		f.bytes -= e.bytes
		if e.bytes = 0; !e.state.Exists() {
			delete(f.entities, key)
			continue
		}
		if f.holes = e.state.Settle(f.holes); cap(f.holes) > mostHoles {
			f.holes = nil // of a huge entity
		}
		e.bytes = beside + int64(len(key)) + e.state.Bytes()
		f.bytes += e.bytes
	}
}

// undo takes an event out of the entities again, the last first: a reducer may
// name one twice though it should not.
func (f *Fold) undo() {
	for i, t := range slices.Backward(f.touched) {
		if t.entity.state.Undo(&f.touched[i].saved); !t.entity.state.Exists() {
			delete(f.entities, f.keys[i])
		}
	}
}

const (
	// beside is about what the map needs for an entity beside its key and its state.
	beside    = 112
	mostHoles = 1 << 20
)

// mostTypes bounds how many names of types are kept: a producer may put what it
// likes there.
const mostTypes = 1000

func (f *Fold) typeOf(e *projector.Event) string {
	name, known := f.types[string(e.Type)]
	if !known {
		name = string(e.Type)
		if len(f.types) < mostTypes {
			f.types[name] = name
		}
	}
	return name
}

func failed(e *projector.Event, err error) *fault.Error {
	if f := fault.As(err); f != nil && f.EventID != "" {
		return f
	}
	return &fault.Error{
		Reason:    contract.ReasonEventFailed,
		Message:   err.Error(),
		Remedy:    "correct the reducer; nothing after this event is folded until then",
		Permanent: true,
		EventID:   e.ID.String(),
		Err:       err,
	}
}
