// Package conformance is the one suite that every read model passes on its
// real server. It knows a store by the readmodel interfaces and by what the
// factory lets it see of the server, and nothing of any store's insides.
package conformance

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
)

// Server is one store's server, empty at the start of each test.
type Server interface {
	// Open makes a store that shares nothing with others but the server. With
	// a proxy all its connections go through it.
	Open(t *testing.T, schema *projector.Schema, through *Proxy) readmodel.Store
	// OpenAs is Open for a revision that is stored and published in another form,
	// of which there are Forms; Open's is form 0.
	OpenAs(t *testing.T, schema *projector.Schema, through *Proxy, form int) readmodel.Store
	Forms() int
	// LookupAs is Lookup by readers of that form.
	LookupAs(t *testing.T, form int, key string) map[string]string
	// Addr is what a proxy forwards to.
	Addr() string
	// Plant puts something that is not Refold's where entity key would be.
	Plant(t *testing.T, key string)
	// PlantLedger puts something that is not Refold's where the ledger would be.
	PlantLedger(t *testing.T, projection string)
	// Lookup reads an entity as an application does: its fields' text; nil when
	// a reader sees nothing.
	Lookup(t *testing.T, key string) map[string]string
	// Everything is all that is on the server, in an order of its own, for
	// comparison.
	Everything(t *testing.T) map[string]string
}

// Run runs the suite; start starts a server for one test.
func Run(t *testing.T, start func(t *testing.T) Server) {
	tests := map[string]func(*testing.T, *bench){
		"a new revision starts where it is told":                           startsWhereTold,
		"a claim goes on where the last one was":                           goesOn,
		"what is committed is loaded again, whatever the value":            roundTrip,
		"readers see canonical text":                                       canonicalText,
		"odd keys are keys":                                                oddKeys,
		"a deleted entity is gone":                                         deletes,
		"an entity with no field set still exists":                         existsWithoutFields,
		"a field that is unset goes, the others stay":                      unsets,
		"an entity that was never there and is not there needs no write":   neverThere,
		"ten thousand entities are one commit":                             large,
		"an old epoch's commit changes nothing":                            fenced,
		"nor is the successor's entity called foreign":                     fencedByItsMaker,
		"two claims, two writers: only the last one writes":                twoWriters,
		"a process does not take back what a successor holds":              neverTakesBack,
		"a claim whose reply was lost can be made again":                   lostClaim,
		"after a lost reply the position tells":                            lostReply,
		"a commit that is refused changes nothing":                         allOrNothing,
		"a foreign entity is not loaded, named and untouched":              foreignLoad,
		"a foreign entity that appears before the commit is untouched":     foreignCommit,
		"a foreign ledger is not claimed and untouched":                    foreignLedger,
		"a revision beside a published one is not seen by readers":         besidePublished,
		"a revision that folded nothing gives way":                         givesWay,
		"a revision that gave way writes no more":                          gaveWay,
		"dropping leaves nothing of ours and all that is not":              drop,
		"dropping with keep leaves all, and a new Projection goes on":      dropKeep,
		"dropping twice, or what was never there, is fine":                 dropTwice,
		"dropping stops a writer":                                          dropFences,
		"a drop that was broken off can be run again, and nothing claimed": dropBrokenOff,
		"partitions of one revision do not disturb each other":             partitions,
		"lanes are kept, and claimed again":                                lanes,
		"lanes go at the tail":                                             lanesTail,
		"a model is called empty when it is":                               claimedEmpty,
		"what changes after it was prepared is written as it was":          asPrepared,
		"what was prepared ahead is committed in order":                    preparedAhead,
		"an entity that did not change is not written":                     unchangedEntities,
		"an entity that was altered is put right when it is doubted":       doubtHeals,
		"loading and committing go on beside each other":                   loadBesideCommit,
		"many entities of all sorts are loaded":                            loadMixed,
	}
	maps.Copy(tests, replays)
	maps.Copy(tests, browsing)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			t.Cleanup(cancel)
			test(t, &bench{ctx: ctx, server: start(t), schema: schema(t)})
		})
	}
}

// fields of the suite's schema, one of each type.
var fields = []contract.Field{
	{Name: "s", Type: contract.TypeString}, {Name: "i", Type: contract.TypeInteger},
	{Name: "n", Type: contract.TypeNumber}, {Name: "b", Type: contract.TypeBoolean},
	{Name: "t", Type: contract.TypeTimestamp}, {Name: "j", Type: contract.TypeJSON},
}

func schema(t *testing.T) *projector.Schema {
	t.Helper()
	s, err := projector.NewSchema(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// claim is what most tests claim.
var claim = readmodel.Claim{Projection: "shop/users", UID: "u-1", Revision: "r1"}

// bench is what a test works with.
type bench struct {
	ctx    context.Context
	server Server
	schema *projector.Schema
}

func (b *bench) open(t *testing.T) readmodel.Store { return b.server.Open(t, b.schema, nil) }

func (b *bench) claim(t *testing.T, s readmodel.Store, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint) {
	t.Helper()
	p, cp, err := s.Claim(b.ctx, c)
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	return p, cp
}

func (b *bench) commit(t *testing.T, p readmodel.Partition, cp readmodel.Checkpoint, changed ...readmodel.Entity) {
	t.Helper()
	if err := b.try(p, cp, changed...); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// try commits as an engine does: what is prepared counts as stored.
func (b *bench) try(p readmodel.Partition, cp readmodel.Checkpoint, changed ...readmodel.Entity) error {
	return p.Commit(b.ctx, prepare(p, cp, changed...))
}

func prepare(p readmodel.Partition, cp readmodel.Checkpoint, changed ...readmodel.Entity) readmodel.Transaction {
	prepared := p.Prepare(changed, cp)
	for _, e := range changed {
		e.State.MarkStored()
	}
	return prepared
}

func (b *bench) load(t *testing.T, p readmodel.Partition, key string) *projector.State {
	t.Helper()
	s := projector.NewState(b.schema)
	if err := p.Load(b.ctx, []string{key}, []*projector.State{s}); err != nil {
		t.Fatalf("load %q: %v", key, err)
	}
	return s
}

// user is an entity that exists, with these values, and that no store knows.
func (b *bench) user(t *testing.T, key string, values ...projector.Value) readmodel.Entity {
	t.Helper()
	e := readmodel.Entity{Key: key, State: projector.NewState(b.schema)}
	e.State.Create()
	set(e, values...)
	return e
}

// set sets values of an entity: the schema has one field of each kind, in order.
func set(e readmodel.Entity, values ...projector.Value) {
	for _, v := range values {
		e.State.SetAt(slotOf(v.Kind()), v)
	}
}

func slotOf(k projector.Kind) int { return int(k) - 1 }

// at moves a checkpoint to an ID.
func at(cp readmodel.Checkpoint, ms uint64) readmodel.Checkpoint {
	cp.Position = projector.ID{Ms: ms}
	cp.Entries, cp.Events, cp.Empty = int64(ms), int64(ms), false
	cp.Published, cp.Publication = false, 0 // said by claims alone
	return cp
}
