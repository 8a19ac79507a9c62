package redishash

import (
	"errors"
	"fmt"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

func foreignLedger(key string, cause error) error {
	return &fault.Error{
		Reason:    contract.ReasonNotOwned,
		Message:   fmt.Sprintf("the key %q holds something that Refold did not write; its ledger belongs there", key),
		Remedy:    "rename or delete that key, or give the Projection another name; it is looked at again by itself",
		Permanent: true,
		Err:       cause,
	}
}

// ledgerGone is for a ledger that was there when the partition was claimed.
// Claiming again tells whether it can be made anew.
func ledgerGone(key string) error {
	return &fault.Error{
		Reason:  contract.ReasonNotOwned,
		Message: fmt.Sprintf("the ledger %q was removed or changed by something else while it was in use", key),
		Remedy:  "nothing: the partition is claimed again; find out what changes the read model's ledger",
	}
}

func foreignEntity(key string) error {
	return &fault.Error{
		Reason:    contract.ReasonNotOwned,
		Message:   fmt.Sprintf("the key %q exists and was not made by this Projection", key),
		Remedy:    "rename or delete that key, or choose another readModel.redisHash.keyPrefix; it is looked at again by itself",
		Permanent: true,
	}
}

// foreignPlace is for an entity that is published no more, and of which one of
// two keys is not ours: it cannot be told which.
func foreignPlace(public, aside string) error {
	return &fault.Error{
		Reason:    contract.ReasonNotOwned,
		Message:   fmt.Sprintf("the keys %q and %q both exist, and one of them was not made by this Projection", public, aside),
		Remedy:    "rename the one that is somebody else's; it is looked at again by itself",
		Permanent: true,
	}
}

func changedByHand(key, what string) error {
	return &fault.Error{
		Reason:    contract.ReasonNotOwned,
		Message:   fmt.Sprintf("the key %q was changed by something other than Refold: %s", key, what),
		Remedy:    "put back what was there, or delete the Projection with deletionPolicy Delete and create it again",
		Permanent: true,
	}
}

// errPartial marks a commit of which not all was written.
var errPartial = errors.New("the transaction was executed in part")

func partial(format, what string) error {
	f := broken(fmt.Sprintf(format, what))
	f.Err = errPartial
	return f
}

func broken(message string) *fault.Error {
	return &fault.Error{
		Reason:    contract.ReasonNotOwned,
		Message:   message,
		Remedy:    "delete the Projection with deletionPolicy Delete and create it again: its read model is not exact any more; find out what writes to its keys",
		Permanent: true,
	}
}

// altering is for an entity that was not in the server as it was left there.
func altering(key string) error {
	return &fault.Error{
		Reason:  contract.ReasonNotOwned,
		Message: fmt.Sprintf("the key %q was changed or removed by something other than Refold", key),
		Remedy:  "nothing: it is written anew. Find out what changes it; the Redis' maxmemory-policy must be noeviction",
	}
}

// vanished is for an entity of which Redis has nothing left. Folding on would
// take it for one that never had a field.
func vanished(key string) error {
	return &fault.Error{
		Reason:    contract.ReasonNotOwned,
		Message:   fmt.Sprintf("the key %q was removed by something other than Refold: deleted, expired or evicted", key),
		Remedy:    "put back what was there, or delete the Projection with deletionPolicy Delete and create it again; set the Redis' maxmemory-policy to noeviction",
		Permanent: true,
	}
}

func replayNeeded(message string) error {
	return &fault.Error{
		Reason:    contract.ReasonReplayNeeded,
		Message:   message,
		Remedy:    "revert the change, or delete the Projection with deletionPolicy Delete and create it again",
		Permanent: true,
	}
}

func heldStill() error {
	return &fault.Error{
		Reason:  contract.ReasonHeld,
		Message: "a Job compares two revisions, or is about to publish one, and has this one stand still",
		Remedy:  "nothing: it goes on within seconds, also without the Job",
	}
}

func cuttingOver() error {
	return &fault.Error{
		Reason:  contract.ReasonCuttingOver,
		Message: "a Job swaps the published revision for another",
		Remedy:  "nothing: it goes on when the Job is done; a Job that died is run again",
	}
}

func stillGoing() error {
	return &fault.Error{
		Reason:  contract.ReasonHeld,
		Message: "what an earlier revision has left in its place is being removed",
		Remedy:  "nothing: it goes on when the Job that removes it is done",
	}
}

// notComparable is for two revisions that don't get to one ID.
func notComparable(message string, permanent bool) error {
	return &fault.Error{
		Reason:    contract.ReasonNotComparable,
		Message:   message,
		Remedy:    "see why that revision's projector does not fold (its status says so); then it is tried again",
		Permanent: permanent,
	}
}

// takenOver is for a Job that another one goes on for.
func takenOver() error {
	return &fault.Error{
		Reason:  contract.ReasonCuttingOver,
		Message: "another Job has taken the cutover over",
		Remedy:  "nothing: it is run again, and finds the cutover done or goes on with it",
	}
}

// unknownRevision is for one that the ledger does not name.
func unknownRevision(revision string) error {
	return &fault.Error{
		Reason:    contract.ReasonReplayNeeded,
		Message:   fmt.Sprintf("the read model has no revision %s", revision),
		Remedy:    "let its projector claim the read model first",
		Permanent: true,
	}
}
