package redishash

import (
	"sync"

	"github.com/refold-dev/refold/projector/redisconn"
)

// wordsPerCommand bounds how many keys one variadic command names.
const wordsPerCommand = 1000

// mostWatched is how many created keys a commit watches: Redis compares each
// WATCHed key with every other of the connection.
const mostWatched = 256

// transaction is one commit as it goes over the wire, and what its replies must
// be. Its memory is used again.
type transaction struct {
	epoch     int64
	id, lanes []byte // what the ledger says after it, as text

	check  []byte // is each of created free? Empty when none is
	guards []byte // the same question within the transaction
	body   []byte // MULTI … EXEC, and the look for the next commit
	queued int    // commands between MULTI and EXEC, guards among them

	guarded int      // the guards come first
	touched []touch  // then come these
	created []string // keys of entities that the store does not know yet
	unsafe  bool     // one of them is made by HSET, which asks nobody

	free, added, removed, bared, clothed words
	words, gone                          []byte // of one entity
}

// touch is what a queued command writes: an entity, or a set of the ledger.
type touch struct {
	key    string
	entity bool
	fields int32 // how many fields it must make or remove; any when unknown
}

const unknown = -1

var multi = redisconn.AppendCommand(nil, "MULTI")

func (t *transaction) reset() {
	t.epoch, t.queued, t.guarded, t.unsafe = 0, 0, 0, false
	for _, b := range []*[]byte{&t.id, &t.lanes, &t.check, &t.guards, &t.body} {
		*b = (*b)[:0]
	}
	clear(t.touched) // they hold on to keys
	clear(t.created)
	t.touched, t.created = t.touched[:0], t.created[:0]
	for _, w := range []*words{&t.free, &t.added, &t.removed, &t.bared, &t.clothed} {
		w.reset()
	}
	t.body = append(t.body, multi...)
}

// command queues a command that writes to the ledger.
func (t *transaction) command(words ...string) {
	t.queued++
	t.body = redisconn.AppendCommand(t.body, words...)
}

// head queues a command of an entity, whose words follow.
func (t *transaction) head(n int, verb, key string, fields int) {
	t.queued++
	t.touched = append(t.touched, touch{key, true, int32(fields)})
	t.body = appendHead(t.body, n, verb)
}

// toSet queues SADD or SREM of all words.
func (t *transaction) toSet(verb, set string, w *words) {
	for i := range w.cuts {
		text, n := w.chunk(i)
		t.queued++
		t.touched = append(t.touched, touch{key: set, fields: unknown})
		t.body = append(appendBulk(appendHead(t.body, n+2, verb), set), text...)
	}
}

// askWhetherFree encodes the check of created keys: HSET would write into what
// is someone else's. Few keys are watched as well; of many, those that HSET
// makes are looked at again inside the transaction: what came between is at
// least found out. RESTORE refuses by itself.
func (t *transaction) askWhetherFree() {
	for i := range t.free.cuts {
		text, n := t.free.chunk(i)
		if t.watches() {
			t.check = append(appendHead(t.check, n+1, verbWatch), text...)
		}
		t.check = append(appendHead(t.check, n+1, verbExists), text...)
		if !t.watches() && t.unsafe {
			t.guards = append(appendHead(t.guards, n+1, verbExists), text...)
			t.guarded++
			t.queued++
		}
	}
}

func (t *transaction) watches() bool { return len(t.created) <= mostWatched }

// poolKeeps and largestKept bound what is kept for use again.
const (
	poolKeeps   = 3
	largestKept = 8 << 20
)

// pool has transactions that are not in use. Prepare takes one, Commit gives it
// back.
type pool struct {
	mu   sync.Mutex
	free []*transaction
}

func (p *pool) take() *transaction {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.free) - 1; last >= 0 {
		t := p.free[last]
		p.free = p.free[:last]
		return t
	}
	t := new(transaction)
	t.reset()
	return t
}

func (p *pool) give(t *transaction) {
	t.reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < poolKeeps && cap(t.body)+cap(t.check)+cap(t.guards) <= largestKept {
		p.free = append(p.free, t)
	}
}
