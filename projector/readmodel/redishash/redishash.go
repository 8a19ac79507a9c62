// Package redishash keeps entities as plain Redis hashes, one per entity, on
// one Redis server: one node, Sentinel or one hash slot. It knows nothing of
// streams and reducers, scans no database and retries nothing.
//
// # What it writes
//
// Entity 42 of a model with the key prefix "user:" is the hash "user:42", with
// one field per declared field that is set, as canonical text. Fields that are
// not declared are left alone. Redis holds no empty hash: an entity that
// exists with no field set is absent for readers and known by the ledger alone.
//
// The ledger of projection shop/user-profile, revision r, partition 0:
//
//	refold:{shop/user-profile}           control: the active revision, the ledgers there are
//	refold:{shop/user-profile}:r:0       position: id, epoch, entries, events, holder
//	refold:{shop/user-profile}:r:0:keys  key set: the entities that r made; ownership and enumeration
//	refold:{shop/user-profile}:r:0:bare  those of them that have no field set, and so no hash
//
// # Fencing and atomicity
//
// Each partition has a connection of its own. A commit is one MULTI/EXEC under
// WATCH of control and position, whose contents were read after the WATCH and
// name this claim; the WATCH and the read for the next commit travel behind
// the EXEC, so a commit is one round trip. A commit that creates entities takes
// one more, to see that their keys are free. Up to 256 of them are watched too:
// nothing foreign is then ever written to. Watching more would cost the server
// the square of their number; of a key that something else makes in the moment
// between the look and the EXEC of such a commit the projector tells afterwards.
package redishash

import (
	"context"
	"crypto/rand"
	"os"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/readmodel"
)

// Store is a readmodel.Store on one Redis server. Its methods may be called
// from several goroutines, for different partitions.
type Store struct {
	client *redis.Client
	schema *projector.Schema
	prefix string
	holder string // names this process among all that ever claimed

	mu   sync.Mutex
	held map[int]*partition // the last claim of each partition
}

var _ readmodel.Store = (*Store)(nil)

// New makes a store; it dials nothing. The client must not retry commands by
// itself: a commit that is sent twice is not a commit.
func New(client *redis.Client, schema *projector.Schema, keyPrefix string) *Store {
	host, _ := os.Hostname()
	return &Store{
		client: client,
		schema: schema,
		prefix: keyPrefix,
		holder: host + "/" + rand.Text(),
		held:   map[int]*partition{},
	}
}

// Close closes the client and with it every partition's connection.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.held {
		p.close()
	}
	clear(s.held)
	return s.client.Close()
}

// open makes a partition with a connection of its own in place of the one
// that was claimed before.
func (s *Store) open(c readmodel.Claim) *partition {
	fields := s.schema.Fields()
	p := &partition{
		store:  s,
		conn:   s.client.EphemeralConn(),
		names:  namesOf(c.Projection, c.Revision, c.Partition),
		fields: make([]any, len(fields)),
	}
	for i, f := range fields {
		p.fields[i] = f.Name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if former := s.held[c.Partition]; former != nil {
		former.close()
	}
	s.held[c.Partition] = p
	return p
}

// partition is one claim. Its connection holds a WATCH between commits.
type partition struct {
	store  *Store
	conn   *redis.Conn
	names  names
	epoch  int64
	at     projector.ID // committed, or as claimed
	seen   holder       // what the ledger said after the last WATCH
	fields []any        // the declared names, as arguments
}

func (p *partition) close() { _ = p.conn.Close() }

// Position reads on any connection: the partition's own may be gone.
func (p *partition) Position(ctx context.Context) (readmodel.Checkpoint, error) {
	fields, err := p.store.client.HGetAll(ctx, p.names.position).Result()
	if err != nil {
		return readmodel.Checkpoint{}, ledgerFault(p.names.position, err)
	}
	if len(fields) == 0 {
		return readmodel.Checkpoint{}, ledgerGone(p.names.position)
	}
	return parsePosition(p.names.position, fields)
}
