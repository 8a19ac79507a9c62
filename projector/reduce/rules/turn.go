package rules

import (
	"sync"
	"unsafe"

	"github.com/refold-dev/refold/projector"
)

// turn is one event folded into one entity. It stays on the stack: what the
// interpreter needs comes from a pool, once the interpreter is needed.
type turn struct {
	event  *projector.Event
	key    string
	state  *projector.State
	scopes *sync.Pool
	sc     *scope
	room   [32]byte // for the text of one value, until it is set
}

func (t *turn) scope() *scope {
	if t.sc == nil {
		t.sc = t.scopes.Get().(*scope)
		t.sc.event, t.sc.key, t.sc.state = t.event, t.key, t.state
	}
	return t.sc
}

// end gives the scope back. After a panic it is not called: the pool makes another.
func (t *turn) end() {
	if t.sc != nil {
		t.release()
	}
}

func (t *turn) release() {
	t.sc.reset()
	t.scopes.Put(t.sc)
}

// view is b as a string that shares its bytes. An event's buffer is used again
// after Keys or Reduce, so nothing may keep a view for longer: a State copies
// what it is given, errors are copied by failed, and keys by who asked for them.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
