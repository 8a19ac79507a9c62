package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// Target is the set of keys that a read model owns: every key of one database
// that begins with Prefix.
type Target struct {
	Database string // host:port/number
	Prefix   string
}

func (t Target) String() string { return fmt.Sprintf("%s with the prefix %q", t.Database, t.Prefix) }

// NewTarget is the target of a URL and a key prefix.
func NewTarget(url v1alpha1.URL, prefix string) Target {
	_, database, _ := strings.Cut(string(NormalURL(url)), "://")
	return Target{Database: database, Prefix: prefix}
}

// TargetOf is the target that a spec names.
func TargetOf(spec *v1alpha1.ProjectionSpec) Target {
	hash := &spec.ReadModel.RedisHash
	if hash.URL == "" {
		return NewTarget(spec.Source.Redis.URL, hash.KeyPrefix)
	}
	return NewTarget(hash.URL, hash.KeyPrefix)
}

// Overlaps tells whether some key belongs to both.
func (t Target) Overlaps(other Target) bool {
	return t.Database == other.Database &&
		(strings.HasPrefix(t.Prefix, other.Prefix) || strings.HasPrefix(other.Prefix, t.Prefix))
}

// Claim is one Projection's wish for a target.
type Claim struct {
	Projection string // "namespace/name"
	Created    time.Time
	Target     Target
	Held       bool // its projector has claimed the read model there
}

// Rival returns the Projection that keeps mine from its target, "" if none does.
// Who holds a target keeps it, else who came first; so an edit never takes
// another's keys, and of two that never started the later one waits.
func Rival(mine Claim, others []Claim) string {
	first := mine
	for _, other := range others {
		if other.Projection != mine.Projection && mine.Target.Overlaps(other.Target) && precedes(other, first) {
			first = other
		}
	}
	if first.Projection == mine.Projection {
		return ""
	}
	return first.Projection
}

func precedes(a, b Claim) bool {
	if a.Held != b.Held {
		return a.Held
	}
	if !a.Created.Equal(b.Created) {
		return a.Created.Before(b.Created)
	}
	return a.Projection < b.Projection
}
