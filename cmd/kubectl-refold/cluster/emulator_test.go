package cluster

import (
	"os"
	"regexp"
	"strings"
	"sync"
)

// emulator is as much of a terminal as the program needs: cursor up, erase, and
// lines that scroll.
type emulator struct {
	mu         sync.Mutex
	rows, cols int
	lines      [][]rune
	row, col   int
	all        strings.Builder
	rest       string
}

func newEmulator(rows, cols int) *emulator {
	e := &emulator{}
	e.resize(rows, cols)
	return e
}

func (e *emulator) resize(rows, cols int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rows, e.cols, e.row, e.col = rows, cols, min(e.row, rows-1), 0
	lines := make([][]rune, rows)
	copy(lines, e.lines)
	e.lines = lines
}

func (e *emulator) read(from *os.File) {
	chunk := make([]byte, 4096)
	for {
		n, err := from.Read(chunk)
		if err != nil {
			return
		}
		e.mu.Lock()
		e.all.Write(chunk[:n])
		e.rest = e.take(e.rest + string(chunk[:n]))
		e.mu.Unlock()
	}
}

var escape = regexp.MustCompile(`^\x1b\[(\??)([0-9]*)([A-Za-z])`)

// take plays text and returns what is cut off in the middle.
func (e *emulator) take(text string) string {
	for text != "" {
		if text[0] == '\x1b' {
			m := escape.FindStringSubmatch(text)
			if m == nil {
				return text
			}
			e.control(m[2], m[3])
			text = text[len(m[0]):]
			continue
		}
		r := []rune(text)[0]
		if r == '\uFFFD' && len(text) < 4 {
			return text
		}
		e.put(r)
		text = text[len(string(r)):]
	}
	return ""
}

func (e *emulator) control(number, letter string) {
	switch letter {
	case "F":
		n := 0
		for _, d := range number {
			n = n*10 + int(d-'0')
		}
		e.row, e.col = max(0, e.row-n), 0
	case "H":
		e.row, e.col = 0, 0
	case "K":
		e.lines[e.row] = e.lines[e.row][:min(e.col, len(e.lines[e.row]))]
	case "J":
		if number == "2" {
			e.lines = make([][]rune, e.rows)
			return
		}
		e.lines[e.row] = e.lines[e.row][:min(e.col, len(e.lines[e.row]))]
		for i := e.row + 1; i < e.rows; i++ {
			e.lines[i] = nil
		}
	}
}

func (e *emulator) put(r rune) {
	switch r {
	case '\r':
		e.col = 0
		return
	case '\n':
		if e.row++; e.row == e.rows {
			e.row--
			e.lines = append(e.lines[1:], nil)
		}
		e.col = 0
		return
	}
	if e.col >= e.cols {
		e.put('\n')
	}
	for len(e.lines[e.row]) <= e.col {
		e.lines[e.row] = append(e.lines[e.row], ' ')
	}
	e.lines[e.row][e.col] = r
	e.col++
}

func (e *emulator) text() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out strings.Builder
	for _, line := range e.lines {
		out.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	return out.String()
}

func (e *emulator) raw() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all.String()
}
