package contract

// Reasons of a Problem. They reach the Projection's conditions unchanged;
// docs/operations.md has a line and a remedy for each (a test says so).
const (
	// Transient: the projector backs off and goes on by itself.
	ReasonSourceUnreachable    = "SourceUnreachable"    // refused, unknown host, time-out, connection lost
	ReasonReadModelUnreachable = "ReadModelUnreachable" // the same for the target
	ReasonRedisLoading         = "RedisLoading"         // LOADING, also MASTERDOWN
	ReasonRedisReadOnly        = "RedisReadOnly"        // READONLY
	ReasonRedisOutOfMemory     = "RedisOutOfMemory"     // OOM
	ReasonRedisDiskError       = "RedisDiskError"       // MISCONF
	ReasonRedisBusy            = "RedisBusy"            // BUSY
	ReasonRedisNoReplicas      = "RedisNoReplicas"      // NOREPLICAS
	ReasonRedisClusterDown     = "RedisClusterDown"     // CLUSTERDOWN, MOVED, ASK, TRYAGAIN
	ReasonSourceMissing        = "SourceMissing"        // the stream is not there yet
	ReasonFromAfterEnd         = "FromAfterEnd"         // source.from lies after the last entry
	ReasonHeld                 = "Held"                 // a Job compares or publishes
	ReasonCuttingOver          = "CuttingOver"          // a Job swaps two revisions
	ReasonProtocolError        = "ProtocolError"        // a reply that cannot be right

	// Permanent: a person must act.
	ReasonAuthenticationFailed = "AuthenticationFailed" // NOAUTH, WRONGPASS
	ReasonPermissionDenied     = "PermissionDenied"     // NOPERM
	ReasonCredentialsMissing   = "CredentialsMissing"   // the Secret or its key is not there
	ReasonTLSFailed            = "TLSFailed"            // unknown CA, wrong name, refused client certificate
	ReasonWrongType            = "WrongType"            // the stream's key holds another type
	ReasonHistoryLost          = "HistoryLost"          // entries after the position are gone
	ReasonSourceDiverged       = "SourceDiverged"       // the log ends before the position
	ReasonHistoryIncomplete    = "HistoryIncomplete"    // a replay would miss entries that are gone
	ReasonNotComparable        = "NotComparable"        // the two revisions cannot be brought to one ID
	ReasonEventFailed          = "EventFailed"          // an event cannot be folded
	ReasonEventTooLarge        = "EventTooLarge"        // an event does not fit into the projector's memory
	ReasonNotOwned             = "NotOwned"             // something of that name exists and is not ours
	ReasonReplayNeeded         = "ReplayNeeded"         // the model is not one that the revision could go on from
	ReasonFenced               = "Fenced"               // a successor holds the partition
	ReasonInvalidContract      = "InvalidContract"      // the contract does not parse or compile
	ReasonMemoryTooSmall       = "MemoryTooSmall"       // no projector works within the memory limit
)
