package conformance

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
)

// RunReplays drives three revisions of one journal, each stored in a form of its
// own, through random histories of folding, comparing, publishing and dropping,
// with Jobs that die and are run again. After every step readers see exactly the
// fold of the published revision up to its position, and each revision goes on
// from its own.
func RunReplays(t *testing.T, server Server, clear func()) {
	b := &bench{ctx: t.Context(), server: server, schema: schema(t)}
	rapid.Check(t, func(rt *rapid.T) {
		clear()
		m := &replayMachine{bench: b, t: t, proxy: NewProxy(t, server.Addr())}
		j := newJournal(25)
		for i := range 3 {
			m.form = append(m.form, rapid.IntRange(0, server.Forms()-1).Draw(rt, "form"))
			m.folders = append(m.folders, b.folder(t, j, fmt.Sprint("r", i+1), m.form[i]))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"fold":    m.fold,
			"restart": m.restart,
			"compare": m.compare,
			"promote": m.promote,
			"drop":    m.drop,
			"":        m.check,
		})
		m.proxy.close()
	})
}

type replayMachine struct {
	*bench
	t         *testing.T
	proxy     *Proxy
	folders   []*folder
	form      []int
	published int // of folders, counted from 1; 0 for none
}

// fold claims where it has to, and folds some events.
func (m *replayMachine) fold(rt *rapid.T) {
	i := rapid.IntRange(0, len(m.folders)-1).Draw(rt, "revision")
	f := m.folders[i]
	to := f.at.Position.Ms + uint64(rapid.IntRange(1, 40).Draw(rt, "events"))
	for range 3 {
		if err := f.turn(to); err != nil {
			rt.Fatalf("%s: %v", f.c.Revision, err)
		}
		if f.p != nil && f.at.Published {
			m.published = i + 1
		}
	}
}

// restart is another process.
func (m *replayMachine) restart(rt *rapid.T) {
	i := rapid.IntRange(0, len(m.folders)-1).Draw(rt, "revision")
	f := m.folders[i]
	f.store, f.p, f.held = m.server.OpenAs(m.t, m.schema, nil, m.form[i]), nil, 0
}

// begun says whether the ledger has the revision, and that it has folded.
func (m *replayMachine) begun(f *folder) bool { return f.at.Position.Ms > 0 }

func (m *replayMachine) compare(rt *rapid.T) {
	i := rapid.IntRange(0, len(m.folders)-1).Draw(rt, "candidate")
	f := m.folders[i]
	if m.published == 0 || m.published == i+1 || !m.begun(f) {
		return
	}
	active := m.folders[m.published-1]
	if active.at.Position != f.at.Position {
		return // none would come up
	}
	d, err := f.store.Compare(m.ctx, f.c.Projection, f.c.Revision)
	if err != nil {
		rt.Fatalf("compare: %v", err)
	}
	wantDiff(m.t, f.journal, active.c.Revision, f.c.Revision, f.at.Position.Ms, d)
	if m.t.Failed() {
		rt.Fatal("it was compared wrongly")
	}
}

// promote runs a Job that dies somewhere, and then one that does not.
func (m *replayMachine) promote(rt *rapid.T) {
	i := rapid.IntRange(0, len(m.folders)-1).Draw(rt, "candidate")
	f := m.folders[i]
	if !m.begun(f) || m.published > 0 && f.at.Position.Compare(m.folders[m.published-1].at.Position) < 0 {
		return
	}
	m.proxy.DieAfter(rapid.IntRange(0, 900).Draw(rt, "dies after"))
	_, _ = m.server.OpenAs(m.t, m.schema, m.proxy, m.form[i]).Promote(m.ctx, f.c.Projection, f.c.Revision)
	m.proxy.DieAfter(-1)
	if _, err := f.store.Promote(m.ctx, f.c.Projection, f.c.Revision); err != nil {
		rt.Fatalf("promote: %v", err)
	}
	m.published = i + 1
}

func (m *replayMachine) drop(rt *rapid.T) {
	i := rapid.IntRange(0, len(m.folders)-1).Draw(rt, "revision")
	f := m.folders[i]
	err := f.store.DropRevision(m.ctx, f.c.Projection, f.c.Revision, false)
	if m.published == i+1 {
		if reasonOf(err) != contract.ReasonNotOwned {
			rt.Fatalf("the published revision was dropped: %v", err)
		}
		return
	}
	if err != nil {
		rt.Fatalf("drop: %v", err)
	}
	wantNone(m.t, m.bench, f.c.Revision)
	if f.p != nil {
		f.p = nil
		wantFenced(m.t, f.claim())
	}
	f.p, f.held, f.at.Position = nil, 0, projector.ID{}
	if m.t.Failed() {
		rt.Fatal("something is left")
	}
}

func (m *replayMachine) check(rt *rapid.T) {
	if m.published == 0 {
		return
	}
	f := m.folders[m.published-1]
	f.wantReaders(m.t, m.form[m.published-1], f.at.Position.Ms)
	revisions, err := f.store.Revisions(m.ctx, f.c.Projection)
	if err != nil || !slices.ContainsFunc(revisions, func(r readmodel.Revision) bool { return r.Published && r.Name == f.c.Revision }) {
		rt.Fatalf("%s is not published: %v (%v)", f.c.Revision, revisions, err)
	}
	if m.t.Failed() {
		rt.Fatal("readers see something else")
	}
}
