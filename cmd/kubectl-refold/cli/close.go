package cli

import (
	"fmt"
	"slices"
	"strings"
)

// maxClose is how many names are proposed.
const maxClose = 5

// Close are the names that somebody may have meant by name, the closest first.
func Close(name string, names []string) []string {
	type found struct {
		name     string
		distance int
	}
	var near []found
	for _, candidate := range names {
		d := distance(strings.ToLower(name), strings.ToLower(candidate))
		if name != "" && strings.Contains(candidate, name) {
			d = min(d, 1)
		}
		if d <= max(2, len(name)/3) {
			near = append(near, found{candidate, d})
		}
	}
	slices.SortStableFunc(near, func(a, b found) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return strings.Compare(a.name, b.name)
	})
	var out []string
	for _, f := range near[:min(len(near), maxClose)] {
		out = append(out, f.name)
	}
	return out
}

// DidYouMean is the line that proposes names, or otherwise if there are none.
func DidYouMean(names []string, otherwise string) string {
	if len(names) == 0 {
		return otherwise
	}
	return fmt.Sprintf("did you mean %s?", strings.Join(names, " or "))
}

// distance is Levenshtein's: how many characters to insert, remove or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := left
			if a[i] != b[j] {
				cost++
			}
			left = row[j+1]
			row[j+1] = min(cost, row[j]+1, left+1)
		}
	}
	return row[len(b)]
}
