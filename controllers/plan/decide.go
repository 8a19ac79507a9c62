package plan

import (
	"fmt"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

// Input is everything a decision rests on.
type Input struct {
	Desired string // the revision that the spec names
	Active  string // the revision that has claimed the read model, "" if none has
	Folded  Folded // whether the active revision has folded events
	Refused bool   // the read model has refused the desired revision before
	Invalid *Fault // why the spec cannot be run at all
	Rival   string // the "namespace/name" that has the desired target, "" if none
	Target  Target // what the spec keeps, for messages
	Suspend bool
}

// Folded is what is known of the active revision's events.
type Folded int

// Values of Folded.
const (
	FoldedNothing    Folded = iota // its ledger says so, just now
	FoldedNothingYet               // so it was when it was last seen
	FoldedSome
)

// Fault is why a spec is not run, and what to do about it.
type Fault struct{ Reason, Message string }

// Decision is what must run.
type Decision struct {
	Run      string // the revision to run, "" for none
	Own      bool   // by its own contract, not by the spec's
	Replicas int32
	Fault    *Fault // why it is not what the spec says; nil if it is
}

// policies are asked in order; the first that objects is heard.
var policies = []func(Input) *Fault{invalidSpec, targetConflict, replayNeeded}

// Decide says what must run: the spec's revision, unless something speaks
// against it; then the revision that is active goes on unchanged, if there is one.
func Decide(in Input) Decision {
	decision := Decision{Run: in.Desired, Replicas: 1}
	if in.Suspend {
		decision.Replicas = 0
	}
	for _, policy := range policies {
		if fault := policy(in); fault != nil {
			decision.Run, decision.Fault = in.Active, fault
			break
		}
	}
	decision.Own = decision.Run != "" && decision.Run != in.Desired
	return decision
}

func invalidSpec(in Input) *Fault { return in.Invalid }

func targetConflict(in Input) *Fault {
	if in.Rival == "" {
		return nil
	}
	return &Fault{v1alpha1.ReasonTargetConflict, fmt.Sprintf(
		"Projection %s keeps keys of %s already, and two must not write the same keys. Choose another readModel.redisHash.keyPrefix or database, or delete the other one; this one then starts by itself.",
		in.Rival, in.Target)}
}

// replayNeeded objects to folding two revisions into one model: the result
// would be the fold of neither.
func replayNeeded(in Input) *Fault {
	if in.Active == "" || in.Active == in.Desired {
		return nil
	}
	if in.Folded == FoldedNothing || in.Folded == FoldedNothingYet && !in.Refused {
		return nil
	}
	return &Fault{contract.ReasonReplayNeeded, fmt.Sprintf(
		"source, reducer or readModel has changed, and revision %s has folded events into this read model already. It goes on unchanged. Put the old spec back, or make another Projection with a keyPrefix of its own for the new one.",
		in.Active)}
}
