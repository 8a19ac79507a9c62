package redisconn

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

// Classify says what err means. A fault that is in the chain already is
// returned as it is. It is nil for no error and for a context that has ended,
// which is the caller's to handle: never return the result as an error unseen.
func Classify(side Side, err error) *fault.Error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	if f := fault.As(err); f != nil {
		return f
	}
	if text, ok := serverText(err); ok {
		return reply(side, text, err)
	}
	if f := network(side, err); f != nil {
		return f
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return &fault.Error{
		Reason:  contract.ReasonProtocolError,
		Message: fmt.Sprintf("%s sent a reply that cannot be right", side),
		Remedy:  "nothing: it connects again and reads on from the position. If it stays, see the projector's log and what stands between it and the server",
		Err:     err,
	}
}

func (s Side) String() string {
	if s == ReadModel {
		return "the read model's Redis"
	}
	return "the source Redis"
}

func isServerError(err error) bool {
	_, ok := serverText(err)
	return ok
}

// serverText is an error reply's text, without the prefix that proxies add.
func serverText(err error) (string, bool) {
	var reply redis.Error
	if !errors.As(err, &reply) || errors.Is(err, redis.Nil) {
		return "", false
	}
	return reply.Error(), true
}

// meaning is what an error reply of one kind means.
type meaning struct {
	prefixes  []string
	reason    string
	permanent bool
	message   string // %s is the side
	remedy    string // %s is the manifest's field
}

const byItself = "nothing: it goes on by itself"

var meanings = []meaning{
	{[]string{"LOADING", "MASTERDOWN"}, contract.ReasonRedisLoading, false,
		"%s is loading its data, or its master is down", byItself + " when that has ended"},
	{[]string{"READONLY"}, contract.ReasonRedisReadOnly, false,
		"%s is a read-only replica", byItself + " when a failover ends; else let %s.url name the master"},
	{[]string{"OOM"}, contract.ReasonRedisOutOfMemory, false,
		"%s has used up its maxmemory", "free memory there or raise its maxmemory; it goes on by itself then"},
	{[]string{"MISCONF"}, contract.ReasonRedisDiskError, false,
		"%s refuses writes because it cannot save to its disk", "look at its log and its disk; it goes on by itself then"},
	{[]string{"BUSY ", "UNKILLABLE"}, contract.ReasonRedisBusy, false,
		"%s is busy with a script", byItself + " when the script ends (SCRIPT KILL ends it)"},
	{[]string{"NOREPLICAS"}, contract.ReasonRedisNoReplicas, false,
		"%s refuses writes because it has too few good replicas", "look at its replicas and min-replicas-to-write; it goes on by itself then"},
	{[]string{"CLUSTERDOWN", "MOVED", "ASK", "TRYAGAIN", "CROSSSLOT"}, contract.ReasonRedisClusterDown, false,
		"%s is a cluster node that does not serve this key now", byItself + " when the cluster is well; else let %s.url name the node that holds the key"},
	{[]string{"NOAUTH", "WRONGPASS", "ERR invalid password", "ERR invalid username-password",
		"ERR AUTH <password> called without any password", "ERR Client sent AUTH, but no password is set"},
		contract.ReasonAuthenticationFailed, true,
		"%s refuses the credentials", "let %s.credentialsSecretRef name a Secret whose keys password and (if it has users) username are what the server expects; a corrected Secret is picked up without a restart"},
	{[]string{"ERR max number of clients"}, "", false,
		"%s has no connection left: its maxclients is reached", "close idle clients there or raise its maxclients; it goes on by itself then"},
	{[]string{"ERR DB index is out of range", "ERR invalid DB index", "ERR SELECT is not allowed in cluster mode"}, contract.ReasonInvalidContract, true,
		"%s does not have that database", "correct the database number at the end of %s.url"},
	{[]string{"WRONGTYPE"}, contract.ReasonWrongType, true,
		"%s holds a key of another type there", "name another key, or remove what stands there if it is not needed"},
}

// reply says what an error reply means.
func reply(side Side, text string, err error) *fault.Error {
	bare := strings.TrimPrefix(text, "ERR ")
	for _, m := range meanings {
		for _, prefix := range m.prefixes {
			if strings.HasPrefix(text, prefix) || strings.HasPrefix(bare, prefix) {
				return m.fault(side, err)
			}
		}
	}
	if strings.HasPrefix(bare, "NOPERM") {
		return denied(side, bare, err)
	}
	return &fault.Error{
		Reason:  contract.ReasonProtocolError,
		Message: fmt.Sprintf("%s answered: %s", side, short(text)),
		Remedy:  "nothing: it tries again. If it stays, the server may be too old (Redis 5 at least) or not be a Redis",
		Err:     err,
	}
}

func (m meaning) fault(side Side, err error) *fault.Error {
	f := &fault.Error{
		Reason:    m.reason,
		Message:   fmt.Sprintf(m.message, side),
		Remedy:    strings.ReplaceAll(m.remedy, "%s", side.field()),
		Permanent: m.permanent,
		Err:       err,
	}
	if f.Reason == "" {
		f.Reason = side.unreachable()
	}
	return f
}

// denied keeps the server's words: they say which command or which key.
func denied(side Side, text string, err error) *fault.Error {
	words := strings.TrimSpace(strings.TrimPrefix(text, "NOPERM"))
	return &fault.Error{
		Reason:    contract.ReasonPermissionDenied,
		Message:   fmt.Sprintf("%s does not allow it: %s", side, short(words)),
		Remedy:    fmt.Sprintf("give the user of %s.credentialsSecretRef that permission (ACL SETUSER); the next try picks it up", side.field()),
		Permanent: true,
		Err:       err,
	}
}

// short keeps a server's words from filling a status.
func short(text string) string {
	const most = 200
	text = strings.ToValidUTF8(text, "?")
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
