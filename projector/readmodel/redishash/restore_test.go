package redishash_test

import (
	"fmt"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"pgregory.net/rapid"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/readmodel/redishash"
)

// wide is a schema with a name that is a number, and one as long as may be.
var wide = []contract.Field{
	{Name: "s", Type: contract.TypeString}, {Name: "12", Type: contract.TypeString},
	{Name: strings.Repeat("n", 64), Type: contract.TypeString}, {Name: "i", Type: contract.TypeInteger},
	{Name: "n", Type: contract.TypeNumber}, {Name: "b", Type: contract.TypeBoolean},
}

func wideSchema(t testing.TB) *projector.Schema {
	t.Helper()
	schema, err := projector.NewSchema(wide)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// restores is how often the server has executed RESTORE.
func restores(t testing.TB, c *goredis.Client) (n int) {
	t.Helper()
	stats := c.InfoMap(t.Context(), "commandstats").Val()["Commandstats"]
	_, _ = fmt.Sscanf(stats["cmdstat_restore"], "calls=%d", &n)
	return n
}

func TestWhatRESTOREMakesIsWhatHSETWouldHaveMade(t *testing.T) {
	server := redis.Start(t)
	c, schema := client(t, server.Addr()), wideSchema(t)
	p, cp, err := redishash.New(client(t, server.Addr()), schema, prefix, "").Claim(t.Context(), users)
	if err != nil {
		t.Fatal(err)
	}
	const tried = 1 // by the claim
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "\x00", "a\x00b\r\n", "\xff\xfe", "12", "-1", "-0", "007", "9223372036854775808",
		"-9223372036854775808", strings.Repeat("x", 63), strings.Repeat("x", 64), "☃"}),
		rapid.StringN(0, 64, 64), rapid.Map(rapid.Int64(), func(n int64) string { return fmt.Sprint(n) }))
	number := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-70000, 70000), rapid.Int64Range(-200, 200))
	made := 0
	rapid.Check(t, func(rt *rapid.T) {
		s := projector.NewState(schema)
		for slot := range 3 {
			if rapid.Bool().Draw(rt, "set") {
				s.SetAt(slot, projector.StringValue(text.Draw(rt, "text")))
			}
		}
		s.SetAt(3, projector.IntegerValue(number.Draw(rt, "integer")))
		float, _ := projector.NumberValue(rapid.Float64().Draw(rt, "number"))
		s.SetAt(4, float)
		s.SetAt(5, projector.BooleanValue(rapid.Bool().Draw(rt, "boolean")))
		key := fmt.Sprint(made)
		made++
		if err := p.Commit(t.Context(), p.Prepare([]readmodel.Entity{{Key: key, State: s}}, cp)); err != nil {
			rt.Fatal(err)
		}
		words := []any{"hset", "by hand"}
		for slot, f := range schema.Fields() {
			if v := s.At(slot); v.IsSet() {
				words = append(words, f.Name, v.Text())
			}
		}
		c.Del(t.Context(), "by hand")
		c.Do(t.Context(), words...)
		got, want := c.Dump(t.Context(), prefix+key).Val(), c.Dump(t.Context(), "by hand").Val()
		if got != want || got == "" {
			rt.Fatalf("got  %q\nwant %q", got, want)
		}
	})
	if got := restores(t, c); got != tried+made {
		t.Errorf("RESTORE was called %d times for %d entities", got, made)
	}
	left, err := c.Keys(t.Context(), "*probe*").Result()
	if len(left) > 0 || err != nil {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestWhatRedisKeepsAsATableIsMadeByHSET(t *testing.T) {
	h := newHand(t)
	before := restores(t, h.client)
	if err := h.commit(h.state("short", strings.Repeat("x", 65)), h.cp); err != nil {
		t.Fatal(err)
	}
	if restores(t, h.client) != before || h.client.ObjectEncoding(t.Context(), prefix+"1").Val() != "hashtable" {
		t.Error("it was not made by HSET")
	}
}

func TestTheLargestThatRESTOREMakesIsWhatHSETWouldHaveMade(t *testing.T) {
	for name, c := range map[string]struct {
		fields, nameBytes, valueBytes, restored int
	}{
		"a string of 63 bytes":         {fields: 1, nameBytes: 4, valueBytes: 47, restored: 1},
		"one of 64":                    {fields: 1, nameBytes: 4, valueBytes: 48, restored: 1},
		"more than 16,384":             {fields: 128, nameBytes: 64, valueBytes: 64, restored: 1},
		"as many fields as may be":     {fields: 128, nameBytes: 4, valueBytes: 1, restored: 1},
		"one field too many":           {fields: 129, nameBytes: 4, valueBytes: 1},
		"a name that is a byte longer": {fields: 2, nameBytes: 65, valueBytes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			declared, words := make([]contract.Field, c.fields), []any{"hset", "by hand"}
			for i := range declared {
				declared[i] = contract.Field{Name: fmt.Sprintf("%0*dn", c.nameBytes-1, i), Type: contract.TypeString}
				words = append(words, declared[i].Name, strings.Repeat("v", c.valueBytes))
			}
			schema, err := projector.NewSchema(declared)
			if err != nil {
				t.Fatal(err)
			}
			server := redis.Start(t)
			db := client(t, server.Addr())
			p, cp, err := redishash.New(client(t, server.Addr()), schema, prefix, "").Claim(t.Context(), users)
			if err != nil {
				t.Fatal(err)
			}
			s, before := projector.NewState(schema), restores(t, db)
			for slot := range declared {
				s.SetAt(slot, projector.StringValue(strings.Repeat("v", c.valueBytes)))
			}
			if err := p.Commit(t.Context(), p.Prepare([]readmodel.Entity{{Key: "1", State: s}}, cp)); err != nil {
				t.Fatal(err)
			}
			db.Do(t.Context(), words...)
			if got := restores(t, db) - before; got != c.restored {
				t.Errorf("RESTORE was called %d times", got)
			}
			got, want := db.Dump(t.Context(), prefix+"1").Val(), db.Dump(t.Context(), "by hand").Val()
			if c.restored > 0 && (got != want || got == "") {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			if n := db.HLen(t.Context(), prefix+"1").Val(); n != int64(c.fields) {
				t.Errorf("it has %d fields", n)
			}
		})
	}
}

func TestAUserWithoutRESTOREIsServedByHSET(t *testing.T) {
	server := redis.Start(t)
	root, schema := client(t, server.Addr()), wideSchema(t)
	rule := []any{"acl", "setuser"}
	for _, word := range strings.Fields("refold on >secret resetkeys ~user:* ~refold:{shop/users}* -@all +client|setname +multi +exec +watch" +
		" +exists +type +hset +hget +hgetall +hmget +hdel +hincrby +time +unlink +sadd +srem +scard +smismember +srandmember") {
		rule = append(rule, word)
	}
	if err := root.Do(t.Context(), rule...).Err(); err != nil {
		t.Fatal(err)
	}
	user := goredis.NewClient(&goredis.Options{Addr: server.Addr(), Username: "refold", Password: "secret", MaxRetries: -1,
		Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}})
	store := redishash.New(user, schema, prefix, "")
	t.Cleanup(func() { _ = store.Close() })
	for round := range 2 {
		p, cp, err := store.Claim(t.Context(), users)
		if err != nil {
			t.Fatal(err)
		}
		s := projector.NewState(schema)
		s.SetAt(3, projector.IntegerValue(7))
		if err := p.Commit(t.Context(), p.Prepare([]readmodel.Entity{{Key: fmt.Sprint(round), State: s}}, cp)); err != nil {
			t.Fatal(err)
		}
		loaded := projector.NewState(schema)
		if err := p.Load(t.Context(), []string{fmt.Sprint(round)}, []*projector.State{loaded}); err != nil || loaded.At(3).Int() != 7 {
			t.Errorf("i = %q (%v)", loaded.At(3).Text(), err)
		}
	}
	denied, err := root.ACLLog(t.Context(), 100).Result()
	if err != nil || len(denied) != 1 || denied[0].Object != "restore" || denied[0].Count != 1 {
		t.Errorf("RESTORE was to be tried once: %+v (%v)", denied, err)
	}
}
