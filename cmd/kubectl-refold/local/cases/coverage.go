package cases

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect"
)

// Coverage counts what cases have made the rules of one manifest do.
type Coverage struct {
	rules []contract.Rule
	items []Item
	index map[place]int
}

// Item is one thing that a rule can do.
type Item struct {
	Rule  int    `json:"rule"`
	Of    string `json:"of,omitempty"` // "" for the rule itself, else "set.email", "unset.city", "delete" or "when is false"
	On    string `json:"on"`           // the types of event
	Path  string `json:"path"`
	Count int    `json:"count"` // entities that it was done to
}

type place struct {
	rule int
	of   string
}

const whenFalse = "when is false"

// NewCoverage lists all that the rules can do.
func NewCoverage(reducer contract.Reducer) *Coverage {
	c := &Coverage{rules: reducer.Rules, index: map[place]int{}}
	for i, rule := range reducer.Rules {
		path := fmt.Sprintf("spec.reducer.rules[%d]", i)
		c.add(i, "", path)
		if rule.When != "" {
			c.add(i, whenFalse, path+".when")
		}
		for _, name := range slices.Sorted(maps.Keys(rule.Set)) {
			c.add(i, "set."+name, path+".set."+name)
		}
		for _, name := range slices.Sorted(maps.Keys(rule.Add)) {
			c.add(i, "add."+name, path+".add."+name)
		}
		for j, name := range rule.Unset {
			c.add(i, "unset."+name, fmt.Sprintf("%s.unset[%d]", path, j))
		}
		if rule.Delete {
			c.add(i, "delete", path+".delete")
		}
	}
	return c
}

func (c *Coverage) add(rule int, of, path string) {
	c.index[place{rule, of}] = len(c.items)
	c.items = append(c.items, Item{Rule: rule, Of: of, On: strings.Join(c.rules[rule].On, ", "), Path: path})
}

// Items are in the order of the manifest.
func (c *Coverage) Items() []Item { return c.items }

// Hit is how many items were done at least once, of all.
func (c *Coverage) Hit() (hit, all int) {
	for _, item := range c.items {
		if item.Count > 0 {
			hit++
		}
	}
	return hit, len(c.items)
}

// Percent is Hit in percent; 100 of nothing.
func (c *Coverage) Percent() float64 {
	hit, all := c.Hit()
	if all == 0 {
		return 100
	}
	return float64(hit) / float64(all) * 100
}

func (c *Coverage) hit(rule int, of string) {
	if i, known := c.index[place{rule, of}]; known {
		c.items[i].Count++
	}
}

// note counts what one event did. A field counts where the rule ran and left it
// with a value: a value that is set again is tested, too.
func (c *Coverage) note(step inspect.Step, fold *inspect.Fold) {
	for _, effect := range step.Effects {
		if effect.Rules == nil {
			continue // a reducer in Go
		}
		entity, _ := fold.State(effect.Key)
		for i, rule := range c.rules {
			if !slices.Contains(rule.On, step.Type) {
				continue
			}
			if !slices.Contains(effect.Rules, i) {
				c.hit(i, whenFalse)
				continue
			}
			c.hit(i, "")
			c.fields(i, rule, effect, entity)
		}
	}
}

func (c *Coverage) fields(i int, rule contract.Rule, effect inspect.Effect, entity inspect.Entity) {
	for name := range rule.Set {
		if _, set := entity.Fields[name]; set || changed(effect, name) {
			c.hit(i, "set."+name)
		}
	}
	for name := range rule.Add {
		if _, set := entity.Fields[name]; set {
			c.hit(i, "add."+name)
		}
	}
	for _, name := range rule.Unset {
		if changed(effect, name) {
			c.hit(i, "unset."+name)
		}
	}
	if rule.Delete && effect.Deleted {
		c.hit(i, "delete")
	}
}

func changed(effect inspect.Effect, name string) bool {
	return slices.ContainsFunc(effect.Changes, func(change inspect.Change) bool { return change.Field == name })
}
