package redishash

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
)

// claimAttempts bounds how often a claim starts over because another one, or
// a commit, came between its reads and its write.
const claimAttempts = 10

// errContended says that the ledger changed between WATCH and EXEC.
var errContended = errors.New("the ledger changed while it was looked at")

// Claim implements readmodel.Store.
func (s *Store) Claim(ctx context.Context, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint, error) {
	p := s.open(c)
	for range claimAttempts {
		cp, err := p.claim(ctx, c)
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
	keys     int64             // entities in the key set
}

// claim is one attempt: look, decide, write.
func (p *partition) claim(ctx context.Context, c readmodel.Claim) (readmodel.Checkpoint, error) {
	found, err := p.look(ctx)
	if err != nil {
		return readmodel.Checkpoint{}, err
	}
	giveWay, err := p.others(ctx, found.control)
	if err != nil {
		return readmodel.Checkpoint{}, err
	}
	cp, err := p.next(found, c)
	if err != nil {
		return readmodel.Checkpoint{}, err
	}
	return cp, p.write(ctx, c, cp, found.control, giveWay)
}

// look watches and reads the ledger. The empty transaction before that lets go
// of an earlier attempt's WATCH, and shows that this user may use transactions:
// where MULTI is refused, Redis takes what follows for commands of their own.
func (p *partition) look(ctx context.Context) (ledger, error) {
	pipe := p.conn.Pipeline()
	multi, exec := pipe.Do(ctx, "multi"), pipe.Do(ctx, "exec")
	watched := pipe.Do(ctx, "watch", p.names.control, p.names.position, p.names.keys)
	controlReply := pipe.HGetAll(ctx, p.names.control)
	positionReply := pipe.HGetAll(ctx, p.names.position)
	keysReply := pipe.SCard(ctx, p.names.keys)
	send(ctx, pipe)
	for _, reply := range []struct {
		key string
		err error
	}{
		{p.names.control, multi.Err()},
		{p.names.control, exec.Err()},
		{p.names.control, watched.Err()},
		{p.names.control, controlReply.Err()},
		{p.names.position, positionReply.Err()},
		{p.names.keys, keysReply.Err()},
	} {
		if reply.err != nil {
			return ledger{}, ledgerFault(reply.key, reply.err)
		}
	}
	parsed, err := parseControl(p.names.control, controlReply.Val())
	return ledger{parsed, positionReply.Val(), keysReply.Val()}, err
}

// others watches and looks at the ledgers of other revisions: those that have
// folded nothing give way, any other is in the way.
func (p *partition) others(ctx context.Context, c control) (giveWay []names, err error) {
	for listed := range c.ledgers {
		other := namesOfLedger(p.names.projection, listed)
		if other.revision == p.names.revision {
			continue
		}
		pipe := p.conn.Pipeline()
		pipe.Do(ctx, "watch", other.position, other.keys)
		events := pipe.HGet(ctx, other.position, fieldEvents)
		keys := pipe.SCard(ctx, other.keys)
		if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
			return nil, ledgerFault(other.position, err)
		}
		if (events.Val() != "0" && events.Val() != "") || keys.Val() > 0 {
			return nil, replayNeeded(fmt.Sprintf("the read model was folded by revision %s; revision %s folds otherwise", other.revision, p.names.revision))
		}
		giveWay = append(giveWay, other)
	}
	return giveWay, nil
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
	case listed && found.keys > 0:
		return readmodel.Checkpoint{}, replayNeeded(fmt.Sprintf("the position %q was removed by something else: how far the read model is folded can't be known", p.names.position))
	case found.keys > 0:
		return readmodel.Checkpoint{}, foreignLedger(p.names.keys, nil)
	}
	return readmodel.Checkpoint{Position: c.Start, Entries: -1, Epoch: c.Held + 1}, nil
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
func (p *partition) write(ctx context.Context, c readmodel.Claim, cp readmodel.Checkpoint, was control, giveWay []names) error {
	pipe := p.conn.Pipeline()
	pipe.Do(ctx, "multi")
	for _, other := range giveWay {
		pipe.Do(ctx, "unlink", other.position, other.keys, other.bare)
		pipe.Do(ctx, "hdel", p.names.control, ledgerPrefix+other.ledger)
	}
	pipe.Do(ctx, "hset", p.names.control, fieldMarker, markerVersion, fieldActive, c.Revision,
		fieldUID, c.UID, ledgerPrefix+p.names.ledger, p.store.prefix)
	if !was.created {
		pipe.Do(ctx, "hset", p.names.control, fieldCreated, time.Now().UTC().Format(time.RFC3339))
	}
	pipe.Do(ctx, append(positionArgs(p.names.position, cp), fieldHolder, p.store.holder)...)
	exec := pipe.Do(ctx, "exec")
	watched := p.queueWatch(ctx, pipe)
	cmds := send(ctx, pipe)
	switch err := execError(cmds, exec); {
	case errors.Is(err, readmodel.ErrOutcomeUnknown):
		return redisFault(exec.Err()) // a claim can be made again
	case err != nil:
		return err
	}
	if _, err := p.whole(exec, 0, nil); err != nil {
		return err
	}
	p.epoch, p.at = cp.Epoch, cp.Position
	return p.readWatch(watched)
}
