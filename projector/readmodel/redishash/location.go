package redishash

import "github.com/refold-dev/refold/projector/contract"

// layout says how a revision's entities are named. It is in the revision's
// ledger: who changes it makes another revision.
type layout struct {
	revision, prefix, cutover string
}

// shadow is what precedes the keys of entities while the revision is not the
// published one.
func (l layout) shadow() string {
	if l.pointed() {
		return l.prefix + "@" + l.revision + ":"
	}
	return "~" + l.revision + ":" + l.prefix
}

// public is what precedes them when it is.
func (l layout) public() string {
	if l.pointed() {
		return l.shadow()
	}
	return l.prefix
}

func (l layout) location(published bool) string {
	if published {
		return l.public()
	}
	return l.shadow()
}

func (l layout) pointed() bool { return l.cutover == contract.CutoverPointer }

// pointer is the key that names the published revision to readers; empty where
// there is none.
func (l layout) pointer() string {
	if l.pointed() {
		return l.prefix + "@active"
	}
	return ""
}
