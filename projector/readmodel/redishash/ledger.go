package redishash

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/redisconn"
)

// Fields of the control hash. A field "ledger:<revision>:<partition>" holds the
// key prefix of that ledger's entities.
const (
	fieldMarker   = "refold" // the ledger's version; what makes the hash ours
	fieldActive   = "active"
	fieldUID      = "uid"
	fieldCreated  = "created"
	fieldDropping = "dropping" // a drop has begun and is not done
	fieldDamaged  = "damaged"  // what the entities miss, in words
	ledgerPrefix  = "ledger:"

	markerVersion = "1"
)

// Fields of the position hash.
const (
	fieldID      = "id"
	fieldEpoch   = "epoch"
	fieldEntries = "entries"
	fieldEvents  = "events"
	fieldHolder  = "holder" // who claimed last, for people and for a claim whose reply was lost
)

// names are the keys of one ledger.
type names struct{ projection, revision, ledger, control, position, keys, bare string }

func controlName(projection string) string { return "refold:{" + projection + "}" }

func namesOf(projection, revision string, partition int) names {
	return namesOfLedger(projection, revision+":"+strconv.Itoa(partition))
}

// namesOfLedger takes "<revision>:<partition>" as control lists it.
func namesOfLedger(projection, ledger string) names {
	control := controlName(projection)
	revision, _, _ := strings.Cut(ledger, ":")
	position := control + ":" + ledger
	return names{projection, revision, ledger, control, position, position + ":keys", position + ":bare"}
}

// control is the control hash, read.
type control struct {
	exists   bool
	active   string
	dropping bool
	damaged  string
	created  bool
	ledgers  map[string]string // "<revision>:<partition>" → key prefix
}

// parseControl fails with ReasonNotOwned for a hash that Refold did not write.
func parseControl(key string, fields map[string]string) (control, error) {
	if len(fields) == 0 {
		return control{}, nil
	}
	if v := fields[fieldMarker]; v != markerVersion {
		return control{}, foreignLedger(key, nil)
	}
	c := control{
		exists:   true,
		active:   fields[fieldActive],
		dropping: fields[fieldDropping] != "",
		damaged:  fields[fieldDamaged],
		created:  fields[fieldCreated] != "",
		ledgers:  map[string]string{},
	}
	for name, prefix := range fields {
		if ledger, ok := strings.CutPrefix(name, ledgerPrefix); ok {
			c.ledgers[ledger] = prefix
		}
	}
	return c, nil
}

// parsePosition fails with ReasonNotOwned for a hash that Refold did not write.
func parsePosition(key string, fields map[string]string) (readmodel.Checkpoint, error) {
	id, err := projector.ParseID(fields[fieldID])
	cp := readmodel.Checkpoint{Position: id}
	for _, number := range []struct {
		name string
		into *int64
	}{{fieldEpoch, &cp.Epoch}, {fieldEntries, &cp.Entries}, {fieldEvents, &cp.Events}} {
		n, numberErr := strconv.ParseInt(fields[number.name], 10, 64)
		*number.into, err = n, errors.Join(err, numberErr)
	}
	if err != nil {
		return readmodel.Checkpoint{}, foreignLedger(key, err)
	}
	return cp, nil
}

// positionArgs is HSET of the whole checkpoint.
func positionArgs(key string, cp readmodel.Checkpoint) []any {
	return []any{"hset", key, fieldID, cp.Position.String(), fieldEpoch, cp.Epoch,
		fieldEntries, cp.Entries, fieldEvents, cp.Events}
}

// ledgerFault turns an error of reading or writing the ledger into a fault.
func ledgerFault(key string, err error) error {
	if isWrongType(err) {
		return foreignLedger(key, err)
	}
	return redisFault(err)
}

// redisFault is a fault, or err itself where that is no fault: a context that
// has ended.
func redisFault(err error) error {
	if f := redisconn.Classify(redisconn.ReadModel, err); f != nil {
		return f
	}
	return err
}

func isWrongType(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

func foreignLedger(key string, cause error) error {
	return &fault.Error{
		Reason:    contract.ReasonNotOwned,
		Message:   fmt.Sprintf("the key %q holds something that Refold did not write; its ledger belongs there", key),
		Remedy:    "rename or delete that key, or give the Projection another name; it is looked at again by itself",
		Permanent: true,
		Err:       cause,
	}
}

// ledgerGone is for a ledger that was there when the partition was claimed.
// Claiming again tells whether it can be made anew.
func ledgerGone(key string) error {
	return &fault.Error{
		Reason:  contract.ReasonNotOwned,
		Message: fmt.Sprintf("the ledger %q was removed or changed by something else while it was in use", key),
		Remedy:  "nothing: the partition is claimed again; find out what changes the read model's ledger",
	}
}

func foreignEntity(key string) error {
	return &fault.Error{
		Reason:    contract.ReasonNotOwned,
		Message:   fmt.Sprintf("the key %q exists and was not made by this Projection", key),
		Remedy:    "rename or delete that key, or choose another readModel.redisHash.keyPrefix; it is looked at again by itself",
		Permanent: true,
	}
}

func changedByHand(key, what string) error {
	return &fault.Error{
		Reason:    contract.ReasonNotOwned,
		Message:   fmt.Sprintf("the key %q was changed by something other than Refold: %s", key, what),
		Remedy:    "put back what was there, or delete the Projection with deletionPolicy Delete and create it again",
		Permanent: true,
	}
}

// errPartial marks a commit of which not all was written.
var errPartial = errors.New("the transaction was executed in part")

func partial(format, what string) error {
	f := broken(fmt.Sprintf(format, what))
	f.Err = errPartial
	return f
}

func broken(message string) *fault.Error {
	return &fault.Error{
		Reason:    contract.ReasonNotOwned,
		Message:   message,
		Remedy:    "delete the Projection with deletionPolicy Delete and create it again: its read model is not exact any more; find out what writes to its keys",
		Permanent: true,
	}
}

// rewritten is for an entity that was not in the server as it was left there.
func rewritten(key string) error {
	return &fault.Error{
		Reason:  contract.ReasonNotOwned,
		Message: fmt.Sprintf("the key %q was changed or removed by something other than Refold", key),
		Remedy:  "nothing: it was written anew. Find out what changes it; the Redis' maxmemory-policy must be noeviction",
	}
}

// vanished is for an entity of which Redis has nothing left. Folding on would
// take it for one that never had a field.
func vanished(key string) error {
	return &fault.Error{
		Reason:    contract.ReasonNotOwned,
		Message:   fmt.Sprintf("the key %q was removed by something other than Refold: deleted, expired or evicted", key),
		Remedy:    "put back what was there, or delete the Projection with deletionPolicy Delete and create it again; set the Redis' maxmemory-policy to noeviction",
		Permanent: true,
	}
}

func replayNeeded(message string) error {
	return &fault.Error{
		Reason:    contract.ReasonReplayNeeded,
		Message:   message,
		Remedy:    "revert the change, or delete the Projection with deletionPolicy Delete and create it again: replays come with a later release",
		Permanent: true,
	}
}
