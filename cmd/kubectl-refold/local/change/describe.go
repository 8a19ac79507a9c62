package change

import (
	"fmt"
	"strings"
	"time"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
)

// describe says what is read and built, and what follows.
func (m *maker) describe() {
	switch m.out.Class {
	case FirstBuild, Replaces, Replay, InPlace, Move:
		m.reads()
		m.builds()
	}
	switch m.out.Class {
	case FirstBuild, Replaces:
		m.then("readers see it grow, and it is complete once it has caught up")
	case Replay:
		m.shadow()
	case InPlace:
		m.then("the read model is emptied, and readers see it grow again", "nothing is compared, nothing can be rolled back, and retained revisions go too")
	case Move:
		m.move()
	case Rollback:
		m.then("a Job switches readers back; nothing is folded, compared or approved", "the revision that is read now is kept for the rollback window, "+m.window())
	case CallsOff:
		m.then("what is being built is removed: " + strings.Join(m.candidates(), ", "))
	case Refused:
		m.then("revision " + m.out.Active + " goes on unchanged, and the Projection is Stalled with HistoryRequired")
	case Pods:
		m.then("the projector's pod is replaced, stopped or started; positions are kept, and no event is folded twice")
	}
}

func (m *maker) then(steps ...string) { m.out.Then = append(m.out.Then, steps...) }

func (m *maker) window() string {
	return Span(*m.spec.Replay.RollbackWindowSeconds)
}

// Span is a length of time for people.
func Span(seconds int64) string {
	d := time.Duration(max(seconds, 1)) * time.Second
	text := ""
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", max(seconds, 1))
	case d < time.Hour:
		text = fmt.Sprintf("%.1f min", d.Minutes())
	case d < 48*time.Hour:
		text = fmt.Sprintf("%.1f h", d.Hours())
	default:
		text = fmt.Sprintf("%.1f days", d.Hours()/24)
	}
	return strings.Replace(text, ".0 ", " ", 1)
}

func (m *maker) shadow() {
	promotion := m.spec.Replay.Promotion
	switch {
	case m.neverWhole():
		m.then("readers have never had a whole read model, so it is published without a comparison when it has caught up")
	case promotion.Approve == m.out.Revision:
		m.then("both revisions are compared", "it is published whatever differs: promotion.approve names it")
	case promotion.Mode == v1alpha1.PromotionManual:
		m.then("both revisions are compared", "it is Held until promotion.approve names it: promotion.mode is Manual")
	case !m.oneLog():
		m.then("both revisions are counted as they stand, for they have no log in common", "it is Held until promotion.approve names it")
	default:
		m.then("both revisions are compared at one event",
			fmt.Sprintf("it is published if at most %d %% of all entities differ, and Held otherwise", *promotion.MaxChangedPercent))
	}
	if *m.spec.Replay.RollbackWindowSeconds == 0 {
		m.then("the old revision is removed at once: there is no rollback")
		return
	}
	m.then("the old revision is kept up for the rollback window, " + m.window())
}

func (m *maker) move() {
	if m.spec.Replay.Promotion.Mode == v1alpha1.PromotionManual && m.spec.Replay.Promotion.Approve != m.out.Revision {
		m.then("it is not compared; it is Held until promotion.approve names it")
	} else {
		m.then("it is not compared, and becomes active when it has caught up")
	}
	m.then("the model on the old server is kept for the rollback window, "+m.window(), "readers must be told where to read")
}

// neverWhole tells an active revision that has never caught up.
func (m *maker) neverWhole() bool {
	if !m.Live {
		return false
	}
	active := m.revision(m.out.Active)
	return active != nil && active.State == v1alpha1.RevisionBuilding && active.PromotedAt == nil
}

// oneLog tells revisions that can be brought to one event.
func (m *maker) oneLog() bool {
	return m.spec.Source.Redis.URL == m.old.Source.Redis.URL && m.spec.Source.Stream == m.old.Source.Stream
}

func (m *maker) builds() {
	hash := m.spec.ReadModel.RedisHash
	where := plan.TargetOf(&m.spec).Database
	place := hash.KeyPrefix + "*"
	beside := m.out.Class == Replay
	switch {
	case hash.Cutover == v1alpha1.CutoverPointer:
		place = fmt.Sprintf("%s@%s:*", hash.KeyPrefix, m.out.Revision)
	case beside:
		place = fmt.Sprintf("~%s:%s*", m.out.Revision, hash.KeyPrefix)
	}
	m.out.Builds = fmt.Sprintf("%s in %s", place, where)
	if beside {
		m.out.Builds += ", beside what is read"
	}
}

func (m *maker) reads() {
	source := m.spec.Source
	r := &Reads{
		Server: string(source.Redis.URL), Stream: source.Stream,
		From: source.From, Until: source.Until,
	}
	m.out.Reads = r
	if !m.Live || !m.sameLog() {
		return
	}
	status := m.Old.Status
	if status.LagEvents != nil {
		events := status.Events + *status.LagEvents
		r.Events = &events
	}
	r.EventsPerSecond, r.RateOf = rateOf(status)
	if most := m.spec.Replay.MaxEventsPerSecond; most > 0 && (r.EventsPerSecond == 0 || most < r.EventsPerSecond) {
		r.EventsPerSecond, r.RateOf = most, "replay.maxEventsPerSecond"
	}
	if r.Events != nil && r.EventsPerSecond > 0 {
		seconds := (*r.Events + r.EventsPerSecond - 1) / r.EventsPerSecond
		r.Seconds = &seconds
	}
}

// rateOf is how fast the newest replay was that ended well, or how fast one is
// that runs.
func rateOf(status v1alpha1.ProjectionStatus) (perSecond int64, of string) {
	for _, r := range status.Replays {
		if r.Outcome != v1alpha1.OutcomePromoted || r.Cause == v1alpha1.CauseRollback || r.StartedAt == nil || r.FinishedAt == nil || r.Events == 0 {
			continue
		}
		took := max(r.FinishedAt.Sub(r.StartedAt.Time), time.Second)
		return max(1, int64(float64(r.Events)/took.Seconds())), fmt.Sprintf("the replay of %s", r.FinishedAt.UTC().Format("2006-01-02"))
	}
	for _, r := range status.Revisions {
		if r.Progress != nil && r.Progress.EventsPerSecond > 0 {
			return r.Progress.EventsPerSecond, "the replay that runs now"
		}
	}
	return 0, ""
}
