package change

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
)

func (m *maker) warnf(format string, args ...any) {
	m.out.Warnings = append(m.out.Warnings, fmt.Sprintf(format, args...))
}

func (m *maker) notef(format string, args ...any) {
	m.out.Notes = append(m.out.Notes, fmt.Sprintf(format, args...))
}

// warn says what to think of before applying.
func (m *maker) warn() {
	if m.spec.Suspend {
		m.warnf("spec.suspend is true: nothing starts until it is false")
	}
	m.warnHistory()
	m.warnKeys()
	m.warnReaders()
	m.warnHeld()
	m.warnOthers()
	if m.Old != nil && !m.Live && m.out.Class.Replays() {
		m.notef("only manifests were compared: a cluster would tell how many events there are, whether the stream still holds its beginning, and whether this revision is kept for a rollback")
	}
}

func (m *maker) warnHistory() {
	switch {
	case m.out.Class == Refused:
		m.warnf("restore the stream's beginning; or set replay.history: Available to fold what there is; or let source.from begin where the stream does")
	case m.historyLost() && m.out.Class.Replays():
		m.warnf("the stream has lost its beginning: the new read model will miss what is gone, as replay.history: Available allows")
	case m.Live && m.out.Reads != nil && m.Old.Status.ActiveRevision != "" && !m.sameLog():
		m.warnf("another log is read than now: whether it still holds everything from source.from on is not known")
	}
}

// warnKeys is about keys that somebody else has made.
func (m *maker) warnKeys() {
	if m.out.Reads == nil {
		return
	}
	target := plan.TargetOf(&m.spec)
	if m.Old == nil || target != plan.TargetOf(&m.old) {
		m.warnf("hashes that stand under %q in %s already, and are not Refold's, stop it with NotOwned: look with SCAN 0 MATCH %q", target.Prefix, target.Database, target.Prefix+"*")
	}
}

func (m *maker) warnReaders() {
	if m.Old == nil || m.out.Reads == nil {
		return
	}
	was, is := m.old.ReadModel.RedisHash, m.spec.ReadModel.RedisHash
	if was.KeyPrefix != is.KeyPrefix {
		m.warnf("readers must read at %s and no longer at %s, which is removed after the rollback window", is.KeyPrefix, was.KeyPrefix)
	}
	if was.Cutover != is.Cutover {
		m.warnf("readers must find entities in another way: cutover is %s, and was %s", is.Cutover, was.Cutover)
	}
	for _, f := range m.out.Changes {
		if name, found := strings.CutPrefix(f.Path, "spec.readModel.fields["); found && f.New == nil {
			m.warnf("readers no longer find the field %s", strings.TrimSuffix(name, "]"))
		}
	}
	if m.out.Class == Replay {
		m.notef("the server needs room for both revisions until the rollback window ends")
	}
}

// warnHeld says where the gate will most likely hold the revision.
func (m *maker) warnHeld() {
	promotion := m.spec.Replay.Promotion
	if m.out.Class != Replay || m.neverWhole() || promotion.Approve == m.out.Revision ||
		promotion.Mode == v1alpha1.PromotionManual || !m.oneLog() {
		return // it is certain, and said
	}
	if *promotion.MaxChangedPercent == 100 {
		return
	}
	if why := m.manyDiffer(); why != "" {
		m.warnf("it will probably be Held: %s, and at most %d %% of the entities may differ. To publish it, set replay.promotion.approve: %s", why, *promotion.MaxChangedPercent, m.out.Revision)
	}
}

// manyDiffer is a change of which one can tell that it concerns most entities.
func (m *maker) manyDiffer() string {
	for _, f := range m.out.Changes {
		name, isField := strings.CutPrefix(f.Path, "spec.readModel.fields[")
		name = strings.TrimSuffix(name, "]")
		switch {
		case f.Effect != EffectReplay:
		case f.Path == "spec.reducer.key":
			return "entities have other keys"
		case f.Path == "spec.source.typeField" || f.Path == "spec.source.format" || f.Path == "spec.source.payloadField":
			return "events are read in another way"
		case isField && f.Old == nil && writes(m.spec, name):
			return fmt.Sprintf("every entity with the new field %s differs", name)
		case isField && f.New == nil && writes(m.old, name):
			return fmt.Sprintf("every entity with the field %s, which goes, differs", name)
		}
	}
	return ""
}

func writes(spec v1alpha1.ProjectionSpec, name string) bool {
	return slices.ContainsFunc(spec.Reducer.Rules, func(r v1alpha1.Rule) bool {
		_, set := r.Set[name]
		_, added := r.Add[name]
		return set || added
	})
}

// soon is within the time that a person takes to apply a manifest.
const soon = 10 * time.Minute

// warnOthers is about what runs already.
func (m *maker) warnOthers() {
	if m.out.Class == Rollback {
		if until := m.revision(m.out.Revision).RetainedUntil; until != nil && until.Before(&metav1.Time{Time: m.Now.Add(soon)}) {
			m.warnf("its rollback window ends at %s: after that the same change is a replay", until.UTC().Format(time.RFC3339))
		}
	}
	if m.Old == nil || !m.Live || !m.out.Class.Replays() || m.out.Class == Refused {
		return
	}
	if others := m.candidates(); len(others) > 0 {
		m.warnf("a replay is under way, of revision %s: it is called off, and what it has built is removed", strings.Join(others, ", "))
	}
	const most = 4
	if len(m.Old.Status.Revisions) >= most {
		m.warnf("there are %d revisions already: the oldest that is retained is removed before its rollback window ends", len(m.Old.Status.Revisions))
	}
}
