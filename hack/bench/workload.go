package main

import (
	"iter"
	"math/rand/v2"
	"strconv"

	"github.com/refold-dev/refold/projector/redisconn"
)

// stream is the log that all groups write and fold.
const stream = "user_events"

// kind is an event's type.
type kind int

const (
	userCreated kind = iota
	emailUpdated
	addressUpdated
	orderPlaced
	kinds // how many there are
)

var kindNames = [kinds]string{"UserCreated", "EmailUpdated", "AddressUpdated", "OrderPlaced"}

// event is one entry, before it is words.
type event struct {
	kind           kind
	entity, number int
}

// words are the entry's fields; an entry is about 90 bytes.
func (e event) words() []string {
	id, number := strconv.Itoa(e.entity), strconv.Itoa(e.number)
	words := []string{"type", kindNames[e.kind], "id", id}
	switch e.kind {
	case userCreated:
		return append(words, "name", "User "+id, "email", "u"+number+"@example.com")
	case emailUpdated:
		return append(words, "email", "user"+number+"@mail.example.com")
	case addressUpdated:
		return append(words, "city", "Street "+number+", Zürich")
	default:
		return append(words, "order", number, "cents", number)
	}
}

// appendAdd appends the command that adds the event under an ID.
func (e event) appendAdd(b []byte, id string, more ...string) []byte {
	words := append([]string{"XADD", stream, id}, e.words()...)
	return redisconn.AppendCommand(b, append(words, more...)...)
}

// entryID is the ID of the i-th entry: fixed, so that every run has the same
// stream and the borders of its pages are known.
func entryID(i int) string {
	const firstMs, perMs = 1795412031120, 8
	return strconv.Itoa(firstMs+i/perMs) + "-" + strconv.Itoa(i%perMs)
}

// workload is a log: the same events each time they are asked for.
type workload struct {
	events, entities int
	// pick makes the choice of the i-th event's entity.
	pick func(random *rand.Rand, entities int) func(i int) int
}

// all yields the events in order.
func (w workload) all() iter.Seq2[int, event] {
	return func(yield func(int, event) bool) {
		random := rand.New(rand.NewPCG(1, 2))
		entity := w.pick(random, w.entities)
		for i := range w.events {
			e := event{kind: kind(random.IntN(int(kinds))), entity: entity(i), number: random.IntN(100_000)}
			if !yield(i, e) {
				return
			}
		}
	}
}

// lastID is the ID of the last entry.
func (w workload) lastID() string { return entryID(w.events - 1) }

// uniform is every entity as often as any other.
func uniform(random *rand.Rand, entities int) func(int) int {
	return func(int) int { return random.IntN(entities) }
}

// zipf is few entities most of the time: the k-th comes up as 1/k^1.1.
func zipf(random *rand.Rand, entities int) func(int) int {
	z := rand.NewZipf(random, 1.1, 1, uint64(entities-1))
	return func(int) int { return int(z.Uint64()) }
}

// once is every entity in turn, in no order.
func once(random *rand.Rand, entities int) func(int) int {
	order := random.Perm(entities)
	return func(i int) int { return order[i%entities] }
}
