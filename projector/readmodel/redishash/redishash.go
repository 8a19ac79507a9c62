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
// That is where readers find the published revision. Another revision, r, has the
// same entity in the hash "~r:user:42": a candidate that is built beside it, or
// one that was published before and is kept up to date for a rollback. With the
// cutover Pointer each revision's is "user:@r:42" at all times, and the string
// "user:@active" names the published one. Where a partition's entities are is
// decided at its claim; what publishes a revision fences all claims.
//
// The ledger of projection shop/user-profile, revision r, partition 0:
//
//	refold:{shop/user-profile}              control: the published revision, the ledgers there are, what a Job does
//	refold:{shop/user-profile}:r:0          position: id, epoch, entries, events, holder, lanes
//	refold:{shop/user-profile}:r:0:keys:17  key set: the entities of lane 17 that r made; ownership and enumeration
//	refold:{shop/user-profile}:r:0:bare:17  those of them that have no field set, and so no hash
//
// A key set per lane, 0 to 63, since commits far behind the tail are of one lane:
// the server works on a small set at a time, which stays in its cache. A commit
// changes position with them, and a drop control before them.
//
// The field lanes is there while the partition's lanes are not all at id: 64
// words with one space between, word n "<ms>-<seq>/<entries>/<events>" of lane
// n. Then id, entries and events are those of the lane that is the least far.
//
// # Fencing and atomicity
//
// Each partition has a connection of its own for its commits, and one more for
// what is loaded beside them. A commit is one MULTI/EXEC under WATCH of control
// and position, whose contents were read after the WATCH and name this claim;
// the WATCH and the read for the next commit travel behind the EXEC, so a commit
// is one round trip. A commit that creates entities takes one more, to see that
// their keys are free. Up to 256 of them are watched too: nothing foreign is
// then ever written to. Watching more would cost the server the square of their
// number; of a key that something else makes in the moment between the look and
// the EXEC of such a commit the projector tells afterwards.
//
// # Making hashes
//
// A new entity that Redis would keep as a listpack is sent as one, by RESTORE:
// the server then only copies it. RESTORE refuses a key that is taken. Whether
// the server and the user's rights allow it is tried at each claim, in a
// transaction that leaves nothing behind; where they do not, HSET makes the hash.
//
// # Replays
//
// Jobs write to control alone, under a WATCH of it, and to entities' names. One
// that needs writers to stand still puts its operation there and raises the
// epochs of both revisions: their next commit is fenced, and their next claim
// says how far they may fold. That is a lease, by the server's clock, until a
// cutover has passed its point of no return. Then only a Job ends it, and any
// Job can: a rename whose destination is taken or whose source is gone changes
// nothing, and a batch is written under a WATCH of what names its Job.
package redishash

import (
	"cmp"
	"context"
	"crypto/rand"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/failpoint"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/redisconn"
)

// Store is a readmodel.Store on one Redis server. Its methods may be called
// from several goroutines, for different partitions.
type Store struct {
	client *redis.Client
	schema *projector.Schema
	fields []field
	all    []byte // the fields' names, as words of a command
	fit    bool   // all fields' names fit into listpacks
	row    row    // what a claim's ledger says; its Source is the claim's
	holder string // names this process among all that ever claimed

	noRestore atomic.Bool // it was refused

	lease   time.Duration     // how long a hold lasts that nobody ends
	reached func(step string) // for tests; nil

	mu   sync.Mutex
	held map[int]*partition // the last claim of each partition
}

var _ readmodel.Store = (*Store)(nil)

// New makes a store; it dials nothing. The client must not retry commands by
// itself: a commit that is sent twice is not a commit. cutover is one of the
// contract's; empty is Rename.
func New(client *redis.Client, schema *projector.Schema, keyPrefix, cutover string) *Store {
	host, _ := os.Hostname()
	s := &Store{
		client: client,
		schema: schema,
		row:    row{Prefix: keyPrefix, Cutover: cmp.Or(cutover, contract.CutoverRename)},
		holder: host + "/" + rand.Text(),
		lease:  holdLease,
		held:   map[int]*partition{},
	}
	s.fields, s.fit = fieldsOf(schema)
	for i, f := range s.fields {
		s.all = append(s.all, f.bulk...)
		s.row.Fields = append(s.row.Fields, schema.Fields()[i].Name)
	}
	slices.Sort(s.row.Fields)
	return s
}

// at marks a step of a Job.
func (s *Store) at(step string) {
	failpoint.Hit(step)
	if s.reached != nil {
		s.reached(step)
	}
}

// Close closes the client and every partition's connections.
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
func (s *Store) open(ctx context.Context, c readmodel.Claim) (*partition, error) {
	wire, err := redisconn.OpenWire(ctx, s.client)
	if err != nil {
		return nil, redisFault(err)
	}
	n := namesOf(c.Projection, c.Revision, c.Partition)
	p := &partition{store: s, names: n, wire: wire, look: lookCommand(n)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if former := s.held[c.Partition]; former != nil {
		former.close()
	}
	s.held[c.Partition] = p
	return p, nil
}

// partition is one claim.
type partition struct {
	store *Store
	names names
	epoch int64
	pool  pool

	published bool   // as claimed
	location  string // what precedes an entity's key

	// For Claim and Commit. The connection holds a WATCH between commits.
	wire         *redisconn.Wire
	id, laneText []byte // what the ledger says since the last commit, or as claimed
	seen         holder // what it said after the last WATCH

	// For Prepare.
	look     []byte // what follows each EXEC
	restores bool
	lanes    bool // the ledger has lanes once all that is prepared is committed

	// For Prepare and Load, one after the other.
	sorted byLane

	// For Load.
	loader  *redisconn.Wire // nil until it is needed
	request []byte
	ours    []bool
}

func (p *partition) close() {
	p.wire.Close()
	if p.loader != nil {
		p.loader.Close()
	}
}

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
