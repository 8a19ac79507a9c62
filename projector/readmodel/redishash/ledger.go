package redishash

import (
	"errors"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
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
	fieldLanes   = "lanes"  // absent at the tail, where all lanes are at id
	fieldHolder  = "holder" // who claimed last, for people and for a claim whose reply was lost
)

// names are the keys of one ledger.
type names struct {
	projection, revision, ledger, control, position string
	// sets are the sets of entities, each kind by lane.
	sets, keys, bare []string
}

func controlName(projection string) string { return "refold:{" + projection + "}" }

func namesOf(projection, revision string, partition int) names {
	return namesOfLedger(projection, revision+":"+strconv.Itoa(partition))
}

// namesOfLedger takes "<revision>:<partition>" as control lists it.
func namesOfLedger(projection, ledger string) names {
	control := controlName(projection)
	revision, _, _ := strings.Cut(ledger, ":")
	position := control + ":" + ledger
	n := names{projection: projection, revision: revision, ledger: ledger, control: control, position: position}
	for _, kind := range []string{":keys:", ":bare:"} {
		for lane := range readmodel.Lanes {
			n.sets = append(n.sets, position+kind+strconv.Itoa(lane))
		}
	}
	n.keys, n.bare = n.sets[:readmodel.Lanes], n.sets[readmodel.Lanes:]
	return n
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
	cp := readmodel.Checkpoint{Mark: readmodel.Mark{Position: id}}
	for _, number := range []struct {
		name string
		into *int64
	}{{fieldEpoch, &cp.Epoch}, {fieldEntries, &cp.Entries}, {fieldEvents, &cp.Events}} {
		n, numberErr := strconv.ParseInt(fields[number.name], 10, 64)
		*number.into, err = n, errors.Join(err, numberErr)
	}
	if text := fields[fieldLanes]; text != "" && err == nil {
		cp.Lanes, err = parseLanes(text, id)
	}
	if err != nil {
		return readmodel.Checkpoint{}, foreignLedger(key, err)
	}
	return cp, nil
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
