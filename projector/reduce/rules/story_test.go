package rules_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// userProfile is the sample manifest of the documentation.
var userProfile = contract.Reducer{Type: "Rules", Key: "event.id", Rules: []contract.Rule{
	{On: []string{"UserCreated"}, Set: exprs{"id": "event.id", "name": "event.name", "created_at": "time"}},
	{On: []string{"EmailUpdated"}, Set: exprs{"email": "event.email"}},
	{On: []string{"OrderPlaced"}, When: "int(event.cents) > 0", Add: exprs{"orders": "1", "spent_cents": "int(event.cents)"}},
	{On: []string{"UserDeleted"}, Delete: true},
}}

var userFields = []contract.Field{
	{Name: "id", Type: contract.TypeString}, {Name: "name", Type: contract.TypeString}, {Name: "email", Type: contract.TypeString},
	{Name: "orders", Type: contract.TypeInteger}, {Name: "spent_cents", Type: contract.TypeInteger}, {Name: "created_at", Type: contract.TypeTimestamp},
}

// byHand is the same fold as a person writes it, sharing nothing with the rules.
func byHand(users map[string]map[string]string, e *projector.Event) {
	get := func(name string) string { v, _ := e.Field(name); return string(v) }
	id := get("id")
	user := users[id]
	if user == nil {
		user = map[string]string{}
	}
	plus := func(field string, n int64) {
		old, _ := strconv.ParseInt(user[field], 10, 64)
		user[field] = strconv.FormatInt(old+n, 10)
	}
	switch string(e.Type) {
	case "UserCreated":
		user["id"], user["name"], user["created_at"] = id, get("name"), "2026-11-23T05:33:51.12Z"
	case "EmailUpdated":
		user["email"] = get("email")
	case "OrderPlaced":
		cents, _ := strconv.ParseInt(get("cents"), 10, 64)
		if cents <= 0 {
			return
		}
		plus("orders", 1)
		plus("spent_cents", cents)
	case "UserDeleted":
		delete(users, id)
		return
	default:
		return
	}
	users[id] = user
}

func TestUserProfileFoldsAsByHand(t *testing.T) {
	schema := schemaOf(t, userFields)
	reducer := compile(t, contract.FormatFields, schema, userProfile)
	rapid.Check(t, func(t *rapid.T) {
		want, states := map[string]map[string]string{}, map[string]*projector.State{}
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			e := entry(rapid.SampledFrom([]string{"UserCreated", "EmailUpdated", "AddressUpdated", "OrderPlaced", "UserDeleted"}).Draw(t, "type"),
				"id", fmt.Sprint(rapid.IntRange(1, 3).Draw(t, "id")), "name", rapid.String().Draw(t, "name"),
				"email", string(rapid.SliceOf(rapid.Byte()).Draw(t, "email")), "cents", fmt.Sprint(rapid.IntRange(-10, 1000).Draw(t, "cents")))
			byHand(want, e)
			keys, err := reducer.Keys(e, nil)
			if err != nil && !errors.Is(err, projector.ErrUnnamedType) {
				t.Fatal(err)
			}
			for _, key := range keys {
				if states[key] == nil {
					states[key] = projector.NewState(schema)
				}
				if err := reducer.Reduce(e, key, states[key]); err != nil {
					t.Fatal(err)
				}
			}
		}
		got := map[string]map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(states)) {
			if all := render(states[key]); all != nil {
				got[key] = all
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-by hand +rules):\n%s", diff)
		}
	})
}

// An event may touch several entities; key tells the expressions which one.
func TestATransferTouchesTwoAccounts(t *testing.T) {
	schema := schemaOf(t, everyType)
	r := compile(t, contract.FormatFields, schema, contract.Reducer{Key: "[event.from, event.to]", Rules: []contract.Rule{
		on("Transferred", contract.Rule{Add: exprs{"count": "key == event.from ? -int(event.cents) : int(event.cents)"}})}})
	e := entry("Transferred", "from", "a", "to", "b", "cents", "70")
	keys, err := r.Keys(e, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, key := range keys {
		s := projector.NewState(schema)
		if err := r.Reduce(e, key, s); err != nil {
			t.Fatal(err)
		}
		got[key] = s.Get("count").Int()
	}
	if diff := cmp.Diff(map[string]int64{"a": -70, "b": 70}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCloudEventsAreFoldedByTheirEnvelope(t *testing.T) {
	schema := schemaOf(t, everyType)
	r := compile(t, contract.FormatCloudEvents, schema, contract.Reducer{Key: "event.data.id", Rules: []contract.Rule{
		on("T", contract.Rule{When: "event.source == '/shop'", Set: exprs{"text": "event.?subject.orValue('none')", "at": "event.time", "doc": "event.data"}})}})
	s := projector.NewState(schema)
	e := document(t, `{"specversion": "1.0", "id": "1", "source": "/shop", "type": "T", "time": "2026-11-23T00:00:00Z", "data": {"id": 42}}`)
	if err := fold(r, e, s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(exprs{"text": "none", "at": "2026-11-23T00:00:00Z", "doc": `{"id":42}`}, render(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
