// Package change says what applying a manifest would do to a Projection: which
// class of change it is and why, what it reads and builds, how long that takes,
// and what to think of before. It is pure: it is given both objects, and asks
// nobody. What it says follows controllers/plan, which decides when it happens.
package change

import (
	"time"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
)

// Class is what a change comes to.
type Class string

// Values of Class.
const (
	Nothing    Class = "Nothing"    // it says the same
	Settings   Class = "Settings"   // nothing restarts
	Pods       Class = "Pods"       // pods are rolled, stopped or started; no event is folded twice
	FirstBuild Class = "FirstBuild" // history is folded for the first time
	Replaces   Class = "Replaces"   // the active revision has folded nothing, and gives way
	Continues  Class = "Continues"  // this revision is being built already
	CallsOff   Class = "CallsOff"   // back to what readers read: what is being built is removed
	Rollback   Class = "Rollback"   // back to a retained revision: a switch and no replay
	Replay     Class = "Replay"     // a new revision is built beside the active one
	InPlace    Class = "InPlace"    // the read model is emptied and folded anew
	Move       Class = "Move"       // a new revision is built on another server or database
	Refused    Class = "Refused"    // a replay that the operator will not begin
)

// Replays tells classes that fold a history again that was folded before, or
// would.
func (c Class) Replays() bool {
	return c == Replay || c == InPlace || c == Move || c == Refused
}

// Plan is what applying a manifest would do.
type Plan struct {
	Projection string  `json:"projection"`
	Class      Class   `json:"class"`
	Replays    bool    `json:"replays"`
	Why        string  `json:"why"`
	Changes    []Field `json:"changes"`
	Revision   string  `json:"revision"`
	Active     string  `json:"activeRevision,omitempty"` // what readers read now

	Reads  *Reads   `json:"reads,omitempty"` // not set where no history is read
	Builds string   `json:"builds,omitempty"`
	Then   []string `json:"then,omitempty"` // what follows, in its order

	Warnings []string `json:"warnings,omitempty"`
	Notes    []string `json:"notes,omitempty"`
}

// Reads is the history that is folded.
type Reads struct {
	Server string `json:"server"`
	Stream string `json:"stream"`
	From   string `json:"from"`
	Until  string `json:"until,omitempty"`
	// Events is how many there are, about; not set while unknown.
	Events *int64 `json:"events,omitempty"`
	// EventsPerSecond is how fast they are folded, about, and RateOf whose speed that
	// is; not set while unknown.
	EventsPerSecond int64  `json:"eventsPerSecond,omitempty"`
	RateOf          string `json:"rateOf,omitempty"`
	Seconds         *int64 `json:"seconds,omitempty"`
}

// Field is one value that changes, and what that does.
type Field struct {
	Path   string  `json:"path"`
	Old    *string `json:"old,omitempty"` // nil: not there
	New    *string `json:"new,omitempty"`
	Effect Effect  `json:"effect"`
}

// Effect is what the change of one field does.
type Effect string

// Values of Effect, the greatest first.
const (
	EffectReplay  Effect = "replay"   // it is part of the revision
	EffectPods    Effect = "pods"     // pods are rolled, stopped or started
	EffectNothing Effect = "settings" // nothing restarts
	EffectNone    Effect = "none"     // another spelling of the same
)

// Input is what a plan is made from.
type Input struct {
	New *v1alpha1.Projection
	Old *v1alpha1.Projection // nil: there is none yet
	// Live says whether Old is of a cluster, with a status that says something.
	Live bool
	Now  time.Time
}

// Make plans one change.
func Make(in Input) Plan {
	in.Live = in.Live && in.Old != nil
	m := &maker{Input: in, spec: plan.Defaulted(in.New.Spec)}
	m.out = Plan{Projection: in.New.Namespace + "/" + in.New.Name, Revision: plan.Revision(in.New.Spec), Changes: []Field{}}
	if in.Old != nil {
		m.old = plan.Defaulted(in.Old.Spec)
		m.out.Changes = fields(m.old, m.spec)
		m.out.Active = m.activeName()
	}
	m.classify()
	m.out.Replays = m.out.Class.Replays()
	m.describe()
	m.warn()
	return m.out
}

type maker struct {
	Input
	spec, old v1alpha1.ProjectionSpec // defaulted
	out       Plan
}

// activeName is what readers read: of a manifest alone, what it folds.
func (m *maker) activeName() string {
	if m.Live {
		return m.Old.Status.ActiveRevision
	}
	return plan.Revision(m.Old.Spec)
}

func (m *maker) revision(name string) *v1alpha1.RevisionStatus {
	for i := range m.Old.Status.Revisions {
		if m.Old.Status.Revisions[i].Name == name {
			return &m.Old.Status.Revisions[i]
		}
	}
	return nil
}

func (m *maker) is(class Class, why string) { m.out.Class, m.out.Why = class, why }

// classify asks in the order in which the operator decides.
func (m *maker) classify() {
	switch {
	case m.Old == nil:
		m.is(FirstBuild, "there is no such Projection yet")
	case m.out.Revision == m.out.Active:
		m.sameRevision()
	case m.out.Active == "":
		m.is(FirstBuild, "no revision is read yet")
	case m.Live && m.givesWay():
		m.is(Replaces, "the active revision has folded nothing")
	case m.Live && m.underWay():
		m.is(Continues, "this revision is being built already")
	case m.Live && m.retained():
		m.is(Rollback, "this revision was read before, and is still kept up")
	case m.Live && m.historyLacks():
		m.is(Refused, "the stream has lost its beginning, so a replay would miss what is gone")
	case m.moved():
		m.is(Move, "the read model goes to another server or database")
	case m.spec.Replay.Strategy == v1alpha1.ReplayInPlace:
		m.is(InPlace, m.cause())
	default:
		m.is(Replay, m.cause())
	}
}

// cause tells a replay that is asked for from one of another fold.
func (m *maker) cause() string {
	asked := m.New.Spec.DeepCopy()
	asked.Replay.Trigger = m.old.Replay.Trigger
	if plan.Revision(*asked) == plan.Revision(m.old) {
		return "replay.trigger asks for it, and the fold is the same"
	}
	return "source, reducer or readModel fold something else"
}

func (m *maker) sameRevision() {
	class, why := Nothing, "it says the same"
	for _, f := range m.out.Changes {
		switch {
		case f.Effect == EffectPods:
			class, why = Pods, "nothing of it is part of the fold"
		case f.Effect == EffectNothing && class == Nothing:
			class, why = Settings, "nothing of it concerns a pod"
		case f.Effect == EffectNone && class == Nothing:
			why = "it is another spelling of the same"
		}
	}
	if m.Live && len(m.candidates()) > 0 {
		class, why = CallsOff, "it goes back to the revision that readers read"
	}
	m.is(class, why)
}

// candidates are revisions that are being built.
func (m *maker) candidates() (names []string) {
	for _, r := range m.Old.Status.Revisions {
		if isCandidate(r.State) && r.Name != m.Old.Status.ActiveRevision {
			names = append(names, r.Name)
		}
	}
	return names
}

func isCandidate(state v1alpha1.RevisionState) bool {
	switch state {
	case v1alpha1.RevisionBuilding, v1alpha1.RevisionVerifying, v1alpha1.RevisionHeld, v1alpha1.RevisionPromoting:
		return true
	}
	return false
}

func (m *maker) givesWay() bool {
	r := m.revision(m.out.Revision)
	return m.Old.Status.Events == 0 && m.Old.Status.LastAckedID == "" && (r == nil || isCandidate(r.State)) && !m.moved()
}

func (m *maker) underWay() bool {
	r := m.revision(m.out.Revision)
	return r != nil && isCandidate(r.State)
}

func (m *maker) retained() bool {
	r := m.revision(m.out.Revision)
	return r != nil && r.State == v1alpha1.RevisionRetained
}

func (m *maker) moved() bool {
	return plan.TargetOf(&m.spec).Database != plan.TargetOf(&m.old).Database
}

// sameLog tells whether what is known of the history is about what will be read.
func (m *maker) sameLog() bool {
	a, b := m.spec.Source, m.old.Source
	return a.Redis.URL == b.Redis.URL && a.Stream == b.Stream && plan.StartID(a.From) == plan.StartID(b.From)
}

func (m *maker) historyLost() bool {
	if !m.Live || !m.sameLog() {
		return false
	}
	for _, c := range m.Old.Status.Conditions {
		if c.Type == v1alpha1.ConditionHistoryComplete {
			return c.Status == "False"
		}
	}
	return false
}

func (m *maker) historyLacks() bool {
	return m.historyLost() && m.spec.Replay.History == v1alpha1.HistoryRequired
}
