// Package api is the wire format of a projector's inspect API: its paths, what it
// answers, and how a stream of answers is read. Whoever asks imports it; it does
// no I/O of its own, and needs the standard library and the projector's leaves
// alone.
package api

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/refold-dev/refold/projector/contract"
)

// Port is that of contract.InspectAddress, to which kubectl port-forward leads.
const Port = 8081

// Paths. Those of one entity are made by EntityPath.
const (
	InfoPath     = "/v1/info"
	EntitiesPath = "/v1/entities"
	StatesPath   = "/v1/states"
	LogPath      = "/v1/log"
	DiffPath     = "/v1/diff"
)

// What there is below an entity's path.
const (
	History = "history"
	State   = "state"
)

// StreamType is the content type of streams: one Line as JSON on each line.
const StreamType = "application/x-ndjson"

// EntityPath is the path of an entity, whatever bytes its key has, and of what is
// below it, if that is named.
func EntityPath(key string, below ...string) string {
	segment := strings.ReplaceAll(url.PathEscape(key), ".", "%2E") // "." and ".." are no segments
	return strings.Join(append([]string{EntitiesPath, segment}, below...), "/")
}

// SplitEntityPath takes an escaped path apart that EntityPath made.
func SplitEntityPath(escaped string) (key, below string, ok bool) {
	segment, ok := strings.CutPrefix(escaped, EntitiesPath+"/")
	if !ok {
		return "", "", false
	}
	segment, below, _ = strings.Cut(segment, "/")
	key, err := url.PathUnescape(segment)
	return key, below, err == nil && key != ""
}

// Info is the answer of InfoPath.
type Info struct {
	Projection string `json:"projection"`
	Revision   string `json:"revision"`
	Contract   string `json:"contract"` // hex SHA-256 of the contract file
	Build      string `json:"build"`    // the projector's version
	Stream     string `json:"stream"`

	// State, Published, Position and Problem are as in /statusz.
	State     contract.State    `json:"state"`
	Published bool              `json:"published"`
	Position  string            `json:"position"`
	Problem   *contract.Problem `json:"problem,omitempty"`

	Log       Log              `json:"log"`
	Revisions []Revision       `json:"revisions"` // that the read model holds, the published one first
	Reducer   contract.Reducer `json:"reducer"`
	Fields    []contract.Field `json:"fields"`

	From   string `json:"from"` // as in source
	Until  string `json:"until,omitempty"`
	Format string `json:"format"`
	Limits Limits `json:"limits"`
}

// Limits bound what may be asked.
type Limits struct {
	Scans     int   `json:"scans"`     // of the log at once
	Follows   int   `json:"follows"`   // of the log at once
	Others    int   `json:"others"`    // questions at once that need neither
	FoldBytes int64 `json:"foldBytes"` // memory for the entities of StatesPath
}

// Log is what the stream holds.
type Log struct {
	Entries int64            `json:"entries"`
	FirstID string           `json:"firstID,omitempty"` // "" while there is none
	LastID  string           `json:"lastID,omitempty"`
	History contract.History `json:"history"` // whether all from source.from on is there
}

// Revision is one that the read model holds.
type Revision struct {
	Name      string `json:"name"`
	Published bool   `json:"published"`
}

// Keys is the answer of EntitiesPath.
type Keys struct {
	Keys []Text `json:"keys"`           // in no order
	Next string `json:"next,omitempty"` // for after=, where there are more
}

// Entity is an entity at some time.
type Entity struct {
	Key    Text `json:"key"`
	Exists bool `json:"exists"`
	// Fields are those that are set; there may be none.
	Fields map[string]Text `json:"fields,omitempty"`
	// Position is the ID up to which the log is folded into it.
	Position string `json:"position,omitempty"`
	// Changed is the last event that touched it, where the log was asked.
	Changed string `json:"changed,omitempty"`
	// Incomplete says that a part of the history was gone.
	Incomplete bool `json:"incomplete,omitempty"`
}

// Line is one line of a stream: one of its members is set.
type Line struct {
	Progress   *Progress   `json:"progress,omitempty"`
	Step       *Step       `json:"step,omitempty"`       // history
	Entity     *Entity     `json:"entity,omitempty"`     // state, states
	Event      *Event      `json:"event,omitempty"`      // log
	Difference *Difference `json:"difference,omitempty"` // diff
	End        *End        `json:"end,omitempty"`        // the last line
	Error      *Error      `json:"error,omitempty"`      // the last line, of a stream that failed
}

// Progress is how far a scan is.
type Progress struct {
	Position string `json:"position"` // the last ID that was read
	Last     string `json:"last"`     // the last ID that will be
	Entries  int64  `json:"entries"`  // read so far
	Of       int64  `json:"of"`       // about how many there are
}

// End is what a stream ends with.
type End struct {
	Position string `json:"position,omitempty"` // the last ID that was looked at
	Entries  int64  `json:"entries"`            // read
	Lines    int64  `json:"lines"`              // answered, without progress
	// Incomplete says that a part of the history was gone.
	Incomplete bool `json:"incomplete,omitempty"`
	// Halted is the event that the projector does not pass, where the stream ended
	// before it.
	Halted string `json:"halted,omitempty"`
	// Behind says that the projector is folded no further than Position, while the
	// log has more.
	Behind bool    `json:"behind,omitempty"`
	Entity *Entity `json:"entity,omitempty"` // history: as it is then
	More   bool    `json:"more,omitempty"`   // log: there is more of what was asked for
	Counts *Counts `json:"counts,omitempty"` // diff
}

// Step is what one event did to the entity that was asked for.
type Step struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Type    Text      `json:"type"`
	Created bool      `json:"created,omitempty"`
	Deleted bool      `json:"deleted,omitempty"`
	// Rules are indices in reducer.rules; null for reducers that cannot tell.
	Rules   []int    `json:"rules"`
	Changes []Change `json:"changes,omitempty"`
}

// Change is a field that became another; null is a field that is not set.
type Change struct {
	Field string `json:"field"`
	Old   *Text  `json:"old"`
	New   *Text  `json:"new"`
}

// Event is an entry of the log.
type Event struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	Type Text      `json:"type,omitempty"`
	// Fields are the entry's, in order, without what Document holds.
	Fields []Field `json:"fields,omitempty"`
	// Document is the payload of the formats JSON and CloudEvents.
	Document json.RawMessage `json:"document,omitempty"`
	Keys     []Text          `json:"keys,omitempty"`    // of the entities that it touches
	Skipped  string          `json:"skipped,omitempty"` // why it touches none
	Problem  string          `json:"problem,omitempty"` // why it cannot be folded
}

// Field is one field of an entry.
type Field struct {
	Name  Text `json:"name"`
	Value Text `json:"value"`
}

// Difference is an entity that is another one in the candidate.
type Difference struct {
	Key     Text     `json:"key"`
	Change  string   `json:"change"`            // contract.Added, Removed or Changed
	Changes []Change `json:"changes,omitempty"` // old: published, new: candidate
	// Unsettled says that the two were never seen folded up to one ID: the events
	// between may be all the difference.
	Unsettled bool `json:"unsettled,omitempty"`
}

// Counts are those of a diff.
type Counts struct {
	Published     string           `json:"published"` // the two revisions
	Candidate     string           `json:"candidate"`
	Same          int64            `json:"same"`
	Added         int64            `json:"added"`
	Removed       int64            `json:"removed"`
	Changed       int64            `json:"changed"`
	Unsettled     int64            `json:"unsettled,omitempty"` // of those three
	ChangedFields map[string]int64 `json:"changedFields,omitempty"`
}

// Failure is the answer to a request that failed, whatever was asked for.
type Failure struct {
	Error Error `json:"error"`
}

// Error says what went wrong and what to do.
type Error struct {
	Reason  string `json:"reason"` // one of those below, or of package contract's
	Message string `json:"message"`
}

func (e Error) Error() string { return e.Message }

// Reasons of an Error, beside those that package contract has for faults.
const (
	ReasonBadRequest   = "BadRequest"   // a parameter that there is not, or of no sense
	ReasonBadID        = "BadID"        // neither an ID nor a time
	ReasonOutsideLog   = "OutsideLog"   // an ID or a time before or after the log
	ReasonNoSuchEntity = "NoSuchEntity" // no event made it
	ReasonNoRevision   = "NoRevision"   // the read model does not hold it
	ReasonNotFound     = "NotFound"     // no such path
	ReasonTooMany      = "TooMany"      // others look already
	ReasonTooLarge     = "TooLarge"     // it does not fit into the memory for it
	ReasonForbidden    = "Forbidden"    // asked for by a page of another site
	ReasonUnavailable  = "Unavailable"  // a server, or the contract, is not as it should be
	ReasonIncomplete   = "Incomplete"   // a part of the history is gone
	ReasonInternal     = "Internal"     // a fault of the projector's own
)
