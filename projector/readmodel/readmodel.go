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
)

// Checkpoint is what the ledger knows of one partition.
type Checkpoint struct {
	Position projector.ID // the last ID whose effect is in the read model
	Entries  int64        // the position's ordinal in the stream, -1 while unknown
	Events   int64        // folded so far into this revision
	Epoch    int64        // the claim that holds the partition
}

// Claim says who wants a partition of which revision.
type Claim struct {
	Projection string // "namespace/name"
	UID        string
	Revision   string
	Partition  int
	Start      projector.ID // the position of a revision that has no ledger yet
	// Held is the epoch of this process's last claim of the partition, 0 for
	// its first. A ledger above it belongs to a successor: ErrFenced.
	Held int64
}

// Entity is one entity's key and what is to be written of it.
type Entity struct {
	Key   string
	State *projector.State // as it shall be
	// Stored is the state as it was last loaded or committed; nil, or one that
	// does not exist, for an entity that is not in the store. A store writes
	// the difference.
	Stored *projector.State
}

// Sentinels, matched with errors.Is. Every other error of a store is a
// *fault.Error with a reason and a verdict; after one, the partition is
// claimed again before anything else is done with it.
var (
	// ErrFenced: a later claim holds the partition; nothing was written.
	// The caller stops: it must not claim again by itself.
	ErrFenced = errors.New("a later claim holds the partition")
	// ErrOutcomeUnknown: the commit may or may not have happened (a lost
	// reply). The caller asks Position, and knows.
	ErrOutcomeUnknown = errors.New("the commit's reply was lost")
)

// Store is a read model that a revision is folded into.
type Store interface {
	// Claim raises the partition's epoch and returns the checkpoint, in one
	// step; it makes the ledger if the revision is new. It fails with
	// ReasonReplayNeeded when the model was folded by another revision (one that
	// has folded no event yet gives way), and ReasonNotOwned when what stands
	// there is not Refold's. A process claims a partition again after a fault
	// with Held set, so that it never takes it back from a successor; the
	// former Partition is then no longer used.
	Claim(ctx context.Context, c Claim) (Partition, Checkpoint, error)

	// Drop removes every entity that the projection published, and its ledger.
	// With keep it removes neither: the ledger says how far the entities are
	// folded, and a Projection of the same name and revision goes on from
	// there. It removes nothing that Refold did not create, may be run again
	// at any time and blocks the server for no longer than a bounded batch.
	Drop(ctx context.Context, projection string, keep bool) error

	// Close frees connections. No call may be under way.
	Close() error
}

// Partition is a claimed partition. It is used by one goroutine at a time.
type Partition interface {
	// Load fills states[i] with the entity keys[i], in few round trips. An
	// entity that is not there is left as one that does not exist. A key that
	// is taken by something not Refold's is ReasonNotOwned, naming it.
	Load(ctx context.Context, keys []string, states []*projector.State) error

	// Commit writes the entities and the checkpoint together or not at all. The
	// store keeps no reference to its arguments. next.Epoch must be the claim's.
	Commit(ctx context.Context, changed []Entity, next Checkpoint) error

	// Position reads the checkpoint as it is now. Its Epoch tells whether the
	// claim still holds.
	Position(ctx context.Context) (Checkpoint, error)
}
