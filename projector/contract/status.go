package contract

// StatuszPath is where a projector serves Status, as JSON, on its HTTP port.
const StatuszPath = "/statusz"

// Port is the projector's HTTP port for /statusz, /metrics and /healthz.
const Port = 8080

// InspectAddress is where a projector that the operator runs answers people's
// questions: on the loopback of its pod, so that who may port-forward to it may
// ask and nobody else. See projector/inspect/api.
const InspectAddress = "127.0.0.1:8081"

// InspectVariable is the environment variable that tells a projector its
// InspectAddress: an image that is older than the API passes it over, and would
// not start with a flag that it does not know.
const InspectVariable = "REFOLD_INSPECT"

// Status is the answer of /statusz: the counterpart of Document.
type Status struct {
	Version          int         `json:"version"`
	Projection       string      `json:"projection"`
	Revision         string      `json:"revision"`
	Contract         string      `json:"contract"` // hex SHA-256 of the contract file it runs
	Build            string      `json:"build"`    // the projector's version
	StartedAt        string      `json:"startedAt"`
	MemoryLimitBytes int64       `json:"memoryLimitBytes"` // what Go keeps the process below; 0 for no limit
	Partitions       []Partition `json:"partitions"`
}

// State of a partition.
type State string

// What a partition may be doing.
const (
	StateClaiming   State = "Claiming"   // raising the epoch, reading the checkpoint
	StateWaiting    State = "Waiting"    // the stream is not there yet, or ends before source.from
	StateCatchingUp State = "CatchingUp" // folding, behind the tail
	StateLive       State = "Live"       // folding at the tail
	StateHolding    State = "Holding"    // stands still for a Job that compares or publishes; goes on by itself
	StateCompleted  State = "Completed"  // folded up to source.until, and done
	StateBackingOff State = "BackingOff" // a transient fault; tries again by itself
	StateHalted     State = "Halted"     // a person must act; see Problem. Credentials and such are still tried again, slowly
	StateFenced     State = "Fenced"     // a successor holds the partition
	StateStopped    State = "Stopped"    // shut down
)

// States lists every State.
var States = []State{StateClaiming, StateWaiting, StateCatchingUp, StateLive, StateHolding, StateCompleted, StateBackingOff, StateHalted, StateFenced, StateStopped}

// History says whether the stream still holds everything from source.from on.
type History string

// What can be said of the history.
const (
	HistoryComplete   History = "Complete"
	HistoryIncomplete History = "Incomplete"
	HistoryUnknown    History = "Unknown"
)

// Partition is one stream's state in one projector.
type Partition struct {
	Partition       int      `json:"partition"`
	Stream          string   `json:"stream"`
	State           State    `json:"state"`
	Claimed         bool     `json:"claimed"`     // has held the partition at least once; Position and Events are then the ledger's
	Published       bool     `json:"published"`   // as last claimed: this revision is the one that readers read
	Publication     int64    `json:"publication"` // number of what is published in the read model, as of Published: see Cutover
	Epoch           int64    `json:"epoch"`
	Position        string   `json:"position"`  // last stream ID whose effect is in the read model, "0-0" at first
	Tail            string   `json:"tail"`      // the stream's last generated ID, "" while unknown
	Entries         int64    `json:"entries"`   // ordinal of Position in the stream, -1 while unknown
	Events          int64    `json:"events"`    // folded into this revision since it began
	LagEvents       int64    `json:"lagEvents"` // entries after Position, -1 while unknown
	LagSeconds      int64    `json:"lagSeconds"`
	CaughtUp        bool     `json:"caughtUp"`        // lag is within a batch of the tail
	EventsPerSecond float64  `json:"eventsPerSecond"` // folded, over the last seconds
	EtaSeconds      int64    `json:"etaSeconds"`      // to the tail at the present rate, -1 while unknown or never
	Skipped         Skipped  `json:"skipped"`
	Rejected        int64    `json:"rejectedCommits"` // commits that an epoch above ours refused, in this process
	History         History  `json:"history"`
	Memory          Memory   `json:"memory"`
	Problem         *Problem `json:"problem,omitempty"`
}

// Memory is what entities take in memory.
type Memory struct {
	UsedBytes   int64 `json:"usedBytes"`
	BudgetBytes int64 `json:"budgetBytes"` // UsedBytes stays below, but for what is not committed yet
}

// Skipped counts, since this process started, events that touch nothing.
type Skipped struct {
	UnnamedType int64 `json:"unnamedType"` // no rule names the type
	NoKey       int64 `json:"noKey"`       // the key expression gave no key
}

// Problem is why a partition does not advance.
type Problem struct {
	Reason    string `json:"reason"`            // one of the Reason constants
	Message   string `json:"message"`           // what happened; no secret, no changing number
	Remedy    string `json:"remedy"`            // what a person should do, or that nothing is needed
	Permanent bool   `json:"permanent"`         // a person must act
	EventID   string `json:"eventID,omitempty"` // the event that could not be folded
	Since     string `json:"since"`             // RFC 3339
}

// Result is what a finite job (verify, cutover, drop) writes to its termination
// message, as JSON under 4 KiB.
type Result struct {
	Version int      `json:"version"`
	Done    bool     `json:"done"`
	Message string   `json:"message"`
	Problem *Problem `json:"problem,omitempty"`
	Diff    *Diff    `json:"diff,omitempty"`    // verify
	Cutover *Cutover `json:"cutover,omitempty"` // cutover; also of one that failed, from the point of no return on: without it nothing was touched
}

// Diff is what publishing a candidate would change for readers, counted in
// entities. An entity without any field is none to a reader.
type Diff struct {
	AtID          string           `json:"atID"` // the ID up to which both are folded; "" where the logs are not the same
	Same          int64            `json:"same"`
	Added         int64            `json:"added"`
	Removed       int64            `json:"removed"`
	Changed       int64            `json:"changed"`
	ChangedFields map[string]int64 `json:"changedFields,omitempty"` // of Changed; at most 32
	Digest        string           `json:"digest"`                  // of the candidate's entities; hex, does not depend on order
	Sample        []DiffSample     `json:"sample,omitempty"`        // at most 20
	HeldMillis    int64            `json:"heldMillis"`              // how long both stood still
}

// DiffSample is one entity that differs.
type DiffSample struct {
	Key    string   `json:"key"`    // at most 64 bytes, valid UTF-8
	Change string   `json:"change"` // Added, Removed or Changed
	Fields []string `json:"fields,omitempty"`
}

// Values of DiffSample.Change.
const (
	Added   = "Added"
	Removed = "Removed"
	Changed = "Changed"
)

// Cutover is what a cutover did.
type Cutover struct {
	From         string `json:"from"`
	To           string `json:"to"`
	Entities     int64  `json:"entities"`     // that were renamed
	PausedMillis int64  `json:"pausedMillis"` // how long writers stood still
	Publication  int64  `json:"publication"`  // number of what is published: it only rises, also when a server lost its ledger
}
