package redishash_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/readmodel/redishash"
)

// The names of the sets are the ledger's format.
func TestEachLaneHasItsSets(t *testing.T) {
	h := newHand(t)
	var made []readmodel.Entity
	want := map[string]map[string]struct{}{}
	for i := range 500 {
		e := readmodel.Entity{Key: fmt.Sprint(i), State: h.state()}
		kinds := []string{"keys", "bare"}
		if i%2 == 0 {
			e.State.SetAt(0, projector.StringValue("x"))
			kinds = kinds[:1]
		}
		made = append(made, e)
		for _, kind := range kinds {
			set := fmt.Sprintf("refold:{shop/users}:r1:0:%s:%d", kind, readmodel.LaneOf(e.Key))
			if want[set] == nil {
				want[set] = map[string]struct{}{}
			}
			want[set][e.Key] = struct{}{}
		}
	}
	if err := h.p.Commit(t.Context(), h.p.Prepare(made, h.cp)); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]struct{}{}
	for _, set := range h.client.Keys(t.Context(), "refold:{shop/users}:r1:0:*").Val() {
		got[set] = h.client.SMembersMap(t.Context(), set).Val()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatStandsInTheLedgersWayIsNamed(t *testing.T) {
	for key, command := range map[string][]any{
		"refold:{shop/users}:r1:0:keys:0":  {"sadd", "refold:{shop/users}:r1:0:keys:0", "x"},
		"refold:{shop/users}:r1:0:keys:63": {"set", "refold:{shop/users}:r1:0:keys:63", "x"},
		"refold:{shop/users}:r1:0:bare:7":  {"sadd", "refold:{shop/users}:r1:0:bare:7", "x"},
	} {
		c := client(t, redis.Start(t).Addr())
		if err := c.Do(t.Context(), command...).Err(); err != nil {
			t.Fatal(err)
		}
		_, _, err := redishash.New(c, wideSchema(t), prefix, "").Claim(t.Context(), users)
		f := fault.As(err)
		if f == nil || f.Reason != contract.ReasonNotOwned || !strings.Contains(f.Message, key) {
			t.Errorf("%v: want NotOwned, got %v", command, err)
		}
	}
}
