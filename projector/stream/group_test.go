package stream_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

func (s *server) groups(t *testing.T) []redis.XInfoGroup {
	t.Helper()
	groups, err := s.redis.XInfoGroups(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return groups
}

func TestAckMakesTheGroupAndMovesIt(t *testing.T) {
	s := start(t)
	s.add(t, 1, 10)
	s.do(t, "XGROUP CREATE user_events foreign 3-0 ENTRIESREAD 3")
	r := s.reader(t, "0")
	for _, to := range []int64{4, 9} {
		if err := r.Ack(t.Context(), id(uint64(to)), to); err != nil {
			t.Fatal(err)
		}
		groups := s.groups(t)
		ours := groups[1]
		if ours.Name != group || ours.LastDeliveredID != id(uint64(to)).String() || ours.EntriesRead != to || ours.Lag != 10-to {
			t.Errorf("acked %d: %+v", to, ours)
		}
		if groups[0].Name != "foreign" || groups[0].LastDeliveredID != "3-0" {
			t.Errorf("a foreign group was moved: %+v", groups[0])
		}
	}
}

func TestTheLagIsExactThroughTrimming(t *testing.T) {
	s := start(t)
	s.add(t, 1, 10)
	s.do(t, "XTRIM user_events MINID 4")
	if err := s.reader(t, "0").Ack(t.Context(), id(5), 5); err != nil {
		t.Fatal(err)
	}
	if g := s.groups(t)[0]; g.Lag != 5 {
		t.Errorf("%+v", g)
	}
}

func TestAckWithoutAnOrdinalMovesTheGroup(t *testing.T) {
	s := start(t)
	s.add(t, 1, 10)
	r := s.reader(t, "0")
	for range 2 {
		if err := r.Ack(t.Context(), id(5), -1); err != nil {
			t.Fatal(err)
		}
	}
	if g := s.groups(t)[0]; g.LastDeliveredID != "5-0" {
		t.Errorf("%+v", g)
	}
}

func TestALostGroupIsMadeAgainAtThePosition(t *testing.T) {
	s := start(t)
	s.add(t, 1, 10)
	r := s.reader(t, "0")
	if err := r.Ack(t.Context(), id(4), 4); err != nil {
		t.Fatal(err)
	}
	s.redis.XGroupDestroy(t.Context(), key, group)
	if err := r.Ack(t.Context(), id(6), 6); err != nil {
		t.Fatal(err)
	}
	if g := s.groups(t)[0]; g.LastDeliveredID != "6-0" || g.Lag != 4 {
		t.Errorf("%+v", g)
	}
}

func TestAckNeverMakesAStream(t *testing.T) {
	s := start(t)
	r := s.reader(t, "0")
	wantReason(t, r.Ack(t.Context(), projector.ID{}, 0), contract.ReasonSourceMissing)
	wantReason(t, r.Ack(t.Context(), id(5), 5), contract.ReasonSourceDiverged)
	if n := s.redis.Exists(t.Context(), key).Val(); n != 0 {
		t.Error("there is a stream")
	}
	s.do(t, "SET user_events x")
	wantReason(t, r.Ack(t.Context(), id(5), 5), contract.ReasonWrongType)
}

func TestDropGroupMayBeRunAtAnyTime(t *testing.T) {
	s := start(t)
	r := s.reader(t, "0")
	drop := func(when string) {
		t.Helper()
		for range 2 {
			if err := r.DropGroup(t.Context()); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	drop("no stream")
	s.add(t, 1, 3)
	drop("no group")
	s.do(t, "XGROUP CREATE user_events foreign 0")
	if err := r.Ack(t.Context(), id(1), 1); err != nil {
		t.Fatal(err)
	}
	drop("a group")
	if groups := s.groups(t); len(groups) != 1 || groups[0].Name != "foreign" {
		t.Errorf("%+v", groups)
	}
	s.do(t, "DEL user_events")
	s.do(t, "SET user_events x")
	drop("no stream but another type")
}
