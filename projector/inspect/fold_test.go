package inspect_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/refold-dev/refold/hack/chaos/history"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/inspect"
	"github.com/refold-dev/refold/projector/reduce/builtin"
)

// users is a Projection of users and what they spend.
func users() contract.Document {
	return contract.Document{
		Projection: "shop/users",
		Revision:   "r1",
		Source:     contract.Source{Stream: "user_events", From: "0", Format: contract.FormatFields, TypeField: "type"},
		Reducer: contract.Reducer{Type: "Rules", Key: "has(event.to) ? [event.id, event.to] : [event.id]", Rules: []contract.Rule{
			{On: []string{"Created"}, Set: map[string]string{"name": "event.name", "orders": "0"}},
			{On: []string{"Ordered"}, When: "int(event.cents) > 0", Add: map[string]string{"orders": "1", "spent": "int(event.cents)"}},
			{On: []string{"Ordered"}, When: "state.orders >= 2", Set: map[string]string{"tier": "'gold'"}},
			{On: []string{"Renamed"}, Set: map[string]string{"name": "event.?name"}, Unset: []string{"tier"}},
			{On: []string{"Deleted"}, Delete: true},
			{On: []string{"Moved"}, Add: map[string]string{"spent": "key == event.id ? -int(event.cents) : int(event.cents)"}},
		}},
		ReadModel: contract.ReadModel{RedisHash: &contract.RedisHash{KeyPrefix: "user:"}, Fields: []contract.Field{
			{Name: "name", Type: contract.TypeString}, {Name: "orders", Type: contract.TypeInteger},
			{Name: "spent", Type: contract.TypeInteger}, {Name: "tier", Type: contract.TypeString}}},
		ErrorPolicy: contract.ErrorPolicy{OnError: contract.OnErrorHalt},
	}
}

// event is an entry as package stream hands it on.
func event(ms uint64, words ...string) *projector.Event {
	e := &projector.Event{ID: projector.ID{Ms: ms}}
	for i := 0; i < len(words); i += 2 {
		e.Fields = append(e.Fields, projector.Field{Name: []byte(words[i]), Value: []byte(words[i+1])})
	}
	return e
}

func newFold(t testing.TB, d contract.Document) *inspect.Fold {
	t.Helper()
	f, err := inspect.NewFold(d, builtin.Registry())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func apply(t testing.TB, f *inspect.Fold, e *projector.Event) inspect.Step {
	t.Helper()
	step, err := f.Apply(e)
	if err != nil {
		t.Fatal(err)
	}
	return step
}

func text(s string) *string { return &s }

func TestAStepTellsWhatAnEventDid(t *testing.T) {
	created := func() *projector.Event { return event(1, "type", "Created", "id", "7", "name", "Ada") }
	for name, test := range map[string]struct {
		before []*projector.Event
		event  *projector.Event
		want   inspect.Step
	}{
		"an event that makes an entity": {
			event: created(),
			want: inspect.Step{ID: projector.ID{Ms: 1}, Type: "Created", Effects: []inspect.Effect{{Key: "7", Created: true, Rules: []int{0},
				Changes: []inspect.Change{{"name", nil, text("Ada")}, {"orders", nil, text("0")}}}}},
		},
		"each rule whose condition holds is named": {
			before: []*projector.Event{created(), event(2, "type", "Ordered", "id", "7", "cents", "5")},
			event:  event(3, "type", "Ordered", "id", "7", "cents", "6"),
			want: inspect.Step{ID: projector.ID{Ms: 3}, Type: "Ordered", Effects: []inspect.Effect{{Key: "7", Rules: []int{1, 2},
				Changes: []inspect.Change{{"orders", text("1"), text("2")}, {"spent", text("5"), text("11")}, {"tier", nil, text("gold")}}}}},
		},
		"an event that no condition lets through changes nothing": {
			before: []*projector.Event{created()},
			event:  event(2, "type", "Ordered", "id", "7", "cents", "0"),
			want:   inspect.Step{ID: projector.ID{Ms: 2}, Type: "Ordered", Effects: []inspect.Effect{{Key: "7", Rules: []int{}}}},
		},
		"a rule that sets what is there already": {
			before: []*projector.Event{created()},
			event:  event(2, "type", "Renamed", "id", "7", "name", "Ada"),
			want:   inspect.Step{ID: projector.ID{Ms: 2}, Type: "Renamed", Effects: []inspect.Effect{{Key: "7", Rules: []int{3}}}},
		},
		"an event that deletes": {
			before: []*projector.Event{created()},
			event:  event(2, "type", "Deleted", "id", "7"),
			want: inspect.Step{ID: projector.ID{Ms: 2}, Type: "Deleted", Effects: []inspect.Effect{{Key: "7", Deleted: true, Rules: []int{4},
				Changes: []inspect.Change{{"name", text("Ada"), nil}, {"orders", text("0"), nil}}}}},
		},
		"an event that touches two": {
			event: event(2, "type", "Moved", "id", "7", "to", "8", "cents", "3"),
			want: inspect.Step{ID: projector.ID{Ms: 2}, Type: "Moved", Effects: []inspect.Effect{
				{Key: "7", Created: true, Rules: []int{5}, Changes: []inspect.Change{{"spent", nil, text("-3")}}},
				{Key: "8", Created: true, Rules: []int{5}, Changes: []inspect.Change{{"spent", nil, text("3")}}}}},
		},
		"a type that no rule names": {
			event: event(2, "type", "Seen", "id", "7"),
			want:  inspect.Step{ID: projector.ID{Ms: 2}, Type: "Seen", Skipped: projector.ErrUnnamedType.Error()},
		},
		"an event without a key": {
			event: event(2, "type", "Created", "id", "", "name", "Ada"),
			want:  inspect.Step{ID: projector.ID{Ms: 2}, Type: "Created", Skipped: projector.ErrNoKey.Error()},
		},
		"bytes that are not UTF-8 stay as they are": {
			event: event(2, "type", "Created", "id", "é", "name", "<b>\x00\xfe"),
			want: inspect.Step{ID: projector.ID{Ms: 2}, Type: "Created", Effects: []inspect.Effect{{Key: "é", Created: true, Rules: []int{0},
				Changes: []inspect.Change{{"name", nil, text("<b>\x00\xfe")}, {"orders", nil, text("0")}}}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFold(t, users())
			for _, e := range test.before {
				apply(t, f, e)
			}
			got := apply(t, f, test.event)
			for _, field := range test.event.Fields {
				clear(field.Value) // as the next batch would
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAFailedEventLeavesNothingBehind(t *testing.T) {
	f := newFold(t, users())
	apply(t, f, event(1, "type", "Created", "id", "7", "name", "Ada"))
	apply(t, f, event(2, "type", "Moved", "id", "8", "to", "9", "cents", "9223372036854775807"))
	bytes := f.Bytes()
	// It can be folded into 7, and into 9 no more.
	_, err := f.Apply(event(3, "type", "Moved", "id", "7", "to", "9", "cents", "1"))
	if problem := fault.As(err); problem == nil || problem.EventID != "3-0" || !strings.Contains(problem.Message, "overflow") {
		t.Fatal(err)
	}
	if _, err := f.Apply(event(4, "id", "7")); fault.As(err) == nil {
		t.Error(err)
	}
	got, _ := f.State("7")
	if diff := cmp.Diff(inspect.Entity{Key: "7", Fields: map[string]string{"name": "Ada", "orders": "0"}}, got); diff != "" {
		t.Error(diff)
	}
	if f.Bytes() != bytes || f.Len() != 3 {
		t.Errorf("%d bytes where %d were, %d entities", f.Bytes(), bytes, f.Len())
	}
}

func TestWhatAFoldOfOneEntityKeeps(t *testing.T) {
	f := newFold(t, users())
	f.Only("8")
	if step := apply(t, f, event(1, "type", "Created", "id", "7", "name", "Ada")); len(step.Effects) != 0 || step.Skipped != "" {
		t.Errorf("%+v", step)
	}
	if step := apply(t, f, event(2, "type", "Moved", "id", "7", "to", "8", "cents", "1")); len(step.Effects) != 1 || step.Effects[0].Key != "8" {
		t.Errorf("%+v", step)
	}
	if diff := cmp.Diff([]string{"8"}, f.Keys()); diff != "" {
		t.Error(diff)
	}
}

func TestADeletedEntityTakesNoMemory(t *testing.T) {
	f := newFold(t, users())
	apply(t, f, event(1, "type", "Created", "id", "7", "name", strings.Repeat("x", 1<<20)))
	if f.Bytes() < 1<<20 {
		t.Errorf("%d bytes", f.Bytes())
	}
	apply(t, f, event(2, "type", "Deleted", "id", "7"))
	if f.Bytes() != 0 || f.Len() != 0 {
		t.Errorf("%d bytes, %d entities", f.Bytes(), f.Len())
	}
}

// silent is a reducer in Go that counts, panics at 13 and names a key twice.
type silent struct{}

func (silent) Keys(e *projector.Event, keys []string) ([]string, error) {
	return append(keys, "a", "a"), nil
}

func (silent) Reduce(e *projector.Event, key string, s *projector.State) error {
	s.SetAt(0, projector.IntegerValue(s.At(0).Int()+1))
	if e.ID.Ms == 13 && s.At(0).Int() == 4 {
		panic("unlucky")
	}
	return nil
}

func TestAReducerInGo(t *testing.T) {
	registry := projector.Registry{"Silent": func(projector.Config) (projector.Reducer, error) { return silent{}, nil }}
	f, err := inspect.NewFold(contract.Document{
		Source:    contract.Source{TypeField: "type"},
		Reducer:   contract.Reducer{Type: "Silent"},
		ReadModel: contract.ReadModel{Fields: []contract.Field{{Name: "n", Type: contract.TypeInteger}}},
	}, registry)
	if err != nil {
		t.Fatal(err)
	}
	step := apply(t, f, event(12, "type", "T"))
	want := []inspect.Effect{{Key: "a", Created: true, Changes: []inspect.Change{{"n", nil, text("1")}}},
		{Key: "a", Changes: []inspect.Change{{"n", text("1"), text("2")}}}}
	if diff := cmp.Diff(want, step.Effects); diff != "" {
		t.Error(diff)
	}
	bytes := f.Bytes()
	if _, err := f.Apply(event(13, "type", "T")); err == nil || !strings.Contains(err.Error(), "unlucky") {
		t.Error(err)
	}
	if got, _ := f.State("a"); got.Fields["n"] != "2" || f.Bytes() != bytes {
		t.Errorf("%+v, %d bytes where %d were", got, f.Bytes(), bytes)
	}
}

func TestWhatDoesNotCompileIsSaid(t *testing.T) {
	d := users()
	d.Reducer.Rules[0].Set["nobody"] = "evnt.name"
	if _, err := inspect.NewFold(d, builtin.Registry()); err == nil || !strings.Contains(err.Error(), "reducer.rules[0].set.nobody") {
		t.Error(err)
	}
	d = users()
	d.ReadModel.Fields[0].Type = "Text"
	if _, err := inspect.NewFold(d, builtin.Registry()); err == nil || !strings.Contains(err.Error(), "readModel.fields[0]") {
		t.Error(err)
	}
	d = users()
	d.Reducer.Type = "Mine"
	if _, err := inspect.NewFold(d, builtin.Registry()); err == nil {
		t.Error(errors.New("a reducer that nobody has"))
	}
}

// entries are a random history's, as events.
func entries(h *history.History, n int) []*projector.Event {
	var all []*projector.Event
	for _, entry := range h.Next(n) {
		e := event(0, entry.Values...)
		e.ID = projector.ID(entry.ID)
		all = append(all, e)
	}
	return all
}

// The history is folded by hand, by code that shares nothing with the projector.
func TestStepsAddUpToWhatTheHistoryMadeOfEachEntity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := history.Shape{Pairs: rapid.Bool().Draw(t, "pairs"), Cold: rapid.IntRange(0, 20).Draw(t, "cold")}
		h := history.New(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), shape)
		f, err := inspect.NewFold(h.Contract(), builtin.Registry())
		if err != nil {
			t.Fatal(err)
		}
		added := map[string]map[string]string{}
		for _, e := range entries(h, rapid.IntRange(1, 300).Draw(t, "events")) {
			step, err := f.Apply(e)
			if err != nil {
				t.Fatal(err)
			}
			for _, effect := range step.Effects {
				follow(t, added, effect)
				want, exists := h.Want(effect.Key, history.ID(e.ID))
				got, is := f.State(effect.Key)
				if diff := cmp.Diff(want, got.Fields); is != exists || exists && diff != "" {
					t.Fatalf("%s: exists %v, not %v: %s", effect.Key, is, exists, diff)
				}
				if diff := cmp.Diff(got.Fields, added[effect.Key]); diff != "" {
					t.Fatalf("the steps do not add up: %s", diff)
				}
			}
		}
		if diff := cmp.Diff(len(added), f.Len()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// follow does to the entities what an effect says.
func follow(t *rapid.T, entities map[string]map[string]string, e inspect.Effect) {
	was, existed := entities[e.Key]
	if e.Created {
		if existed {
			t.Fatalf("%s is created twice", e.Key)
		}
		was = map[string]string{}
		entities[e.Key] = was
	}
	for _, change := range e.Changes {
		if old, set := was[change.Field]; set != (change.Old != nil) || set && old != *change.Old {
			t.Fatalf("%s.%s was %q, not %v", e.Key, change.Field, old, change.Old)
		}
		delete(was, change.Field)
		if change.New != nil {
			was[change.Field] = *change.New
		}
	}
	if e.Deleted {
		if len(was) > 0 {
			t.Fatalf("%s is deleted with fields: %v", e.Key, was)
		}
		delete(entities, e.Key)
	}
}
