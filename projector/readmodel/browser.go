package readmodel

import (
	"context"

	"github.com/refold-dev/refold/projector"
)

// Browser looks at the revisions that a store holds, for people who ask. It
// claims nothing and writes nothing: writers fold on meanwhile. Its errors are
// ErrNoRevision, the context's, or faults. A Store may be one; its methods may be
// called from several goroutines at once.
type Browser interface {
	// Revisions is the Store's.
	Revisions(ctx context.Context, projection string) ([]Revision, error)

	// Keys lists a revision's entities, page by page and in no order. A page may
	// hold few or none although another one follows. An entity that is there all
	// the while is listed; one may be listed twice while others come and go. A
	// place that Keys did not return is ErrBadPlace.
	Keys(ctx context.Context, projection, revision string, what Listing) (Page, error)

	// Read gives each what the revision holds of one entity after another, in the
	// order of the keys. It may be as large as entities are: a Row is each's to
	// keep, and read on only when each has returned. Its error ends it.
	Read(ctx context.Context, projection, revision string, keys []string, each func(Row) error) error

	// Look reads an entity as several revisions hold it, and how far each of them
	// has folded the entity's events, all at one moment.
	Look(ctx context.Context, projection string, revisions []string, key string) ([]Seen, error)
}

// Listing is what a page of keys is to be.
type Listing struct {
	Prefix string // of the keys
	After  string // where a former page ended, "" for the first
	Limit  int    // at most so many keys
	// Within is about how many keys may be looked at, some of each lane, 0 for as
	// many as seems right.
	Within int
	// GiveWay is called between commands, so that others get their turn; its error
	// ends it. nil: nothing is waited for.
	GiveWay func(context.Context) error
}

// Page is some of a revision's keys.
type Page struct {
	Keys []string
	Next string // where the next one begins; "" when there is none
}

// Row is an entity as its readers see it.
type Row struct {
	Key    string
	Exists bool
	// Fields are the declared fields that are set, by name, as text. An entity may
	// exist with none, which readers of the store may not see.
	Fields map[string]string
}

// Seen is a Row and how far it is folded.
type Seen struct {
	Row
	Position projector.ID
}
