package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Column is one column of a Table.
type Column struct {
	Name  string
	Right bool // numbers
	Spare int  // where there is no room columns go, those with the greatest Spare first; 0 stays
}

// Table is rows below a header.
type Table struct {
	Columns []Column
	Rows    [][]string
}

const gap = "   "

// Print writes the table within columns characters, 0 for no bound. Columns that
// hold nothing at all are left out.
func (t Table) Print(w io.Writer, columns int) error {
	widths := t.widths()
	t.fit(widths, columns)
	var header []string
	for _, c := range t.Columns {
		header = append(header, c.Name)
	}
	for _, row := range slices.Concat([][]string{header}, t.Rows) {
		if _, err := fmt.Fprintln(w, t.line(row, widths)); err != nil {
			return err
		}
	}
	return nil
}

func (t Table) widths() []int {
	out := make([]int, len(t.Columns))
	for _, row := range t.Rows {
		for i, cell := range row {
			out[i] = max(out[i], Width(cell))
		}
	}
	for i, c := range t.Columns {
		if out[i] > 0 || c.Spare == 0 {
			out[i] = max(out[i], Width(c.Name))
		}
	}
	return out
}

// fit gives columns that there is no room for no width.
func (t Table) fit(widths []int, columns int) {
	for columns > 0 {
		total, least := -len(gap), -1
		for i, width := range widths {
			if width == 0 {
				continue
			}
			total += width + len(gap)
			if t.Columns[i].Spare > 0 && (least < 0 || t.Columns[i].Spare > t.Columns[least].Spare) {
				least = i
			}
		}
		if total <= columns || least < 0 {
			return
		}
		widths[least] = 0
	}
}

func (t Table) line(row []string, widths []int) string {
	var cells []string
	for i, cell := range row {
		if widths[i] == 0 {
			continue
		}
		pad := strings.Repeat(" ", widths[i]-Width(cell))
		if t.Columns[i].Right {
			cells = append(cells, pad+cell)
			continue
		}
		cells = append(cells, cell+pad)
	}
	return strings.TrimRight(strings.Join(cells, gap), " ")
}

// least is how wide each column of a Fixed table is.
const least = 10

// Fixed is the table for rows that come one after another: columns are as wide
// as may be needed later, and those that are empty now stay.
func (t Table) Fixed() Fixed {
	out := Fixed{table: t, widths: t.widths()}
	for i := range out.widths {
		if t.Columns[i].Spare < hidden {
			out.widths[i] = max(out.widths[i], Width(t.Columns[i].Name), least)
		}
	}
	return out
}

// hidden is the Spare from which on an empty column does not come back.
const hidden = 5

// Fixed is a table whose rows are printed one by one.
type Fixed struct {
	table  Table
	widths []int
}

// Header is the line of names.
func (f Fixed) Header() string {
	var names []string
	for _, c := range f.table.Columns {
		names = append(names, c.Name)
	}
	return f.table.line(names, f.widths)
}

// Row is the line of row i.
func (f Fixed) Row(i int) string { return f.table.line(f.table.Rows[i], f.widths) }

// Len is how many rows there are.
func (f Fixed) Len() int { return len(f.table.Rows) }
