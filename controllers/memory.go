package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// memory is what the operator remembers of Projections between passes. It may be
// lost at any time.
type memory struct{ byUID sync.Map } // types.UID → *remembered

// remembered is used by one pass at a time: a Projection is never reconciled
// twice at once.
type remembered struct {
	checked    string // the revision whose reducer was compiled last
	checkError error
	lastRead   time.Time // when the projector last answered
	lastWrite  time.Time // when progress was last written to status
	revision   string    // of document
	document   []byte    // the contract that was applied last
}

func (m *memory) of(uid types.UID) *remembered {
	v, _ := m.byUID.LoadOrStore(uid, &remembered{})
	return v.(*remembered)
}

func (m *memory) forget(uid types.UID) { m.byUID.Delete(uid) }
