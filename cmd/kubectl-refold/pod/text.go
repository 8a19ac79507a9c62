package pod

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/projector/inspect/api"
)

// texts shows what others wrote: keys, values and types may be any bytes, and
// made to deceive who looks at them on a terminal.
type texts struct {
	cli.Paint
	full    bool
	columns int // 0: no terminal
	cut     int // how many values were
}

const (
	// unbound is how long a value may be where there is no terminal.
	unbound = 1000
	// narrow is the least that a value is cut to, however narrow the terminal.
	narrow = 16
)

// room is what is left of a line for a value after used characters.
func (t *texts) room(used int) int {
	if t.columns == 0 {
		return unbound
	}
	return max(narrow, t.columns-used)
}

// value is text in at most room characters, and on one line.
func (t *texts) value(text api.Text, room int) string {
	if t.full {
		return shown(string(text))
	}
	out, whole := begin(string(text), room)
	if !whole {
		t.cut++
	}
	return out
}

// fits says whether texts can stand on one line whole.
func (t *texts) fits(room int, all ...api.Text) bool {
	for _, text := range all {
		out, whole := begin(string(text), room)
		if room -= cli.Width(out); !whole || room < 0 {
			return false
		}
	}
	return true
}

// begin is what can be shown of text in room characters. Of large values only the
// beginning is looked at.
func begin(text string, room int) (out string, whole bool) {
	head := text
	if most := utf8.UTFMax * room; len(head) > most {
		for head = text[:most]; len(head) > most-utf8.UTFMax && !endsWhole(head); head = head[:len(head)-1] {
		}
	}
	out = shownOf(head, len(text))
	if len(head) == len(text) && cli.Width(out) <= room {
		return out, true
	}
	runes := []rune(out)
	return string(runes[:min(room-1, len(runes))]) + "…", false
}

func endsWhole(text string) bool {
	r, size := utf8.DecodeLastRuneInString(text)
	return r != utf8.RuneError || size != 1
}

// shown is text as it is where it is plain, in quotes with escapes where a
// terminal would do something else with it, or the hexadecimal of what is no text.
func shown(text string) string { return shownOf(text, len(text)) }

func shownOf(text string, length int) string {
	switch {
	case !utf8.ValidString(text):
		return fmt.Sprintf("(binary, %s) % x", plural(length, "byte", "bytes"), text)
	case isPlain(text):
		return text
	}
	return strconv.Quote(text)
}

// isPlain tells text that nobody takes for anything else: it is not empty, has no
// space at its ends, and nothing that is not seen or turns what follows around.
func isPlain(text string) bool {
	if text == "" || strings.TrimSpace(text) != text || strings.HasPrefix(text, `"`) || strings.HasPrefix(text, "(") {
		return false
	}
	return strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// safe escapes, in words that may quote others, what a terminal would not print.
func safe(words string) string {
	var out strings.Builder
	for _, r := range words {
		if unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		out.WriteString(escaped(r))
	}
	return out.String()
}

func escaped(r rune) string {
	quoted := strconv.QuoteRuneToASCII(r)
	return quoted[1 : len(quoted)-1]
}

// guard stands before a terminal when a format for programs is printed there. It
// writes \u202e in place of what is not printed, which JSON reads as the same text.
type guard struct {
	out  io.Writer
	rest []byte // of a character that is not whole yet
}

func (g *guard) Write(p []byte) (int, error) {
	data := append(g.rest, p...)
	var out strings.Builder
	for len(data) > 0 && utf8.FullRune(data) {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == '\n', r == utf8.RuneError, unicode.IsPrint(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
		data = data[size:]
	}
	g.rest = append([]byte(nil), data...)
	_, err := io.WriteString(g.out, out.String())
	return len(p), err
}
