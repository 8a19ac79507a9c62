// Package failpoint lets tests kill a projector at a named step. It is
// compiled in with the build tag failpoints alone; elsewhere Hit is nothing.
//
// REFOLD_FAILPOINT=name:after-N kills the process with SIGKILL at the Nth time
// that the step name is reached.
package failpoint

// Steps of the protocol.
const (
	Claimed         = "claimed"           // the epoch is raised, nothing is read
	Read            = "read"              // a batch is here, nothing is folded
	Folded          = "folded"            // a batch is folded, nothing is sent
	BeforeCommit    = "before-commit"     // about to send
	CommitReplyLost = "commit-reply-lost" // the store has committed, nobody here knows
	Committed       = "committed"         // it is known here
	BeforeAck       = "before-ack"        // about to acknowledge
)
