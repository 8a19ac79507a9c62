package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
)

// memory is what the operator remembers of Projections between passes. It may be
// lost at any time.
type memory struct {
	byUID     sync.Map // types.UID → *remembered
	revisions sync.Map // types.UID → namedRevision
}

// namedRevision is the revision that a generation of a spec names.
type namedRevision struct {
	generation int64
	name       string
}

// remembered is used by one pass at a time: a Projection is never reconciled
// twice at once.
type remembered struct {
	checked    string // the revision whose reducer was compiled last
	checkError error
	lastRead   map[string]time.Time // when the projector of a revision last answered
	lastWrite  time.Time            // when progress was last written to status
	documents  map[string][]byte    // the contract that was applied last, by revision
}

func (m *memory) of(uid types.UID) *remembered {
	v, _ := m.byUID.LoadOrStore(uid, &remembered{lastRead: map[string]time.Time{}, documents: map[string][]byte{}})
	return v.(*remembered)
}

func (m *memory) forget(uid types.UID) {
	m.byUID.Delete(uid)
	m.revisions.Delete(uid)
}

// revisionOf names the revision of p's spec. Every pass asks for that of every
// Projection, so it is computed once for each generation.
func (m *memory) revisionOf(p *v1alpha1.Projection) string {
	if v, ok := m.revisions.Load(p.UID); ok && v.(namedRevision).generation == p.Generation {
		return v.(namedRevision).name
	}
	name := plan.Revision(p.Spec)
	m.revisions.Store(p.UID, namedRevision{p.Generation, name})
	return name
}
