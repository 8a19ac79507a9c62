package resources

import (
	"strings"

	"github.com/refold-dev/refold/controllers/plan"
)

// untilID is the last ID that until takes in: a time, and an ID that names a
// millisecond only, stand for the last ID of their millisecond.
func untilID(until string) string {
	if until == "" {
		return ""
	}
	id := plan.StartID(until)
	if ms, _, found := strings.Cut(id, "-"); found && !isFullID(until) {
		return ms + "-18446744073709551615"
	}
	return id
}

func isFullID(s string) bool {
	ms, seq, found := strings.Cut(s, "-")
	return found && strings.Trim(ms+seq, "0123456789") == ""
}
