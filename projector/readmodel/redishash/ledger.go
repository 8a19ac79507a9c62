package redishash

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/redisconn"
)

// Fields of the control hash. A field "ledger:<revision>:<partition>" holds a
// row, as JSON.
const (
	fieldMarker   = "refold" // the ledger's version; what makes the hash ours
	fieldActive   = "active"
	fieldCount    = "publication" // rises whenever active is changed
	fieldUID      = "uid"
	fieldCreated  = "created"
	fieldDropping = "dropping" // a drop of everything has begun and is not done
	fieldOp       = "op"       // what a Job does, as JSON; see operation
	ledgerPrefix  = "ledger:"
	damagedPrefix = "damaged:" // with a revision: what its entities miss, in words
	goingPrefix   = "going:"   // with a revision: where its entities are that a drop has begun to remove

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

// row is what control says of one ledger.
type row struct {
	Prefix  string   `json:"prefix"`
	Cutover string   `json:"cutover"`
	Source  string   `json:"source"`
	Fields  []string `json:"fields"`          // sorted
	Until   string   `json:"until,omitempty"` // the last ID that is ever folded
}

// end is where a revision that is to go up to an ID is complete.
func (r row) end(at projector.ID) projector.ID {
	if until, err := projector.ParseID(r.Until); r.Until != "" && err == nil && until.Compare(at) < 0 {
		return until
	}
	return at
}

// parseRow also reads what was written before there were rows: the prefix alone.
func parseRow(text string) row {
	var r row
	if json.Unmarshal([]byte(text), &r) != nil || r.Cutover == "" {
		return row{Prefix: text, Cutover: contract.CutoverRename}
	}
	return r
}

func (r row) text() string {
	text, _ := json.Marshal(r) // of strings alone
	return string(text)
}

// control is the control hash, read.
type control struct {
	exists   bool
	active   string // the published revision
	dropping bool
	created  bool
	ledgers  map[string]row    // by "<revision>:<partition>"
	damaged  map[string]string // by revision
	going    map[string]string // by revision: the location
	op       *operation
	count    int64 // of the publication
}

// rows are a revision's ledgers, in the order of their partitions.
func (c control) rows(revision string) (ledgers []string) {
	for ledger := range c.ledgers {
		if r, _, _ := strings.Cut(ledger, ":"); r == revision {
			ledgers = append(ledgers, ledger)
		}
	}
	slices.Sort(ledgers)
	return ledgers
}

// layout is that of a revision that has a ledger.
func (c control) layout(revision string) layout {
	l := layout{revision: revision}
	if rows := c.rows(revision); len(rows) > 0 {
		r := c.ledgers[rows[0]]
		l.prefix, l.cutover = r.Prefix, r.Cutover
	}
	return l
}

// source names a revision's log.
func (c control) source(revision string) string {
	if rows := c.rows(revision); len(rows) > 0 {
		return c.ledgers[rows[0]].Source
	}
	return ""
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
		created:  fields[fieldCreated] != "",
		ledgers:  map[string]row{},
		damaged:  map[string]string{},
		going:    map[string]string{},
	}
	for name, text := range fields {
		if ledger, ok := strings.CutPrefix(name, ledgerPrefix); ok {
			c.ledgers[ledger] = parseRow(text)
		}
		if revision, ok := strings.CutPrefix(name, damagedPrefix); ok {
			c.damaged[revision] = text
		}
		if revision, ok := strings.CutPrefix(name, goingPrefix); ok {
			c.going[revision] = text
		}
	}
	var err, countErr error
	c.op, err = parseOperation(fields[fieldOp])
	if text := fields[fieldCount]; text != "" {
		c.count, countErr = strconv.ParseInt(text, 10, 64)
	}
	if err := errors.Join(err, countErr); err != nil {
		return control{}, foreignLedger(key, err)
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
