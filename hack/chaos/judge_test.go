package main

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/refold-dev/refold/hack/chaos/history"
)

// exact is what a projector that does all rightly leaves, at the model's end.
func exact(model *history.History) snapshot {
	s := snapshot{claimed: true, entities: map[string]map[string]string{}, listed: map[string]bool{}, bare: map[string]bool{}}
	s.ledger.id = model.Last()
	s.ledger.entries, s.ledger.events, _ = model.Count(model.Last())
	for _, key := range model.Keys() {
		fields, exists := model.Want(key, model.Last())
		s.listed[key] = exists
		s.bare[key] = exists && len(fields) == 0
		if len(fields) > 0 {
			s.entities[key] = fields
		}
	}
	return s
}

func newModel() *history.History {
	model := history.New(rand.New(rand.NewPCG(1, 1)), history.Shape{Pairs: true, Cold: 50})
	model.Next(5000)
	return model
}

// someone is an entity that has counted a few events.
func (s snapshot) someone(t *testing.T) string {
	for i := range 5 {
		key := strconv.Itoa(i)
		if n, _ := strconv.Atoi(s.entities[key][history.Counter]); n > 1 {
			return key
		}
	}
	t.Fatal("nobody has counted anything")
	return ""
}

func (s snapshot) count(key string, by int) {
	n, _ := strconv.Atoi(s.entities[key][history.Counter])
	s.entities[key][history.Counter] = strconv.Itoa(n + by)
}

func TestTheJudgeSeesWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		spoil         func(s *snapshot, key string)
		lost, doubled int64
		says          string
	}{
		"nothing":                   {spoil: func(*snapshot, string) {}},
		"an event lost":             {func(s *snapshot, key string) { s.count(key, -1) }, 1, 0, "I1"},
		"an event counted twice":    {func(s *snapshot, key string) { s.count(key, 1) }, 0, 1, "I1"},
		"a field changed":           {func(s *snapshot, key string) { s.entities[key]["chain"] = "1" }, 0, 0, "I1"},
		"a field too many":          {func(s *snapshot, key string) { s.entities[key]["x"] = "" }, 0, 0, "I1"},
		"an entity nobody listed":   {func(s *snapshot, key string) { s.listed[key] = false }, 0, 0, "key set"},
		"an entity in a wrong set":  {func(s *snapshot, key string) { s.astray = []string{key} }, 0, 0, "another lane"},
		"an entity said to be bare": {func(s *snapshot, key string) { s.bare[key] = true }, 0, 0, "without a field"},
		"an event not counted":      {func(s *snapshot, _ string) { s.ledger.events-- }, 0, 0, "I5"},
		"an entry not counted":      {func(s *snapshot, _ string) { s.ledger.entries-- }, 0, 0, "I5"},
		"a position that is none":   {func(s *snapshot, _ string) { s.ledger.id.Seq++ }, 0, 0, "I2"},
	} {
		t.Run(name, func(t *testing.T) {
			model := newModel()
			s := exact(model)
			test.spoil(&s, s.someone(t))
			v := s.judge(model, model.Keys())
			if v.lost != test.lost || v.doubled != test.doubled {
				t.Errorf("%d lost, %d doubled", v.lost, v.doubled)
			}
			if err := v.err(); (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("the judge says: %v", err)
			}
		})
	}
}

func TestSomeKeysAreTheEndsAndAShareOfTheMiddle(t *testing.T) {
	var keys []string
	for i := range 5000 {
		keys = append(keys, strconv.Itoa(i))
	}
	seen := setOf(nil)
	for _, share := range []float64{0, 0.25, 0.5, 0.75, 0.999_999} {
		chosen := some(keys, share)
		if len(chosen) != mostJudged+100 || len(setOf(chosen)) != len(chosen) || chosen[0] != "0" || chosen[len(chosen)-1] != "4999" {
			t.Errorf("share %v: %d keys from %s to %s", share, len(chosen), chosen[0], chosen[len(chosen)-1])
		}
		for _, key := range chosen {
			seen[key] = true
		}
	}
	if len(seen) < len(keys)-1 {
		t.Errorf("%d of %d keys can be chosen", len(seen), len(keys))
	}
}

func TestALostEntityIsCountedByItsEvents(t *testing.T) {
	model := newModel()
	s := exact(model)
	key := s.someone(t)
	n, _ := strconv.ParseInt(s.entities[key][history.Counter], 10, 64)
	delete(s.entities, key)
	if v := s.judge(model, model.Keys()); v.lost != n {
		t.Errorf("%d lost, want %d", v.lost, n)
	}
}
