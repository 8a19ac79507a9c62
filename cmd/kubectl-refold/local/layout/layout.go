// Package layout sets text for a terminal of 80 columns. It knows no terminal.
package layout

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Width is the widest line that commands write by themselves.
const Width = 80

// Wrap breaks text between words, so that no line is wider than Width, and
// indents all lines. A word that is too long stands alone. Line breaks stay.
func Wrap(text, indent string) string {
	var out strings.Builder
	for i, paragraph := range strings.Split(text, "\n") {
		if i > 0 {
			out.WriteByte('\n')
		}
		wrap(&out, paragraph, indent)
	}
	return out.String()
}

func wrap(out *strings.Builder, text, indent string) {
	column := 0
	for _, word := range strings.Fields(text) {
		width := utf8.RuneCountInString(word)
		switch {
		case column == 0:
			out.WriteString(indent)
			column = len(indent)
		case column+1+width > Width:
			out.WriteString("\n" + indent)
			column = len(indent)
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += width
	}
}

// Indent puts indent before each line that holds something.
func Indent(text, indent string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			out.WriteString(indent)
		}
		out.WriteString(line)
	}
	return out.String()
}

// Count writes a number for people: 1,204,311.
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Plural is "1 case" or "2 cases".
func Plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(int64(n)) + " " + one + "s"
}
