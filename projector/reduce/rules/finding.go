package rules

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/refold-dev/refold/projector"
)

// Finding is one thing that is wrong in a manifest's reducer. What New returns
// joins all of them.
type Finding struct {
	Place        string // in the manifest's spec, "reducer.rules[0].set.email"
	Line, Column int    // in the expression, from 1; 0 where it is about all of the place
	Message      string
	Excerpt      string // the line, and below it a caret; "" where that would not help
}

func (f *Finding) Error() string {
	if f.Line == 0 {
		return f.Place + ": " + f.Message
	}
	text := fmt.Sprintf("%s: line %d, column %d: %s", f.Place, f.Line, f.Column, f.Message)
	for line := range strings.Lines(f.Excerpt) {
		text += "\n    " + strings.TrimSuffix(line, "\n")
	}
	return text
}

// finding is one of the compiler's errors, with the line it is about.
func (c *compiler) finding(place, source string, issue *cel.Error) error {
	words := strings.ReplaceAll(issue.Message, " (in container '')", "")
	if name, ok := quoted(words, "undefined field '"); ok {
		words += suggestion(name, fieldNames(c.schema))
	}
	if name, ok := quoted(words, "undeclared reference to '"); ok {
		if place == "reducer.key" && (name == varState || name == varKey) {
			words += ": the key is found before there is an entity"
		}
	}
	line, column := issue.Location.Line(), issue.Location.Column()
	if line < 1 || column < 0 {
		return &Finding{Place: place, Message: cut(words, 512)}
	}
	return &Finding{place, line, column + 1, cut(words, 512), caret(source, line, column)}
}

// caret points into the line, if it is one that a person takes in at a glance.
func caret(source string, line, column int) string {
	const widest = 100
	lines := strings.Split(source, "\n")
	if line > len(lines) {
		return ""
	}
	text := []rune(strings.ReplaceAll(lines[line-1], "\t", " "))
	if len(text) > widest || column > len(text) {
		return ""
	}
	return fmt.Sprintf("%s\n%s^", string(text), strings.Repeat(" ", column))
}

func quoted(words, prefix string) (name string, ok bool) {
	_, rest, ok := strings.Cut(words, prefix)
	name, _, closed := strings.Cut(rest, "'")
	return name, ok && closed
}

// suggestion is "; did you mean …?" for the closest name, if one is close.
func suggestion(name string, names []string) string {
	best, least := "", 1+len(name)/3
	for _, candidate := range names {
		if d := distance(name, candidate); d <= least && (best == "" || d < distance(name, best)) {
			best = candidate
		}
	}
	if best == "" || best == name {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is Levenshtein's, case aside.
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// accepts says whether a result of type t can become kind at all; what depends
// on the value is found when it is there.
func accepts(kind projector.Kind, t *cel.Type) bool {
	t = unwrapType(t)
	if t.Kind() == types.NullTypeKind || t.Kind() == types.DynKind || t.Kind() == types.TypeParamKind {
		return true
	}
	switch kind {
	case projector.String:
		return isOneOf(t, types.StringKind, types.IntKind, types.UintKind, types.DoubleKind, types.BoolKind, types.TimestampKind, types.BytesKind)
	case projector.Integer, projector.Number:
		return isOneOf(t, types.IntKind, types.UintKind, types.DoubleKind, types.StringKind)
	case projector.Boolean:
		return isOneOf(t, types.BoolKind, types.StringKind)
	case projector.Timestamp:
		return isOneOf(t, types.TimestampKind, types.StringKind)
	}
	return !isOneOf(t, types.TypeKind, types.StructKind)
}

// hint says what to write instead, where many have asked.
func hint(kind projector.Kind, t *cel.Type) string {
	t = unwrapType(t)
	switch {
	case kind == projector.Integer && t.Kind() == types.TimestampKind:
		return "; int(…) gives its seconds"
	case kind == projector.Integer && t.Kind() == types.BoolKind:
		return "; write … ? 1 : 0"
	case kind == projector.String && isOneOf(t, types.ListKind, types.MapKind):
		return "; declare the field JSON"
	case kind == projector.String && t.Kind() == types.DurationKind:
		return "; string(…) gives its seconds"
	case kind == projector.Timestamp && isOneOf(t, types.IntKind):
		return "; timestamp(…) takes seconds"
	}
	return ""
}

func isKey(t *cel.Type) bool {
	t = unwrapType(t)
	if t.Kind() == types.ListKind && len(t.Parameters()) == 1 {
		t = unwrapType(t.Parameters()[0])
	}
	return isOneOf(t, types.StringKind, types.IntKind, types.UintKind, types.NullTypeKind, types.DynKind, types.TypeParamKind)
}

func isOneOf(t *cel.Type, kinds ...types.Kind) bool {
	for _, k := range kinds {
		if t.Kind() == k {
			return true
		}
	}
	return false
}

func unwrapType(t *cel.Type) *cel.Type {
	for t.Kind() == types.OpaqueKind && t.TypeName() == types.OptionalType.TypeName() && len(t.Parameters()) == 1 {
		t = t.Parameters()[0]
	}
	return t
}

func typeName(t *cel.Type) string { return cel.FormatCELType(t) }
