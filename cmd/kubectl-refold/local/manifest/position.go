package manifest

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// shift moves positions from a document to its file. Aliases are moved where
// their anchors stand.
func shift(n *yaml.Node, lines int) {
	n.Line += lines
	for _, child := range n.Content {
		shift(child, lines)
	}
}

// broken says what is wrong in YAML, and where.
func broken(f *file, first int, err error) *Problem {
	var at *yaml.LoadError
	if !errors.As(err, &at) || at.Mark.Line == 0 {
		return &Problem{f.position(first, 1), "not YAML: " + err.Error()}
	}
	message := at.Message
	if at.ContextMsg != "" {
		message = at.ContextMsg + ": " + message
	}
	p := f.position(at.Mark.Line+first-1, max(1, at.Mark.Column))
	if p.Line > 0 && p.Line <= len(f.lines) {
		if tab := strings.IndexByte(f.lines[p.Line-1], '\t'); tab >= 0 && strings.TrimSpace(f.lines[p.Line-1][:tab]) == "" {
			p.Column = tab + 1
			message = "a tab indents this line; YAML takes spaces alone"
		}
	}
	return &Problem{p, "not YAML: " + message}
}

// Value is where the value at path begins: spec.reducer.rules[0].set.email. Where
// the path leads further than the file, it is the last part that there is.
func (d *Document) Value(path string) Position {
	_, value, _ := d.find(path)
	return d.positionOf(value)
}

// Key is where the name of the field at path stands, else as Value.
func (d *Document) Key(path string) Position {
	key, value, whole := d.find(path)
	if key == nil || !whole {
		return d.positionOf(value)
	}
	return d.positionOf(key)
}

// Has says whether the file has a value at path.
func (d *Document) Has(path string) bool {
	_, _, whole := d.find(path)
	return whole
}

// Inside is where a line and a column of the text at path stand in the file; both
// count from 1, columns in characters. Where an escape or a fold moves them it is
// where the text begins.
func (d *Document) Inside(path string, line, column int) Position {
	_, n, whole := d.find(path)
	if n == nil || !whole || n.Kind != yaml.ScalarNode || line < 1 || column < 1 {
		return d.positionOf(n)
	}
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		return d.insideBlock(n, line, column)
	case line > 1:
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		if d.stands(n, 1) {
			return d.file.position(n.Line, n.Column+column)
		}
	case n.Style&yaml.FoldedStyle == 0 && d.stands(n, 0):
		return d.file.position(n.Line, n.Column+column-1)
	}
	return d.positionOf(n)
}

// stands tells whether a text stands in the file as it is, so many characters
// after the node's beginning.
func (d *Document) stands(n *yaml.Node, after int) bool {
	if n.Line > len(d.file.lines) {
		return false
	}
	line := []rune(d.file.lines[n.Line-1])
	begin := n.Column - 1 + after
	return begin <= len(line) && strings.HasPrefix(string(line[begin:]), n.Value)
}

// insideBlock looks at the first line of text for its indentation.
func (d *Document) insideBlock(n *yaml.Node, line, column int) Position {
	target := n.Line + line
	if target > len(d.file.lines) {
		return d.positionOf(n)
	}
	indent := 0
	for _, text := range d.file.lines[n.Line:] {
		if trimmed := strings.TrimLeft(text, " "); strings.TrimSpace(trimmed) != "" {
			indent = len(text) - len(trimmed)
			break
		}
	}
	return d.file.position(target, indent+column)
}

// Line is a line of the file, without its end; "" where it is not known.
func (d *Document) Line(p Position) string {
	if p.Line < 1 || p.Line > len(d.file.lines) {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSuffix(d.file.lines[p.Line-1], "\r"), string(utf8.RuneError))
}

func (d *Document) positionOf(n *yaml.Node) Position {
	if n == nil {
		return d.at
	}
	return d.file.position(n.Line, n.Column)
}

// find goes as far along path as the file does.
func (d *Document) find(path string) (key, value *yaml.Node, whole bool) {
	value = d.root
	if value == nil {
		return nil, nil, false
	}
	steps := stepsOf(path)
	for len(steps) > 0 {
		nextKey, next, used := step(resolve(value), steps)
		if next == nil {
			return key, value, false
		}
		key, value, steps = nextKey, next, steps[used:]
	}
	return key, resolve(value), true
}

// step takes the first of steps, or as many as one name with dots in it has.
func step(n *yaml.Node, steps []string) (key, value *yaml.Node, used int) {
	if n.Kind == yaml.SequenceNode {
		i, err := strconv.Atoi(steps[0])
		if err != nil || i < 0 || i >= len(n.Content) {
			return nil, nil, 0
		}
		return nil, n.Content[i], 1
	}
	for used = 1; used <= len(steps); used++ {
		if key, value = member(n, strings.Join(steps[:used], ".")); value != nil {
			return key, value, used
		}
	}
	return nil, nil, 0
}

// member finds a name in a map, also where YAML 1.1 reads the name as a truth.
func member(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i]; k.Value == name || k.Style == 0 && isTruth(k.Value, name) {
			return k, n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "<<" {
			if key, value = member(resolve(n.Content[i+1]), name); value != nil {
				return key, value
			}
		}
	}
	return nil, nil
}

var truths = map[string][]string{
	"true":  {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"},
	"false": {"n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"},
}

func isTruth(word, name string) bool { return slices.Contains(truths[name], word) }

func valueOf(n *yaml.Node, name string) *yaml.Node {
	_, value := member(resolve(n), name)
	return resolve(value)
}

func resolve(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// stepsOf splits a path as the API server writes it: a.b[0].c, limits[memory].
func stepsOf(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}
