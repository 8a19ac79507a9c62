package redishash_test

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/readmodel/conformance"
	"github.com/refold-dev/refold/projector/readmodel/redishash"
)

const prefix = "user:"

func TestConformance(t *testing.T) {
	server := redis.Start(t)
	conformance.Run(t, func(t *testing.T) conformance.Server {
		s := &testServer{addr: server.Addr(), client: client(t, server.Addr())}
		if err := s.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// client retries nothing, as redisconn's do not.
func client(t *testing.T, addr string) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

type testServer struct {
	addr   string
	client *goredis.Client
}

func (s *testServer) Open(t *testing.T, schema *projector.Schema, through *conformance.Proxy) readmodel.Store {
	return s.OpenAs(t, schema, through, 0)
}

// forms are the ways to name entities.
var forms = []struct{ prefix, cutover string }{
	{prefix, contract.CutoverRename}, {"member:", contract.CutoverRename},
	{prefix, contract.CutoverPointer}, {"member:", contract.CutoverPointer},
}

func (s *testServer) Forms() int { return len(forms) }

func (s *testServer) OpenAs(t *testing.T, schema *projector.Schema, through *conformance.Proxy, form int) readmodel.Store {
	addr := s.addr
	if through != nil {
		addr = through.Addr()
	}
	return redishash.New(client(t, addr), schema, forms[form].prefix, forms[form].cutover)
}

func (s *testServer) Addr() string { return s.addr }

func (s *testServer) Plant(t *testing.T, key string) {
	t.Helper()
	if err := s.client.HSet(t.Context(), prefix+key, "s", "not ours").Err(); err != nil {
		t.Fatal(err)
	}
}

func (s *testServer) PlantLedger(t *testing.T, projection string) {
	t.Helper()
	if err := s.client.HSet(t.Context(), "refold:{"+projection+"}", "active", "r1").Err(); err != nil {
		t.Fatal(err)
	}
}

func (s *testServer) Lookup(t *testing.T, key string) map[string]string {
	t.Helper()
	return s.LookupAs(t, 0, key)
}

func (s *testServer) LookupAs(t *testing.T, form int, key string) map[string]string {
	t.Helper()
	name := forms[form].prefix + key
	if forms[form].cutover == contract.CutoverPointer {
		revision, err := s.client.Get(t.Context(), forms[form].prefix+"@active").Result()
		if errors.Is(err, goredis.Nil) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		name = forms[form].prefix + "@" + revision + ":" + key
	}
	fields, err := s.client.HGetAll(t.Context(), name).Result()
	if err != nil {
		t.Fatal(err)
	}
	if len(fields) == 0 {
		return nil
	}
	return fields
}

func (s *testServer) Everything(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	keys, err := s.client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	pipe := s.client.Pipeline()
	for _, key := range keys {
		pipe.Type(t.Context(), key)
	}
	types, err := pipe.Exec(t.Context())
	if err != nil && len(keys) > 0 {
		t.Fatal(err)
	}
	contents := make([]goredis.Cmder, len(keys))
	for i, kind := range types {
		switch kind.(*goredis.StatusCmd).Val() {
		case "hash":
			contents[i] = pipe.HGetAll(t.Context(), keys[i])
		case "set":
			contents[i] = pipe.SMembers(t.Context(), keys[i])
		default:
			contents[i] = pipe.Dump(t.Context(), keys[i])
		}
	}
	_, _ = pipe.Exec(t.Context()) // a key may go meanwhile
	for i, content := range contents {
		all[keys[i]] = text(content)
	}
	return all
}

// text is a reply in a fixed order.
func text(reply goredis.Cmder) string {
	switch r := reply.(type) {
	case *goredis.MapStringStringCmd:
		var lines []string
		for name, value := range r.Val() {
			lines = append(lines, fmt.Sprintf("%q=%q", name, value))
		}
		sort.Strings(lines)
		return strings.Join(lines, " ")
	case *goredis.StringSliceCmd:
		members := r.Val()
		sort.Strings(members)
		return fmt.Sprintf("%q", members)
	case *goredis.StringCmd:
		return r.Val()
	}
	return ""
}

func TestProtocol(t *testing.T) {
	server := redis.Start(t)
	s := &testServer{addr: server.Addr(), client: client(t, server.Addr())}
	conformance.RunProtocol(t, s, func() {
		if err := s.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	})
}

// hand is a claimed model of one string field, and a client to meddle with.
type hand struct {
	*testServer
	t      *testing.T
	schema *projector.Schema
	p      readmodel.Partition
	cp     readmodel.Checkpoint
}

var users = readmodel.Claim{Projection: "shop/users", Revision: "r1"}

func newHand(t *testing.T) *hand {
	t.Helper()
	server := redis.Start(t)
	schema, err := projector.NewSchema([]contract.Field{{Name: "s", Type: contract.TypeString}, {Name: "t", Type: contract.TypeString}})
	if err != nil {
		t.Fatal(err)
	}
	h := &hand{&testServer{addr: server.Addr(), client: client(t, server.Addr())}, t, schema, nil, readmodel.Checkpoint{}}
	if h.p, h.cp, err = h.Open(t, schema, nil).Claim(t.Context(), users); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hand) state(values ...string) *projector.State {
	s := projector.NewState(h.schema)
	s.Create()
	for slot, v := range values {
		s.SetAt(slot, projector.StringValue(v))
	}
	return s
}

// commit commits one entity, "1".
func (h *hand) commit(s *projector.State, next readmodel.Checkpoint) error {
	prepared := h.p.Prepare([]readmodel.Entity{{Key: "1", State: s}}, next)
	s.MarkStored()
	return h.p.Commit(h.t.Context(), prepared)
}

func (h *hand) change(s *projector.State, second string) *projector.State {
	s.SetAt(1, projector.StringValue(second))
	return s
}

func TestAnEntityThatVanishedIsWrittenWholeWhenItIsDoubted(t *testing.T) {
	h := newHand(t)
	s := h.state("x", "y")
	if err := h.commit(s, h.cp); err != nil {
		t.Fatal(err)
	}
	h.client.Del(t.Context(), prefix+"1")
	err := h.commit(h.change(s, "z"), h.cp)
	f := fault.As(err)
	if f == nil || f.Permanent || f.Reason != contract.ReasonNotOwned || !strings.Contains(f.Message, prefix+"1") {
		t.Errorf("want a transient NotOwned, got %v", f)
	}
	var altered *readmodel.AlteredError
	if !errors.As(err, &altered) || !cmp.Equal(altered.Keys, []string{"1"}) {
		t.Errorf("want an AlteredError of 1, got %v", err)
	}
	s.Doubt()
	if err := h.commit(s, h.cp); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]string{"s": "x", "t": "z"}, h.Lookup(t, "1")); diff != "" {
		t.Error(diff)
	}
	if _, _, err := h.Open(t, h.schema, nil).Claim(t.Context(), users); err != nil {
		t.Errorf("claimed again: %v", err)
	}
}

func TestAModelThatMissesAWriteIsNotGoneOnWith(t *testing.T) {
	h := newHand(t)
	s := h.state("x", "y")
	if err := h.commit(s, h.cp); err != nil {
		t.Fatal(err)
	}
	h.client.Set(t.Context(), prefix+"1", "somebody's", 0)
	f := fault.As(h.commit(h.change(s, "z"), h.cp))
	h.client.Del(t.Context(), prefix+"1")
	h.client.HSet(t.Context(), prefix+"1", "s", "x", "t", "y") // put back: the write is missing
	_, _, err := h.Open(t, h.schema, nil).Claim(t.Context(), users)
	for _, f := range []*fault.Error{f, fault.As(err)} {
		if f == nil || !f.Permanent || f.Reason != contract.ReasonNotOwned || !strings.Contains(f.Message, prefix+"1") {
			t.Errorf("want a permanent NotOwned, got %v", f)
		}
	}
	if err := h.Open(t, h.schema, nil).Drop(t.Context(), users.Projection, false); err != nil {
		t.Error(err)
	}
	if _, _, err := h.Open(t, h.schema, nil).Claim(t.Context(), users); err != nil {
		t.Errorf("made anew: %v", err)
	}
}

func TestAnEntityThatWasEvictedIsNotTakenForOneWithoutFields(t *testing.T) {
	h := newHand(t)
	s, p, schema := h.testServer, h.p, h.schema
	made := []readmodel.Entity{{Key: "full", State: h.state("x")}, {Key: "bare", State: h.state()}}
	if err := p.Commit(t.Context(), p.Prepare(made, h.cp)); err != nil {
		t.Fatal(err)
	}
	load := func(key string) error {
		return p.Load(t.Context(), []string{key}, []*projector.State{projector.NewState(schema)})
	}
	s.client.Expire(t.Context(), prefix+"full", -1)
	if err := load("bare"); err != nil {
		t.Error(err)
	}
	f := fault.As(load("full"))
	if f == nil || !f.Permanent || f.Reason != contract.ReasonNotOwned || !strings.Contains(f.Message, prefix+"full") {
		t.Fatalf("want NotOwned, got %v", f)
	}
	s.client.HSet(t.Context(), prefix+"full", "s", "x")
	if err := load("full"); err != nil {
		t.Errorf("put back: %v", err)
	}
}

// A full resynchronization keeps clients' connections and replaces the data.
func TestAServerThatWentBackIsNotWrittenTo(t *testing.T) {
	for name, at := range map[string]func(cp *readmodel.Checkpoint, ms uint64){
		"all lanes": func(cp *readmodel.Checkpoint, ms uint64) { cp.Position.Ms = ms },
		"one lane": func(cp *readmodel.Checkpoint, ms uint64) {
			cp.Lanes = new([readmodel.Lanes]readmodel.Mark)
			cp.Lanes[7].Position.Ms = ms
		},
	} {
		t.Run(name, func(t *testing.T) { serverGoesBack(t, at) })
	}
}

func serverGoesBack(t *testing.T, move func(cp *readmodel.Checkpoint, ms uint64)) {
	h := newHand(t)
	s := h.state("x", "y")
	at := func(ms uint64) readmodel.Checkpoint {
		cp := h.cp
		move(&cp, ms)
		return cp
	}
	if err := h.commit(s, at(1)); err != nil {
		t.Fatal(err)
	}
	keys := []string{prefix + "1", "refold:{shop/users}:r1:0"}
	was := make([]string, len(keys))
	for i, key := range keys {
		was[i] = h.client.Dump(t.Context(), key).Val()
	}
	if err := h.commit(h.change(s, "z"), at(2)); err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		h.client.RestoreReplace(t.Context(), key, 0, was[i])
	}
	before := h.Everything(t)
	f := fault.As(h.commit(s, at(3)))
	if f == nil || f.Permanent {
		t.Errorf("want a fault that leads to a new claim, got %v", f)
	}
	if diff := cmp.Diff(before, h.Everything(t)); diff != "" {
		t.Error(diff)
	}
}

func TestAClaimThatTheServerLostIsTheSuccessorsNow(t *testing.T) {
	h := newHand(t)
	lost := users
	lost.Held = 1 // an epoch that the other process holds now
	if _, _, err := h.Open(t, h.schema, nil).Claim(t.Context(), lost); !errors.Is(err, readmodel.ErrFenced) {
		t.Errorf("want ErrFenced, got %v", err)
	}
}

func TestReplays(t *testing.T) {
	server := redis.Start(t)
	s := &testServer{addr: server.Addr(), client: client(t, server.Addr())}
	conformance.RunReplays(t, s, func() {
		if err := s.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	})
}
