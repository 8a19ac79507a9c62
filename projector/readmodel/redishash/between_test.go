package redishash

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
)

// What comes between the look and EXEC can only be arranged from within.
func TestAKeyThatIsTakenBetweenTheLookAndEXEC(t *testing.T) {
	for name, c := range map[string]struct {
		created        int
		hset           bool
		prevented, gap bool // nothing was written; it was written to
	}{
		"few, by RESTORE, are watched": {created: mostWatched, prevented: true},
		"few, by HSET, are watched":    {created: mostWatched, hset: true, prevented: true},
		"many, by RESTORE, are told":   {created: mostWatched + 1},
		"many, by HSET, are told":      {created: mostWatched + 1, hset: true, gap: true},
	} {
		t.Run(name, func(t *testing.T) {
			client := goredis.NewClient(&goredis.Options{Addr: redis.Start(t).Addr()})
			schema, err := projector.NewSchema([]contract.Field{{Name: "s", Type: contract.TypeString}})
			if err != nil {
				t.Fatal(err)
			}
			s := New(client, schema, "user:", "")
			s.noRestore.Store(c.hset)
			claimed, cp, err := s.Claim(t.Context(), readmodel.Claim{Projection: "shop/users", Revision: "r1"})
			if err != nil {
				t.Fatal(err)
			}
			p := claimed.(*partition)
			changed := make([]readmodel.Entity, c.created)
			for i := range changed {
				state := projector.NewState(schema)
				state.SetAt(0, projector.StringValue("ours"))
				changed[i] = readmodel.Entity{Key: fmt.Sprint(i), State: state}
			}
			prepared := p.Prepare(changed, cp).(*transaction)
			if err := p.free(prepared); err != nil {
				t.Fatal(err)
			}
			client.HSet(t.Context(), "user:7", "s", "foreign")
			_, err = p.execute(prepared)
			want := map[bool]error{true: errContended, false: errPartial}[c.prevented]
			if f := fault.As(err); !errors.Is(err, want) || !c.prevented && (!f.Permanent || !strings.Contains(f.Message, "user:")) {
				t.Errorf("want %v, got %v", want, err)
			}
			if got := client.HGet(t.Context(), "user:7", "s").Val(); (got != "foreign") != c.gap {
				t.Errorf("it holds %q", got)
			}
			if n := client.Exists(t.Context(), "user:8").Val(); (n == 0) != c.prevented {
				t.Errorf("the others: %d", n)
			}
		})
	}
}
