package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// Terminal tells whether results go to a terminal.
func (f *Factory) Terminal() bool { return isTerminal(f.Streams.Out) }

// Columns is how wide results may be: the terminal's width, 0 for as wide as they
// come where there is none.
func (f *Factory) Columns() int {
	columns, _ := f.size()
	return columns
}

// Rows is how many lines the terminal has, 0 where there is none.
func (f *Factory) Rows() int {
	_, rows := f.size()
	return rows
}

func (f *Factory) size() (columns, rows int) {
	if f.Size != nil {
		return f.Size()
	}
	out, ok := f.Streams.Out.(*os.File)
	if !ok {
		return 0, 0
	}
	columns, rows, err := term.GetSize(int(out.Fd()))
	if err != nil {
		return 0, 0
	}
	return columns, rows
}

// Paint returns the colours for results: none where they do not go to a terminal,
// or NO_COLOR is set.
func (f *Factory) Paint() Paint { return paintFor(f.Streams.Out) }

// PaintErrors is Paint for what goes to stderr.
func (f *Factory) PaintErrors() Paint { return paintFor(f.Streams.ErrOut) }

func paintFor(w io.Writer) Paint {
	return Paint{On: isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Paint colours text. Its zero value leaves it as it is.
type Paint struct{ On bool }

// Good colours what is well.
func (p Paint) Good(text string) string { return p.wrap("32", text) }

// Busy colours what is on its way.
func (p Paint) Busy(text string) string { return p.wrap("33", text) }

// Bad colours what needs a person.
func (p Paint) Bad(text string) string { return p.wrap("31", text) }

// Strong makes text stand out.
func (p Paint) Strong(text string) string { return p.wrap("1", text) }

// Faint makes text step back.
func (p Paint) Faint(text string) string { return p.wrap("2", text) }

func (p Paint) wrap(code, text string) string {
	if !p.On || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Width is how many columns of a terminal text takes, colours not counted.
func Width(text string) int {
	n := 0
	for len(text) > 0 {
		if strings.HasPrefix(text, "\x1b[") {
			if end := strings.IndexByte(text, 'm'); end > 0 {
				text = text[end+1:]
				continue
			}
		}
		r, size := utf8.DecodeRuneInString(text)
		text, n = text[size:], n+columnsOf(r)
	}
	return n
}

// columnsOf is how many columns a character takes: two if it is wide, as those of
// East Asia are, none if it goes onto the one before.
func columnsOf(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Clip cuts text, colours and all, to columns; 0 is no bound.
func Clip(text string, columns int) string {
	if columns <= 0 || Width(text) <= columns {
		return text
	}
	var out strings.Builder
	coloured, n := false, 0
	for {
		if end := strings.IndexByte(text, 'm') + 1; end > 0 && strings.HasPrefix(text, "\x1b[") {
			out.WriteString(text[:end])
			text, coloured = text[end:], true
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		if n += columnsOf(r); n > columns-1 {
			break
		}
		out.WriteRune(r)
		text = text[size:]
	}
	out.WriteString("…")
	if coloured {
		out.WriteString("\x1b[0m")
	}
	return out.String()
}

// Wrap breaks text at spaces into lines of at most columns characters; 0 is no
// bound. A word that is longer stands alone.
func Wrap(text string, columns int) []string {
	if columns <= 0 {
		return []string{text}
	}
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && Width(line)+1+Width(word) > columns {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// Safe makes text of others fit for a terminal: what is not printable, as an
// escape that would colour or clear it, is shown as a mark.
func Safe(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError || isUnseen(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// isUnseen tells characters that break lines, turn the direction of text around
// or hide in it. Those that join letters are part of some languages' words.
func isUnseen(r rune) bool {
	const joiner, nonJoiner = 0x200d, 0x200c
	return r != joiner && r != nonJoiner && unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r >= 0xe0000 && r < 0xe1000
}

// Bar draws percent, 0 to 100, in width characters.
func Bar(percent float64, width int) string {
	full := int(min(max(percent, 0), 100) / 100 * float64(width))
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// Count writes a number with its thousands apart.
func Count(n int64) string {
	digits := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// TerminalErrors tells whether progress goes to a terminal.
func (f *Factory) TerminalErrors() bool { return isTerminal(f.Streams.ErrOut) }

// ColumnsErrors is the width of that terminal, 0 where there is none.
func (f *Factory) ColumnsErrors() int {
	file, ok := f.Streams.ErrOut.(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return columns
}
