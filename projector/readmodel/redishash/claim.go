package redishash

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/redisconn"
)

// claimAttempts bounds how often a claim starts over because another one, or
// a commit, came between its reads and its write.
const claimAttempts = 10

// Claim implements readmodel.Store.
func (s *Store) Claim(ctx context.Context, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint, error) {
	p, err := s.open(ctx, c)
	if err != nil {
		return nil, readmodel.Checkpoint{}, err
	}
	release := p.wire.During(ctx)
	defer release()
	if p.restores, err = p.mayRestore(); err != nil {
		return nil, readmodel.Checkpoint{}, redisFault(err)
	}
	for range claimAttempts {
		cp, err := p.claim(c)
		if err == nil {
			return p, cp, nil
		}
		if !errors.Is(err, errContended) {
			return nil, readmodel.Checkpoint{}, err
		}
	}
	return nil, readmodel.Checkpoint{}, &fault.Error{
		Reason:  contract.ReasonReadModelUnreachable,
		Message: fmt.Sprintf("the ledger %q kept changing while it was claimed", p.names.position),
		Remedy:  "nothing: it is tried again",
	}
}

// ledger is what one WATCHed look at a ledger found.
type ledger struct {
	control  control
	position map[string]string // empty: there is none
	taken    string            // the first set that is not empty
}

// standing is what a claim found out, and is to write.
type standing struct {
	ledger
	at      readmodel.Checkpoint
	giveWay []names    // ledgers that go
	point   [][]string // commands that put the pointers right
	release bool       // a hold has run out
}

// becomes says whether the claim publishes the revision.
func (s *standing) becomes(revision string) bool {
	return s.at.Published && s.control.active != revision
}

// claim is one attempt: look, decide, write.
func (p *partition) claim(c readmodel.Claim) (readmodel.Checkpoint, error) {
	found, err := p.find()
	if err != nil {
		return readmodel.Checkpoint{}, err
	}
	s := standing{ledger: found}
	if err := p.admitted(found, c.Held); err != nil {
		return readmodel.Checkpoint{}, err
	}
	if s.at, err = p.next(found, c); err != nil {
		return readmodel.Checkpoint{}, err
	}
	if err := p.stand(&s); err != nil {
		return readmodel.Checkpoint{}, err
	}
	if s.at.Publication = s.control.count; s.becomes(p.names.revision) {
		if s.at.Publication, err = p.nextPublication(s.control.count); err != nil {
			return readmodel.Checkpoint{}, err
		}
	}
	p.published, p.location = s.at.Published, p.layout().location(s.at.Published)
	s.at.Empty = found.taken == ""
	return s.at, p.write(c, s)
}

// nextPublication is one more than the last. The first of a ledger is the server's
// time in milliseconds: where another ledger was before it and is lost, whoever
// remembers its last number sees that this one is newer.
func (p *partition) nextPublication(last int64) (int64, error) {
	if last > 0 {
		return last + 1, nil
	}
	return p.now()
}

// stand decides where the revision's entities are, and how far it may fold.
func (p *partition) stand(s *standing) (err error) {
	if s.at.Until, s.release, err = p.bound(s); err != nil {
		return err
	}
	if s.at.Published, err = p.place(s); err != nil {
		return err
	}
	if s.at.Published {
		s.point, err = p.points(s)
	}
	return err
}

func (p *partition) layout() layout {
	return layout{p.names.revision, p.store.row.Prefix, p.store.row.Cutover}
}

// find watches and reads the ledger. The empty transaction before that lets go
// of an earlier attempt's WATCH, and shows that this user may use transactions:
// where MULTI is refused, Redis takes what follows for commands of their own.
func (p *partition) find() (ledger, error) {
	n := p.names
	replies, err := ask(p.wire, []string{"MULTI"}, []string{"EXEC"},
		[]string{"WATCH", n.control, n.position}, []string{"HGETALL", n.control}, []string{"HGETALL", n.position})
	if err != nil {
		return ledger{}, redisFault(err)
	}
	for i, key := range []string{n.control, n.control, n.control, n.control, n.position} {
		if err := replies[i].err; err != nil {
			return ledger{}, ledgerFault(key, err)
		}
	}
	parsed, err := parseControl(n.control, replies[3].pairs())
	if err != nil {
		return ledger{}, err
	}
	taken, err := p.taken(n)
	return ledger{parsed, replies[4].pairs(), taken}, err
}

// taken names the first set of a ledger that is not empty. The sets need no
// WATCH: a commit changes position with them, and a drop control before them.
func (p *partition) taken(n names) (string, error) {
	commands := make([][]string, len(n.sets))
	for i, set := range n.sets {
		commands[i] = []string{"SCARD", set}
	}
	replies, err := ask(p.wire, commands...)
	if err != nil {
		return "", redisFault(err)
	}
	taken := ""
	for i, reply := range replies {
		switch {
		case reply.err != nil:
			return "", ledgerFault(n.sets[i], reply.err)
		case reply.number > 0 && taken == "":
			taken = n.sets[i]
		}
	}
	return taken, nil
}

// admitted says whether the revision may be claimed at all.
func (p *partition) admitted(found ledger, held int64) error {
	c, revision := found.control, p.names.revision
	row, listed := c.ledgers[p.names.ledger]
	_, going := c.going[revision]
	switch {
	case c.dropping:
		return replayNeeded("removing the read model was begun and not finished: what is left of it is incomplete")
	case held > 0 && (going || c.exists && !listed):
		return readmodel.ErrFenced
	case going:
		return stillGoing() // it is wanted again, and begins anew
	case c.damaged[revision] != "":
		return broken(c.damaged[revision])
	case listed && row.Prefix != p.store.row.Prefix:
		return replayNeeded(fmt.Sprintf("the read model was folded with the key prefix %q", row.Prefix))
	case listed && row.Cutover != p.store.row.Cutover:
		return replayNeeded(fmt.Sprintf("the read model was folded for the cutover %s", row.Cutover))
	}
	return nil
}

// bound says how far a Job lets the revision fold, and whether the Job's hold has
// run out.
func (p *partition) bound(s *standing) (until *projector.ID, over bool, err error) {
	o := s.control.op
	switch {
	case !o.concerns(p.names.revision):
		return nil, false, nil
	case o.swaps():
		return nil, false, cuttingOver()
	}
	now, err := p.now()
	if err != nil || o.expired(now) {
		return nil, err == nil, err
	}
	if until = o.until(); until == nil || s.at.Position.Compare(*until) >= 0 {
		return nil, false, heldStill()
	}
	return until, false, nil
}

// now is the server's clock, in milliseconds.
func (p *partition) now() (int64, error) {
	replies, err := ask(p.wire, []string{"TIME"})
	if err != nil {
		return 0, redisFault(err)
	}
	if replies[0].err != nil {
		return 0, redisFault(replies[0].err)
	}
	if len(replies[0].list) != 2 {
		return 0, redisFault(fmt.Errorf("%w: to TIME", redisconn.ErrBadReply))
	}
	seconds, _ := strconv.ParseInt(replies[0].list[0].text, 10, 64)
	micros, _ := strconv.ParseInt(replies[0].list[1].text, 10, 64)
	return seconds*1000 + micros/1000, nil
}

// place says whether the revision is the published one, or becomes it: where
// readers have nothing that they would have to be kept on. A published revision
// that has folded nothing gives way.
func (p *partition) place(s *standing) (published bool, err error) {
	c := s.control
	if c.active == p.names.revision {
		return true, nil
	}
	if begun, err := p.begun(c, p.names.revision); err != nil || begun {
		return false, err
	}
	for _, location := range c.going {
		if c.active == "" && location == p.layout().public() {
			return false, stillGoing()
		}
	}
	if c.active == "" {
		return true, nil
	}
	if begun, err := p.begun(c, c.active); err != nil || begun || c.op.concerns(c.active) {
		return false, err
	}
	for _, listed := range c.rows(c.active) {
		s.giveWay = append(s.giveWay, namesOfLedger(p.names.projection, listed))
	}
	return true, nil
}

// begun watches a revision's ledgers and says whether it has folded anything.
func (p *partition) begun(c control, revision string) (bool, error) {
	for _, listed := range c.rows(revision) {
		if folded, err := p.folded(namesOfLedger(p.names.projection, listed)); err != nil || folded {
			return folded, err
		}
	}
	return false, nil
}

// points watches the pointers of a revision that is published by its claim, and
// of the one that it comes after.
func (p *partition) points(s *standing) (commands [][]string, err error) {
	ours, theirs := p.layout().pointer(), s.control.layout(s.control.active).pointer()
	if ours != "" {
		value, err := p.watchPointer(ours)
		switch {
		case err != nil:
			return nil, err
		case value != "" && value != p.names.revision && (ours != theirs || value != s.control.active):
			return nil, p.unlessChanged(foreignEntity(ours))
		case value != p.names.revision:
			commands = append(commands, []string{"SET", ours, p.names.revision})
		}
	}
	if theirs == "" || theirs == ours {
		return commands, nil
	}
	value, err := p.watchPointer(theirs)
	if err == nil && value == s.control.active {
		commands = append(commands, []string{"UNLINK", theirs})
	}
	return commands, err
}

// unlessChanged is errContended where something watched has changed: a Job may
// have published another revision since control was read.
func (p *partition) unlessChanged(err error) error {
	replies, askErr := ask(p.wire, []string{"MULTI"}, []string{"EXEC"})
	switch {
	case askErr != nil:
		return redisFault(askErr)
	case replies[1].number < 0:
		return errContended
	}
	return err
}

// watchPointer is empty for one that is not there.
func (p *partition) watchPointer(key string) (string, error) {
	replies, err := ask(p.wire, []string{"WATCH", key}, []string{"GET", key})
	if err != nil {
		return "", redisFault(err)
	}
	for _, reply := range replies {
		switch {
		case isWrongType(reply.err):
			return "", foreignEntity(key)
		case reply.err != nil:
			return "", redisFault(reply.err)
		}
	}
	return replies[1].text, nil
}

// folded watches a ledger and says whether it has folded anything.
func (p *partition) folded(n names) (bool, error) {
	replies, err := ask(p.wire, []string{"WATCH", n.position}, []string{"HMGET", n.position, fieldEvents, fieldLanes})
	if err != nil {
		return false, redisFault(err)
	}
	for _, reply := range replies {
		if reply.err != nil {
			return false, ledgerFault(n.position, reply.err)
		}
	}
	events, lanes := replies[1].list[0].text, replies[1].list[1].text
	if (events != "0" && events != "") || lanes != "" {
		return true, nil
	}
	taken, err := p.taken(n)
	return taken != "", err
}

// next decides on the checkpoint that the claim writes.
func (p *partition) next(found ledger, c readmodel.Claim) (readmodel.Checkpoint, error) {
	_, listed := found.control.ledgers[p.names.ledger]
	switch {
	case len(found.position) > 0:
		return p.raise(found.position, c.Held)
	case listed && found.taken != "":
		return readmodel.Checkpoint{}, replayNeeded(fmt.Sprintf("the position %q was removed by something else: how far the read model is folded can't be known", p.names.position))
	case found.taken != "":
		return readmodel.Checkpoint{}, foreignLedger(found.taken, nil)
	}
	return readmodel.Checkpoint{Mark: readmodel.Mark{Position: c.Start, Entries: -1}, Epoch: c.Held + 1}, nil
}

// raise is the stored checkpoint under the next epoch. An epoch above the one
// that was held is a successor's, unless this very process raised it and never
// saw the reply. So is the same epoch of another process: the server has lost
// our claim, and then the successor's came.
func (p *partition) raise(position map[string]string, held int64) (readmodel.Checkpoint, error) {
	cp, err := parsePosition(p.names.position, position)
	if err != nil {
		return readmodel.Checkpoint{}, err
	}
	if held > 0 && cp.Epoch >= held && position[fieldHolder] != p.store.holder {
		return readmodel.Checkpoint{}, readmodel.ErrFenced
	}
	cp.Epoch++
	return cp, nil
}

// write raises the epoch and watches for the first commit, in one round trip.
func (p *partition) write(c readmodel.Claim, s standing) error {
	t := p.pool.take()
	defer p.pool.give(t)
	p.record(t, c, s)
	cp := s.at
	t.id, t.lanes = cp.Position.Append(t.id), append(t.lanes, s.position[fieldLanes]...)
	t.command("HSET", p.names.position, fieldID, cp.Position.String(), fieldEpoch, strconv.FormatInt(cp.Epoch, 10),
		fieldEntries, strconv.FormatInt(cp.Entries, 10), fieldEvents, strconv.FormatInt(cp.Events, 10), fieldHolder, p.store.holder)
	p.end(t)
	_, err := p.execute(t)
	if errors.Is(err, readmodel.ErrOutcomeUnknown) {
		return redisFault(err) // a claim can be made again
	}
	if err == nil && p.seen.err != nil {
		return ledgerFault(p.names.position, p.seen.err)
	}
	p.epoch, p.lanes = cp.Epoch, cp.Lanes != nil
	return err
}

// record queues what control is to say.
func (p *partition) record(t *transaction, c readmodel.Claim, s standing) {
	n, row := p.names, p.store.row
	if row.Source = c.Source; c.Until != nil {
		row.Until = c.Until.String()
	}
	for _, other := range s.giveWay {
		t.command(append([]string{"UNLINK", other.position}, other.sets...)...)
		t.command("HDEL", n.control, ledgerPrefix+other.ledger, damagedPrefix+other.revision)
	}
	t.command("HSET", n.control, fieldMarker, markerVersion, fieldUID, c.UID, ledgerPrefix+n.ledger, row.text())
	if s.becomes(c.Revision) {
		t.command("HSET", n.control, fieldActive, c.Revision, fieldCount, strconv.FormatInt(s.at.Publication, 10))
	}
	if !s.control.created {
		t.command("HSET", n.control, fieldCreated, time.Now().UTC().Format(time.RFC3339))
	}
	if s.release {
		t.command("HDEL", n.control, fieldOp)
	}
	for _, command := range s.point {
		t.command(command...)
	}
}
