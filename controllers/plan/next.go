package plan

import "github.com/refold-dev/refold/api/v1alpha1"

// Next says what must be. This is a first cut for its callers to compile with:
// it runs the desired revision, and the active one beside it.
func Next(in Input) Decision {
	d := Decision{Active: in.Active, Phase: PhaseBuilding}
	replicas := int32(1)
	if in.Spec.Suspend {
		replicas = 0
	}
	if in.Active != "" {
		d.Revisions = append(d.Revisions, Step{Name: in.Active, State: v1alpha1.RevisionActive, Run: true, Replicas: replicas})
		d.Phase = PhaseSteady
	}
	if in.Desired != in.Active && in.Invalid == nil {
		d.Revisions = append(d.Revisions, Step{Name: in.Desired, State: v1alpha1.RevisionBuilding, Run: true, Replicas: replicas})
		d.Phase = PhaseReplaying
	}
	return d
}
