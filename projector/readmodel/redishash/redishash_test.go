package redishash_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector"
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
	addr := s.addr
	if through != nil {
		addr = through.Addr()
	}
	return redishash.New(client(t, addr), schema, prefix)
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
	fields, err := s.client.HGetAll(t.Context(), prefix+key).Result()
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
