package cases

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/refold-dev/refold/cmd/kubectl-refold/local/fieldvalue"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/inspect"
)

// Update writes into the text of the file what came of the cases, in place of
// their then. What is not different stays, to the byte; comments stay.
func (s *Suite) Update(results []*Result) (text []byte, updated int, err error) {
	schema, err := s.schema()
	if err != nil {
		return nil, 0, err
	}
	e := editor{suite: s, schema: schema, lines: strings.SplitAfter(string(s.text), "\n")}
	slices.SortFunc(results, func(a, b *Result) int { return cmp.Compare(b.Case.Line, a.Case.Line) })
	for _, r := range results { // from below, so that lines above stay where they are
		if !r.Updatable() {
			continue
		}
		if err := e.rewrite(r); err != nil {
			return nil, 0, err
		}
		updated++
	}
	return []byte(strings.Join(e.lines, "")), updated, nil
}

// Updatable tells a case that fails for its then alone.
func (r *Result) Updatable() bool {
	for _, f := range r.Failures {
		if !f.ofThen {
			return false
		}
	}
	return r.Failed()
}

type editor struct {
	suite  *Suite
	schema *projector.Schema
	lines  []string // with their ends
}

func (e *editor) rewrite(r *Result) error {
	c := r.Case
	if c.node.Style&yaml.FlowStyle != 0 {
		return &Error{e.suite.Name, Position{c.node.Line, c.node.Column}, "this case stands between braces, where --update cannot put its then: write it in lines"}
	}
	key, value := pair(c.node, "then")
	indent, first, end := c.node.Column-1, 0, 0
	if key == nil {
		key = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "then"}
		value = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		first = e.endOf(c.node.Content[len(c.node.Content)-2])
		end = first
	} else {
		first, end = key.Line, e.endOf(key)
	}
	block, err := e.render(key, e.entities(r, resolve(value)))
	if err != nil {
		return err
	}
	e.splice(first, end, indent, block)
	return nil
}

// splice puts a block in the place of lines [first, end), counted from 1. What
// stands before the block in its first line, as the dash of a list, stays.
func (e *editor) splice(first, end, indent int, block string) {
	newline := "\n"
	if strings.HasSuffix(e.lines[0], "\r\n") {
		newline = "\r\n"
	}
	prefix := strings.Repeat(" ", indent)
	var out []string
	for line := range strings.Lines(block) {
		line = strings.TrimRight(line, "\n")
		if line != "" {
			line = prefix + line
		}
		out = append(out, line+newline)
	}
	if first < end && first <= len(e.lines) {
		old := []rune(e.lines[first-1])
		if len(old) > indent && strings.TrimSpace(string(old[:indent])) != "" {
			out[0] = string(old[:indent]) + strings.TrimPrefix(out[0], prefix)
		}
	} else if last := first - 2; last >= 0 && last < len(e.lines) && !strings.HasSuffix(e.lines[last], "\n") {
		e.lines[last] += newline
	}
	e.lines = slices.Concat(e.lines[:first-1], out, e.lines[min(end-1, len(e.lines)):])
}

// endOf is the line after the value of a key: where the next key begins, less
// blank lines and comments before that.
func (e *editor) endOf(key *yaml.Node) int {
	end := len(e.lines) + 1
	if e.lines[len(e.lines)-1] == "" {
		end--
	}
	if next := following(e.suite.root, key); next != nil {
		end = next.Line
	}
	for end-1 > key.Line {
		line := strings.TrimSpace(e.lines[end-2])
		if line != "" && line != "-" && !strings.HasPrefix(line, "#") {
			break
		}
		end--
	}
	return end
}

// following is the first key, in the order of the text, that stands after all of
// the value of key.
func following(root, key *yaml.Node) *yaml.Node {
	var found *yaml.Node
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 && child != key && after(child, key) && child.Column <= key.Column && (found == nil || after(found, child)) {
				found = child
			}
			walk(child)
		}
	}
	walk(root)
	return found
}

func after(a, b *yaml.Node) bool {
	return a.Line > b.Line || a.Line == b.Line && a.Column > b.Column
}

func pair(n *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// entities brings the nodes of then up to date: what is the same keeps its node,
// and with it its comments and its spelling.
func (e *editor) entities(r *Result, then *yaml.Node) *yaml.Node {
	out := *then
	out.Content = nil
	for i := 0; i+1 < len(then.Content); i += 2 {
		key, old := then.Content[i], resolve(then.Content[i+1])
		out.Content = append(out.Content, key, e.entity(r.fold, key.Value, old))
	}
	for _, key := range r.touched {
		if k, _ := pair(&out, key); k == nil {
			out.Content = append(out.Content, fieldvalue.String(key), e.entity(r.fold, key, nil))
		}
	}
	if len(out.Content) > 0 && len(then.Content) == 0 {
		out.Style = 0
	}
	return &out
}

func (e *editor) entity(fold *inspect.Fold, key string, old *yaml.Node) *yaml.Node {
	got, exists := fold.State(key)
	if !exists {
		out := fieldvalue.Null()
		if old != nil {
			out.HeadComment, out.LineComment = old.HeadComment, old.LineComment
		}
		return out
	}
	if old == nil || old.Kind != yaml.MappingNode {
		fresh := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if old != nil {
			fresh.HeadComment = old.HeadComment + old.LineComment // beside it there is no place any more
		}
		old = fresh
	}
	out := *old
	out.Content = nil
	partly, _ := pair(old, partial)
	for i := 0; i+1 < len(old.Content); i += 2 {
		name, value := old.Content[i], resolve(old.Content[i+1])
		if fresh := e.value(got, name.Value, value); fresh != nil {
			out.Content = append(out.Content, name, fresh)
		}
	}
	for _, f := range e.schema.Fields() {
		if _, set := got.Fields[f.Name]; !set || partly != nil {
			continue
		}
		if k, _ := pair(&out, f.Name); k == nil {
			out.Content = append(out.Content, fieldvalue.String(f.Name), e.value(got, f.Name, nil))
		}
	}
	return &out
}

// value is the node of a field; the old one, if it says the same. nil takes the
// field out.
func (e *editor) value(got inspect.Entity, name string, old *yaml.Node) *yaml.Node {
	if name == partial {
		return old
	}
	text, set := got.Fields[name]
	slot, declared := e.schema.Slot(name)
	if !declared {
		return nil
	}
	kind := e.schema.Fields()[slot].Kind
	if kind == projector.JSON {
		text = sortedJSON(text)
	}
	if old != nil {
		was, had, err := canonical(kind, old)
		if err == nil && had == set && was == text {
			return old
		}
	}
	if !set {
		return nil
	}
	out := fieldvalue.Node(kind, text)
	if old != nil {
		out.HeadComment, out.LineComment = old.HeadComment, old.LineComment
		if old.Kind == yaml.ScalarNode && out.Tag == "!!str" {
			out.Style = old.Style & (yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle)
		}
	}
	return out
}

// render writes "then:" and what belongs to it. Comments above it and below are
// not touched, so they are not written.
func (e *editor) render(key, value *yaml.Node) (string, error) {
	k := *key
	k.HeadComment, k.FootComment = "", ""
	withoutFoot(value)
	var out bytes.Buffer
	dumper, err := yaml.NewDumper(&out, fieldvalue.Options...)
	if err != nil {
		return "", err
	}
	if err := dumper.Dump(&yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{&k, value}}); err != nil {
		return "", fmt.Errorf("write then: %w", err)
	}
	return out.String(), dumper.Close()
}

// withoutFoot takes off what stands below the last value: it is kept as text.
func withoutFoot(n *yaml.Node) {
	for n.FootComment = ""; len(n.Content) > 0; n.FootComment = "" {
		if n.Kind == yaml.MappingNode {
			n.Content[len(n.Content)-2].FootComment = ""
		}
		n = n.Content[len(n.Content)-1]
	}
}
