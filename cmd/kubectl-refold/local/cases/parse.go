package cases

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
)

// parser reads a file strictly: what it does not know is an error, with its
// place, for a misspelled word would let a case say less than was meant.
type parser struct{ file *File }

func (p *parser) fail(n *yaml.Node, format string, args ...any) error {
	return &Error{p.file.Name, Position{n.Line, n.Column}, fmt.Sprintf(format, args...)}
}

func (p *parser) parse() error {
	if len(bytes.TrimSpace(p.file.text)) == 0 {
		return &Error{p.file.Name, Position{}, "not a file of cases: it is empty"}
	}
	var document yaml.Node
	if err := yaml.Load(p.file.text, &document, yaml.WithUniqueKeys(false)); err != nil {
		return p.broken(err)
	}
	if document.Kind == 0 || len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return &Error{p.file.Name, Position{}, "not a file of cases: it must be a map with projection and cases"}
	}
	p.file.root = document.Content[0]
	var list *yaml.Node
	err := p.members(p.file.root, map[string]func(*yaml.Node) error{
		"projection": p.text(&p.file.Projection),
		"name":       p.text(&p.file.Of),
		"cases":      func(n *yaml.Node) error { list = n; return nil },
	})
	switch {
	case err != nil:
		return err
	case p.file.Projection == "":
		return p.fail(p.file.root, "projection is missing: the path of the manifest, from this file's place")
	case list == nil:
		return p.fail(p.file.root, "cases is missing")
	}
	p.file.Projection = manifestOf(p.file.Name, p.file.Projection)
	return p.cases(list)
}

func (p *parser) broken(err error) error {
	var at *yaml.LoadError
	if errors.As(err, &at) && at.Mark.Line > 0 {
		return &Error{p.file.Name, Position{at.Mark.Line, max(1, at.Mark.Column)}, "not YAML: " + at.Message}
	}
	return &Error{p.file.Name, Position{}, "not YAML: " + err.Error()}
}

// members hands each value of a map to the reader of its name.
func (p *parser) members(n *yaml.Node, readers map[string]func(*yaml.Node) error) error {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		read, known := readers[key.Value]
		switch {
		case !known:
			return p.fail(key, "%q is not known here; %s", key.Value, cli.DidYouMean(cli.Close(key.Value, names(readers)), "there are "+quoted(names(readers))))
		case seen[key.Value]:
			return p.fail(key, "%q is there twice", key.Value)
		}
		seen[key.Value] = true
		if err := read(value); err != nil {
			return err
		}
	}
	return nil
}

func names[T any](m map[string]T) []string {
	var out []string
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (p *parser) text(into *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
			return p.fail(n, "want a text here")
		}
		*into = n.Value
		return nil
	}
}

func (p *parser) cases(list *yaml.Node) error {
	if list.Kind != yaml.SequenceNode {
		return p.fail(list, "cases is a list")
	}
	taken := map[string]bool{}
	for _, n := range list.Content {
		n = resolve(n)
		if n.Kind != yaml.MappingNode {
			return p.fail(n, "a case is a map with name, given, when and then")
		}
		c := &Case{Line: n.Line, node: n}
		if err := p.one(c); err != nil {
			return err
		}
		if taken[c.Name] {
			return p.fail(n, "two cases have the name %q", c.Name)
		}
		taken[c.Name] = true
		p.file.Cases = append(p.file.Cases, c)
	}
	return nil
}

func (p *parser) one(c *Case) error {
	err := p.members(c.node, map[string]func(*yaml.Node) error{
		"name":    p.text(&c.Name),
		"given":   p.events(&c.given),
		"when":    p.events(&c.when),
		"then":    func(n *yaml.Node) error { c.hasThen = true; return p.then(c, n) },
		"error":   p.text(&c.halts),
		"skipped": func(n *yaml.Node) error { c.hasSkipped = true; return p.skipped(c, n) },
	})
	switch {
	case err != nil:
		return err
	case strings.TrimSpace(c.Name) == "":
		return p.fail(c.node, "a case needs a name")
	case len(c.given)+len(c.when) == 0:
		return p.fail(c.node, "the case %q has no event in given or when", c.Name)
	case len(c.when) == 0 && (c.halts != "" || c.hasSkipped):
		return p.fail(c.node, "error and skipped are about the events in when, and there is none")
	}
	return nil
}

// Reasons for which an event is skipped, as the projector counts them.
const (
	unnamedType = "unnamedType"
	noKey       = "noKey"
)

func (p *parser) skipped(c *Case, n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return p.fail(n, "skipped is a list of %s and %s", unnamedType, noKey)
	}
	for _, one := range n.Content {
		if one = resolve(one); one.Value != unnamedType && one.Value != noKey {
			return p.fail(one, "%q is no reason to skip an event: write %s or %s", one.Value, unnamedType, noKey)
		}
		c.skipped = append(c.skipped, one.Value)
	}
	return nil
}

func (p *parser) then(c *Case, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return p.fail(n, "then is a map of entities by their keys")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		e := expectation{key: n.Content[i].Value, node: n.Content[i]}
		if seen[e.key] {
			return p.fail(e.node, "the entity %q is there twice", e.key)
		}
		seen[e.key] = true
		if err := p.expectation(&e, resolve(n.Content[i+1])); err != nil {
			return err
		}
		c.then = append(c.then, e)
	}
	return nil
}

func (p *parser) expectation(e *expectation, n *yaml.Node) error {
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		e.absent = true
		return nil
	case n.Kind != yaml.MappingNode:
		return p.fail(n, "an entity is a map of fields, or null if there must be none")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], resolve(n.Content[i+1])
		if name.Value == partial {
			if value.ShortTag() != "!!bool" || value.Value != "true" {
				return p.fail(value, "%s is true, or is not there", partial)
			}
			e.partial = true
			continue
		}
		e.fields = append(e.fields, expected{name.Value, value})
	}
	return nil
}

// partial, in an entity, lets fields be anything that are not named.
const partial = "$partial"

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
