package redishash

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
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

// claim is one attempt: look, decide, write.
func (p *partition) claim(c readmodel.Claim) (readmodel.Checkpoint, error) {
	found, err := p.find()
	if err != nil {
		return readmodel.Checkpoint{}, err
	}
	giveWay, err := p.others(found.control)
	if err != nil {
		return readmodel.Checkpoint{}, err
	}
	cp, err := p.next(found, c)
	if err != nil {
		return readmodel.Checkpoint{}, err
	}
	cp.Empty = found.taken == ""
	return cp, p.write(c, cp, found, giveWay)
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

// others watches and looks at the ledgers of other revisions: those that have
// folded nothing give way, any other is in the way.
func (p *partition) others(c control) (giveWay []names, err error) {
	for listed := range c.ledgers {
		other := namesOfLedger(p.names.projection, listed)
		if other.revision == p.names.revision {
			continue
		}
		folded, err := p.folded(other)
		if err != nil {
			return nil, err
		}
		if folded {
			return nil, replayNeeded(fmt.Sprintf("the read model was folded by revision %s; revision %s folds otherwise", other.revision, p.names.revision))
		}
		giveWay = append(giveWay, other)
	}
	return giveWay, nil
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
	prefix, listed := found.control.ledgers[p.names.ledger]
	switch {
	case found.control.dropping:
		return readmodel.Checkpoint{}, replayNeeded("removing the read model was begun and not finished: what is left of it is incomplete")
	case found.control.damaged != "":
		return readmodel.Checkpoint{}, broken(found.control.damaged)
	case listed && prefix != p.store.prefix:
		return readmodel.Checkpoint{}, replayNeeded(fmt.Sprintf("the read model was folded with the key prefix %q", prefix))
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
func (p *partition) write(c readmodel.Claim, cp readmodel.Checkpoint, found ledger, giveWay []names) error {
	t := p.pool.take()
	defer p.pool.give(t)
	for _, other := range giveWay {
		t.command(append([]string{"UNLINK", other.position}, other.sets...)...)
		t.command("HDEL", p.names.control, ledgerPrefix+other.ledger)
	}
	t.command("HSET", p.names.control, fieldMarker, markerVersion, fieldActive, c.Revision,
		fieldUID, c.UID, ledgerPrefix+p.names.ledger, p.store.prefix)
	if !found.control.created {
		t.command("HSET", p.names.control, fieldCreated, time.Now().UTC().Format(time.RFC3339))
	}
	t.id, t.lanes = cp.Position.Append(t.id), append(t.lanes, found.position[fieldLanes]...)
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
