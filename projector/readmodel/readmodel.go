// Package readmodel is what the engine asks of a store: to claim a partition,
// load entities, commit them together with the position, and drop what was
// built. Stores live in folders below; conformance tests all of them alike. A
// store retries nothing and starts no goroutine that outlives a call: retry,
// backoff and shutdown are the engine's.
package readmodel

import (
	"context"
	"errors"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// Lanes is how many lanes a partition has. A lane is a share of the entities, by
// their keys, with a position of its own: see Checkpoint.
const Lanes = 64

// LaneOf is the lane of an entity: FNV-1a, 64 bits, of its key, modulo Lanes
// (G. Fowler, L. C. Noll, K.-P. Vo, 1991). It is part of the ledger's format.
func LaneOf(key string) int {
	hash := uint64(14695981039346656037)
	for i := range len(key) {
		hash = (hash ^ uint64(key[i])) * 1099511628211
	}
	return int(hash % Lanes)
}

// Mark is how far a log is folded.
type Mark struct {
	Position projector.ID // the last ID whose effect is in the read model
	Entries  int64        // the position's ordinal in the stream, -1 while unknown
	Events   int64        // folded up to there into this revision
}

// Checkpoint is what the ledger knows of one partition. Far behind the tail,
// where an entity is best written once for the many events that changed it, the
// lanes are committed one after another: each entity is then exactly as far as
// its lane, and Mark is the lane that is the least far. At the tail all are at
// Mark, and Lanes is nil.
type Checkpoint struct {
	Mark
	Lanes *[Lanes]Mark
	Epoch int64 // the claim that holds the partition
	Empty bool  // as claimed: the store knows no entity of the revision

	// Published says, as claimed, that the revision is the one that readers read.
	Published bool
	// Publication, as claimed, counts the revisions that were published, one after
	// another, in this read model.
	Publication int64
	// Until, as claimed, is the last ID that may be folded before the partition
	// is claimed again; nil for no bound. See Compare and Promote.
	Until *projector.ID
}

// Claim says who wants a partition of which revision.
type Claim struct {
	Projection string // "namespace/name"
	UID        string
	Revision   string
	Partition  int
	Start      projector.ID // the position of a revision that has no ledger yet
	Source     string       // names the log: two revisions of one log have positions in common
	// Until is the last ID that the revision ever folds; nil for no end.
	Until *projector.ID
	// Held is the epoch of this process's last claim of the partition, 0 for
	// its first. A ledger above it belongs to a successor: ErrFenced.
	Held int64
}

// Revision is one that the ledger knows.
type Revision struct {
	Name      string
	Source    string // as it was claimed
	Published bool
}

// Entity is one entity that is to be written. Its state tells what of it the
// store does not hold yet.
type Entity struct {
	Key   string
	State *projector.State
}

// Transaction is what one commit writes, encoded. It belongs to the Partition
// that prepared it.
type Transaction any

// AlteredError is returned by a commit that went well, but found that entities
// were not in the store as they had been left there. The caller doubts their
// states and commits them again.
type AlteredError struct {
	Keys []string
	Err  error // a *fault.Error that says it
}

func (e *AlteredError) Error() string { return e.Err.Error() }
func (e *AlteredError) Unwrap() error { return e.Err }

// Sentinels, matched with errors.Is. Every other error of a store is a
// *fault.Error with a reason and a verdict; after one, the partition is
// claimed again before anything else is done with it, but for AlteredError.
var (
	// ErrFenced: a later claim holds the partition; nothing was written.
	// The caller stops: it must not claim again by itself.
	ErrFenced = errors.New("a later claim holds the partition")
	// ErrOutcomeUnknown: the commit may or may not have happened (a lost
	// reply). The caller asks Position, and knows.
	ErrOutcomeUnknown = errors.New("the commit's reply was lost")
	// ErrNoRevision: the ledger knows no such revision.
	ErrNoRevision = errors.New("the read model holds no such revision")
	// ErrBadPlace: Browser.Keys did not return such a place.
	ErrBadPlace = errors.New("there is no such place in a list of keys")
)

// Store is a read model that a revision is folded into.
type Store interface {
	// Claim raises the partition's epoch and returns the checkpoint, in one
	// step; it makes the ledger if the revision is new. The first revision is
	// published at once, as is one that comes after one that has folded nothing;
	// any other is built in storage of its own, which readers do not see. It fails
	// with ReasonNotOwned when what stands there is not Refold's, and, for as long
	// as the revision is to stand still, with the transient ReasonHeld or
	// ReasonCuttingOver. A process claims a partition again after a fault with
	// Held set, so that it never takes it back from a successor, nor makes a
	// revision anew that was dropped: ErrFenced; the former Partition is then no
	// longer used.
	Claim(ctx context.Context, c Claim) (Partition, Checkpoint, error)

	// Compare counts what publishing the candidate would change for readers, both
	// folded up to one ID. While it looks at the last of it both stand still: by a
	// lease, which ends by itself. ReasonNotComparable: they do not get to one ID.
	Compare(ctx context.Context, projection, candidate string) (contract.Diff, error)

	// Promote makes a revision the published one. It may be run again at any
	// time, also while another run is under way, and goes on with one that died;
	// until one ends well, writers of the two revisions stand still once the
	// point of no return is passed; from there on Cutover.From is set, also beside
	// an error. A Cutover beside an error is the zero value where nothing was
	// touched, and names To alone where that is not known. A revision that is behind the published one,
	// and does not come up to it within seconds, is a transient fault.
	Promote(ctx context.Context, projection, revision string) (contract.Cutover, error)

	// DropRevision removes a revision's entities and ledger, but never those of
	// the published one: only with published, which leaves none published.
	// It may be run again at any time, and succeeds for one that is not there.
	DropRevision(ctx context.Context, projection, revision string, published bool) error

	// Drop removes every entity that the projection published, and its ledger.
	// With keep it leaves the published revision's: the ledger says how far the
	// entities are folded, and a Projection of the same name and revision goes on
	// from there. It removes nothing that Refold did not create, may be run again
	// at any time and blocks the server for no longer than a bounded batch.
	Drop(ctx context.Context, projection string, keep bool) error

	// Revisions lists what the ledger knows, the published one first.
	Revisions(ctx context.Context, projection string) ([]Revision, error)

	// Close frees connections. No call may be under way.
	Close() error
}

// Partition is a claimed partition. Load, Prepare and Position are used by one
// goroutine at a time, Commit by one other.
type Partition interface {
	// Load fills states[i], of which nothing is known, with the entity keys[i],
	// in few round trips, and marks it as stored. An entity that is not there is
	// left as one that does not exist. No transaction with one of the keys may
	// be under way. A key that is taken by something not Refold's is
	// ReasonNotOwned, naming it.
	Load(ctx context.Context, keys []string, states []*projector.State) error

	// Prepare encodes a commit of the entities and the checkpoint, and does no
	// I/O. It keeps no reference to the states, nor changes them: the caller
	// marks them as stored. next.Epoch must be the claim's.
	Prepare(changed []Entity, next Checkpoint) Transaction

	// Commit writes all of a transaction or nothing of it. Transactions are
	// committed in the order in which they were prepared, each once.
	Commit(ctx context.Context, t Transaction) error

	// Position reads the checkpoint as it is now. Its Epoch tells whether the
	// claim still holds.
	Position(ctx context.Context) (Checkpoint, error)
}
