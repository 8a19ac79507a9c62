package cluster

import (
	"fmt"
	"strings"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
)

// screen draws a text again and again in the same place of a terminal.
type screen struct {
	f             *cli.Factory
	last          string
	lines         int
	columns, rows int
}

// newScreen hides the cursor until close.
func newScreen(f *cli.Factory) *screen {
	fmt.Fprint(f.Streams.Out, "\x1b[?25l")
	return &screen{f: f, columns: f.Columns(), rows: f.Rows()}
}

func (v *screen) close() { fmt.Fprint(v.f.Streams.Out, "\x1b[?25h") }

// draw puts text in the place of what was drawn last. After a change of the
// terminal's size nobody knows where that is: all is cleared.
func (v *screen) draw(text string) {
	columns, rows := v.f.Columns(), v.f.Rows()
	resized := columns != v.columns || rows != v.rows
	text = fit(text, columns, rows)
	if text == v.last && !resized {
		return
	}
	var out strings.Builder
	switch {
	case resized:
		out.WriteString("\x1b[H\x1b[2J")
	case v.lines > 0:
		fmt.Fprintf(&out, "\x1b[%dF", v.lines)
	}
	out.WriteString(strings.ReplaceAll(text, "\n", "\x1b[K\n"))
	out.WriteString("\x1b[J")
	fmt.Fprint(v.f.Streams.Out, out.String())
	v.last, v.lines = text, strings.Count(text, "\n")
	v.columns, v.rows = columns, rows
}

// fit cuts text to what a terminal shows at once: what has scrolled away cannot
// be drawn again.
func fit(text string, columns, rows int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if rows > 2 && len(lines) > rows-1 {
		left := len(lines) - (rows - 2)
		lines = append(lines[:rows-2], fmt.Sprintf("… %d more lines: make the window taller", left))
	}
	for i := range lines {
		lines[i] = cli.Clip(lines[i], columns)
	}
	return strings.Join(lines, "\n") + "\n"
}
