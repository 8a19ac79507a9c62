package redishash

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/refold-dev/refold/projector/failpoint"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/redisconn"
)

// swapAtOnce is how many entities one EXEC renames: other clients wait for no
// longer than a millisecond or so.
const swapAtOnce = 128

// swapWires is how many connections rename.
const swapWires = 3

const (
	verbRenameNX = "$8\r\nRENAMENX\r\n"
	verbType     = "$4\r\nTYPE\r\n"
	noSuchKey    = "ERR no such key"
	one          = ":1\r\n"
)

// free makes sure that nothing foreign is where entities will be published that
// the published revision does not have there.
func (p *promotion) free(ctx context.Context) error {
	if p.to.pointed() {
		return nil
	}
	wires, release, err := p.wires(ctx, 1)
	if err != nil {
		return err
	}
	defer release()
	for _, pair := range p.control.pairs(p.projection, p.from.revision, p.to.revision) {
		for lane := range readmodel.Lanes {
			keys, err := pair.lane(wires[0], lane)
			if err != nil {
				return err
			}
			for chunk := range slices.Chunk(p.added(keys), wordsPerCommand) {
				if err := p.freeNow(wires[0], pair.from.keys[lane], chunk); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// added are the entities whose published names are not in use.
func (p *promotion) added(keys laneKeys) (added []string) {
	same := !p.from.pointed() && p.from.public() == p.to.public()
	for key, in := range keys {
		taken := same && in&inFrom != 0 && in&bareInFrom == 0
		if in&inTo != 0 && !taken {
			added = append(added, key)
		}
	}
	return added
}

// freeNow looks whether keys are in use. One that is may have been made by the
// published revision meanwhile.
func (p *promotion) freeNow(w *redisconn.Wire, made string, keys []string) error {
	words := []string{"EXISTS"}
	for _, key := range keys {
		words = append(words, p.to.public()+key)
	}
	replies, err := ask(w, words)
	switch {
	case err != nil:
		return redisFault(err)
	case replies[0].err != nil:
		return redisFault(replies[0].err)
	case replies[0].number == 0:
		return nil
	}
	for _, key := range keys {
		replies, err := ask(w, []string{"EXISTS", p.to.public() + key}, []string{"SMISMEMBER", made, key})
		if err != nil {
			return redisFault(err)
		}
		member := replies[1].list
		ours := len(member) == 1 && member[0].number == 1 && p.from.public() == p.to.public()
		if replies[0].number > 0 && !ours {
			return foreignEntity(p.to.public() + key)
		}
	}
	return nil
}

// move is what becomes of one entity: the published revision's hash is put aside,
// and the candidate's comes in its place. Either may have none.
type move struct {
	key      string
	out, put bool
}

func (p *promotion) moves(keys laneKeys) (moves []move) {
	for key, in := range keys {
		m := move{
			key: key,
			out: !p.from.pointed() && in&inFrom != 0 && in&bareInFrom == 0,
			put: !p.to.pointed() && in&inTo != 0 && in&bareInTo == 0,
		}
		if m.out || m.put {
			moves = append(moves, m)
		}
	}
	return moves
}

// laneMoves is what is to be done in one lane.
type laneMoves struct {
	moves []move
	err   error
}

// swap renames lane by lane, on a few connections: while one reads its answers the
// server has another one's to work on.
// It ends what is under way by cancel. The connections are open until release.
func (p *promotion) swap(ctx context.Context, cancel context.CancelCauseFunc) (release func(), err error) {
	wires, release, err := p.wires(ctx, 1+swapWires)
	if err != nil {
		return func() {}, err
	}
	p.renamers = wires
	lanes := make(chan laneMoves)
	var running sync.WaitGroup
	running.Go(func() { p.readMoves(ctx, wires[0], lanes) })
	for _, w := range wires[1:] {
		running.Go(func() {
			s := swapping{promotion: p, wire: w}
			for lane := range lanes {
				if err := cmp.Or(lane.err, s.all(lane.moves)); err != nil {
					cancel(err)
				}
			}
		})
	}
	running.Wait()
	return release, context.Cause(ctx)
}

// lasted makes sure that the server is still the one that has renamed: one that
// was restarted, or was a replica before, may have forgotten the last of it.
func (p *promotion) lasted() error {
	for _, w := range p.renamers {
		if _, err := ask(w, []string{"PING"}); err != nil {
			return redisFault(err)
		}
	}
	return nil
}

// readMoves reads what no writer changes any more.
func (p *promotion) readMoves(ctx context.Context, w *redisconn.Wire, lanes chan<- laneMoves) {
	defer close(lanes)
	for _, pair := range p.control.pairs(p.projection, p.from.revision, p.to.revision) {
		for lane := range readmodel.Lanes {
			keys, err := pair.lane(w, lane)
			select {
			case lanes <- laneMoves{p.moves(keys), err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}
}

// swapping is a connection that renames. It holds a WATCH of control, under
// which the run's token was seen.
type swapping struct {
	*promotion
	wire    *redisconn.Wire
	request []byte
	watched bool
}

func (s *swapping) all(moves []move) error {
	for chunk := range slices.Chunk(moves, swapAtOnce) {
		if err := s.batch(chunk); err != nil {
			return err
		}
		s.at(failpoint.PromoteRenaming)
	}
	return nil
}

// batch swaps some entities in one transaction, again when a claim or another
// Job's attempt touched control meanwhile.
func (s *swapping) batch(moves []move) (err error) {
	if s.resumed {
		if moves, err = s.left(moves); err != nil || len(moves) == 0 {
			return err
		}
	}
	if !s.watched {
		if err := s.watch(); err != nil {
			return err
		}
	}
	for {
		executed, err := s.transact(moves)
		if err != nil || executed {
			return err
		}
	}
}

// left leaves out what is swapped already: the candidate's hash, if it has one,
// is not aside any more. Where it has none, no hash is where readers look.
func (s *swapping) left(moves []move) (left []move, err error) {
	s.request = s.request[:0]
	for _, m := range moves {
		if m.put {
			s.request = appendBulkKey(appendHead(s.request, 2, verbExists), s.to.shadow(), m.key)
		} else {
			s.request = appendBulkKey(appendHead(s.request, 2, verbType), s.from.public(), m.key)
		}
	}
	if err := s.wire.Send(s.request); err != nil {
		return nil, redisFault(err)
	}
	for _, m := range moves {
		kind := byte('+')
		if m.put {
			kind = ':'
		}
		r, err := answer(s.wire, kind)
		if err != nil {
			return nil, redisFault(err)
		}
		if r.N > 0 || string(r.Text) == "hash" {
			left = append(left, m)
		}
	}
	return left, nil
}

func (s *swapping) lookWords() []byte {
	key := controlName(s.projection)
	return redisconn.AppendCommand(redisconn.AppendCommand(nil, "WATCH", key), "HGET", key, fieldOp)
}

func (s *swapping) watch() error {
	if err := s.wire.Send(s.lookWords()); err != nil {
		return redisFault(err)
	}
	return s.readLook()
}

// readLook fails with errVoid when control does not name this run.
func (s *swapping) readLook() error {
	if _, err := answer(s.wire, '+'); err != nil {
		return redisFault(err)
	}
	text, err := answer(s.wire, '$')
	if err != nil {
		return redisFault(err)
	}
	o, err := parseOperation(string(text.Text))
	if err != nil || o == nil || o.Token != s.hold.op.Token {
		return errVoid
	}
	s.watched = true
	return nil
}

// transact is one attempt; the look for the next one travels behind it.
func (s *swapping) transact(moves []move) (executed bool, err error) {
	n := s.encode(moves)
	if err := s.wire.Send(s.request); err != nil {
		return false, redisFault(err)
	}
	for left := 1 + n; left > 0; {
		if left -= s.wire.Skip(left, queued); left == 0 {
			break
		}
		if _, err := answer(s.wire, '+'); err != nil {
			return false, redisFault(err)
		}
		left--
	}
	head, err := answer(s.wire, '*')
	if err != nil {
		return false, redisFault(err)
	}
	if head.N >= 0 {
		if err := s.results(moves); err != nil {
			return false, err
		}
	}
	return head.N >= 0, s.readLook()
}

func (s *swapping) encode(moves []move) (commands int) {
	s.request = append(s.request[:0], multi...)
	rename := func(from, to, key string) {
		commands++
		s.request = appendBulkKey(appendBulkKey(appendHead(s.request, 3, verbRenameNX), from, key), to, key)
	}
	for _, m := range moves {
		if m.out {
			rename(s.from.public(), s.from.shadow(), m.key)
		}
		if m.put {
			rename(s.to.shadow(), s.to.public(), m.key)
		}
	}
	s.request = append(append(s.request, exec...), s.lookWords()...)
	return commands
}

// results reads all answers. A name that is taken is not ours.
func (s *swapping) results(moves []move) error {
	var refused error
	for _, m := range moves {
		var places []string // what the commands rename to
		if m.out {
			places = append(places, s.from.shadow())
		}
		if m.put {
			places = append(places, s.to.public())
		}
		renamed := false
		for _, place := range places {
			if s.wire.Skip(1, one) == 1 {
				renamed = true
				continue
			}
			r, err := s.wire.Reply()
			switch {
			case err != nil:
				return redisFault(err)
			case r.Kind == '-' && strings.HasPrefix(string(r.Text), noSuchKey):
			case r.Err() != nil:
				refused = cmp.Or(refused, redisFault(r.Err()))
			case r.N == 0 && !m.put:
				refused = cmp.Or(refused, foreignPlace(s.from.public()+m.key, place+m.key))
			case r.N == 0:
				refused = cmp.Or(refused, foreignEntity(place+m.key))
			default:
				renamed = true
			}
		}
		if renamed {
			s.renamed.Add(1)
		}
	}
	return refused
}
