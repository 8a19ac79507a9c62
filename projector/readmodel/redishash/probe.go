package redishash

import (
	"crypto/rand"
	"strings"
)

// mayRestore says whether RESTORE makes the hashes that HSET would. Each claim
// tries it, since a failover may lead to another server, on a key of the
// ledger's namespace, in a transaction that removes it again. A server or a user
// that refuses RESTORE is served by HSET and not asked again; one that refuses
// to write at all will be.
func (p *partition) mayRestore() (bool, error) {
	if !p.store.fit || p.store.noRestore.Load() {
		return false, nil
	}
	may, sure, err := p.tryRestore()
	if err == nil && sure {
		p.store.noRestore.Store(!may)
	}
	return may, err
}

// probeTTL, in milliseconds, ends the key where MULTI was refused, and the
// connection lost before UNLINK.
const probeTTL = "1000"

func (p *partition) tryRestore() (may, sure bool, err error) {
	key := p.names.position + ":probe:" + rand.Text() // nobody's
	replies, err := ask(p.wire, []string{"MULTI"},
		[]string{"RESTORE", key, probeTTL, string(probePayload())}, []string{"HGETALL", key}, []string{"UNLINK", key},
		[]string{"EXEC"})
	if err != nil {
		return false, false, err
	}
	if refusal := replies[1].err; refusal != nil {
		return false, refusesRestore(refusal), nil
	}
	results := replies[4].list
	if len(results) != 3 {
		return false, false, nil
	}
	if refusal := results[0].err; refusal != nil {
		return false, refusesRestore(refusal), nil
	}
	got := results[1].pairs()
	return len(got) == 2 && got["text"] == "a" && got["number"] == "-70000", true, nil
}

func probePayload() []byte {
	packed := make([]byte, listpackHead)
	for _, text := range []string{"text", "a", "number", "-70000"} {
		packed, _ = appendPackedText(packed, text)
	}
	return appendPayload(nil, closeListpack(packed, 4))
}

// refusesRestore tells a refusal of RESTORE, or of the format, from one of any
// write.
func refusesRestore(err error) bool {
	for _, prefix := range []string{"NOPERM", "ERR unknown command", "ERR DUMP payload", "ERR Bad data format"} {
		if strings.HasPrefix(err.Error(), prefix) {
			return true
		}
	}
	return false
}
