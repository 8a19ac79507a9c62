package stream_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/stream"
)

// A case prepares a stream and says what Check must find at a position.
type historyCase struct {
	commands []string // after the entries 1-0 … 10-0 were added, unless they begin with "bare"
	from     string   // "0" when empty
	tolerant bool
	position projector.ID
	entries  int64

	reason  string // "" when nothing is wrong
	unread  bool   // Check alone can tell
	remedy  string // a part of it
	history contract.History
	ordinal int64
}

func TestCheckTellsWhatIsWrongWithTheHistory(t *testing.T) {
	s := start(t)
	at5 := historyCase{position: id(5), entries: 5}
	with := func(c historyCase, change func(*historyCase)) historyCase { change(&c); return c }
	cases := map[string]historyCase{
		"a whole stream from its beginning": {entries: -1, history: contract.HistoryComplete, ordinal: 0},
		"a position in the middle": with(at5, func(c *historyCase) {
			c.history, c.ordinal = contract.HistoryComplete, 5
		}),
		"a position in the middle whose ordinal is unknown": {position: id(5), entries: -1, history: contract.HistoryComplete, ordinal: -1},
		"a position at the end whose ordinal is unknown":    {position: id(10), entries: -1, history: contract.HistoryComplete, ordinal: 10},
		"a stream without entries":                          {commands: []string{"bare", "XGROUP CREATE user_events g 0 MKSTREAM"}, entries: -1, history: contract.HistoryComplete, ordinal: 0},
		"no stream yet":                                     {commands: []string{"bare"}, entries: -1, reason: contract.ReasonSourceMissing, remedy: "XADD"},
		"no stream yet and a later start":                   {commands: []string{"bare"}, from: "7-3", position: projector.ID{Ms: 7, Seq: 2}, entries: -1, reason: contract.ReasonSourceMissing},
		"the stream deleted after it was read": with(at5, func(c *historyCase) {
			c.commands, c.reason, c.remedy = []string{"DEL user_events"}, contract.ReasonSourceDiverged, "delete the Projection"
		}),
		"recreated with lower IDs": with(at5, func(c *historyCase) {
			c.commands, c.reason = []string{"DEL user_events", "XADD user_events 3-0 a b"}, contract.ReasonSourceDiverged
		}),
		"recreated with higher IDs and fewer entries": with(at5, func(c *historyCase) {
			c.commands, c.reason = []string{"DEL user_events", "XADD user_events 20-0 a b"}, contract.ReasonSourceDiverged
		}),
		"recreated with higher IDs and as many entries": with(at5, func(c *historyCase) {
			c.commands = []string{"DEL user_events"}
			for i := 20; i < 40; i++ {
				c.commands = append(c.commands, fmt.Sprintf("XADD user_events %d-0 a b", i))
			}
			c.reason = contract.ReasonSourceDiverged
		}),
		"recreated with higher IDs, the ordinal unknown": {position: id(5), entries: -1, commands: []string{"DEL user_events", "XADD user_events 20-0 a b"}, reason: contract.ReasonSourceDiverged},
		"its tail lost and as many newer entries added since": {position: id(10), entries: 10,
			commands: lostTail(8, 20, 30), reason: contract.ReasonSourceDiverged, remedy: "delete the Projection"},
		"its tail lost and newer entries added, the ordinal unknown": {position: id(10), entries: -1,
			commands: lostTail(8, 20, 30), reason: contract.ReasonSourceDiverged, unread: true},
		"emptied and its last ID set back": {position: id(5), entries: 5, commands: []string{"XTRIM user_events MAXLEN 0", "XSETID user_events 3-0"}, reason: contract.ReasonSourceDiverged},
		"trimmed up to the position": with(at5, func(c *historyCase) {
			c.commands, c.history, c.ordinal = []string{"XTRIM user_events MINID 6"}, contract.HistoryIncomplete, 5
		}),
		"trimmed past the position": with(at5, func(c *historyCase) {
			c.commands, c.reason, c.remedy = []string{"XTRIM user_events MINID 8"}, contract.ReasonHistoryLost, `set source.from: "8-0"`
		}),
		"trimmed past the position, the ordinal unknown": {position: id(5), entries: -1, commands: []string{"XTRIM user_events MINID 8"}, reason: contract.ReasonHistoryLost},
		"trimmed to nothing ahead of the position": with(at5, func(c *historyCase) {
			c.commands, c.reason, c.remedy = []string{"XTRIM user_events MAXLEN 0"}, contract.ReasonHistoryLost, `set source.from: "10-1"`
		}),
		"trimmed to nothing behind the position": {position: id(10), entries: 10, commands: []string{"XTRIM user_events MAXLEN 0"}, history: contract.HistoryIncomplete, ordinal: 10},
		"deleted behind the position": with(at5, func(c *historyCase) {
			c.commands, c.history, c.ordinal = []string{"XDEL user_events 2-0 5-0"}, contract.HistoryIncomplete, 5
		}),
		"deleted ahead of the position": with(at5, func(c *historyCase) {
			c.commands, c.reason, c.remedy = []string{"XDEL user_events 7-0"}, contract.ReasonHistoryLost, `set source.from: "7-1"`
		}),
		"the next one deleted": with(at5, func(c *historyCase) {
			c.commands, c.reason = []string{"XDEL user_events 6-0"}, contract.ReasonHistoryLost
		}),
		"the last one deleted": with(at5, func(c *historyCase) {
			c.commands, c.reason = []string{"XDEL user_events 10-0"}, contract.ReasonHistoryLost
		}),
		"deleted ahead of the position, which is tolerated": with(at5, func(c *historyCase) {
			c.commands, c.tolerant, c.history, c.ordinal = []string{"XDEL user_events 7-0 9-0"}, true, contract.HistoryIncomplete, -1
		}),
		"the last one deleted, which is tolerated": with(at5, func(c *historyCase) {
			c.commands, c.tolerant, c.history, c.ordinal = []string{"XDEL user_events 10-0"}, true, contract.HistoryIncomplete, -1
		}),
		"trimmed and deleted ahead of the position, which is only half tolerated": with(at5, func(c *historyCase) {
			c.commands, c.tolerant, c.reason = []string{"XTRIM user_events MINID 8", "XDEL user_events 9-0"}, true, contract.ReasonHistoryLost
		}),
		"right before the first entry that is left, and others deleted, which is tolerated": {tolerant: true,
			commands: []string{"XTRIM user_events MINID 4", "XDEL user_events 6-0"}, position: id(4).Prev(), entries: -1,
			history: contract.HistoryIncomplete, ordinal: 4},
		"trimmed before a new revision from 0": {commands: []string{"XTRIM user_events MINID 4"}, entries: -1, reason: contract.ReasonHistoryLost, remedy: `set source.from: "4-0"`},
		"from the first entry that is left": {commands: []string{"XTRIM user_events MINID 4"}, from: "4-0", position: id(4).Prev(), entries: -1,
			history: contract.HistoryComplete, ordinal: 3},
		"from before the first entry that is left": {commands: []string{"XTRIM user_events MINID 4"}, from: "3-0", position: id(3).Prev(), entries: -1,
			reason: contract.ReasonHistoryLost},
		"from the middle of a trimmed stream": {commands: []string{"XTRIM user_events MINID 4"}, from: "6", position: id(6).Prev(), entries: -1,
			history: contract.HistoryComplete, ordinal: -1},
		"from the middle of a trimmed stream, with an ordinal that nobody counted": {commands: []string{"XTRIM user_events MINID 4"}, from: "6", position: id(6).Prev(), entries: 0,
			history: contract.HistoryComplete, ordinal: -1},
		"from after the end": {from: "99-0", position: id(99).Prev(), entries: -1, reason: contract.ReasonFromAfterEnd, remedy: "set source.from"},
		"from right after the end": {from: "10-1", position: id(10), entries: -1,
			history: contract.HistoryComplete, ordinal: 10},
		"the counter set too high": with(at5, func(c *historyCase) {
			c.position, c.entries = id(10), 10
			c.commands, c.reason = []string{"XSETID user_events 10-0 ENTRIESADDED 12 MAXDELETEDID 1-0"}, contract.ReasonSourceDiverged
		}),
		"the last ID set higher": {position: id(10), entries: 10, commands: []string{"XSETID user_events 50-0"}, history: contract.HistoryComplete, ordinal: 10},
		"another type of key":    {commands: []string{"bare", "SET user_events x"}, entries: -1, reason: contract.ReasonWrongType},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s.prepare(t, c.commands)
			if c.from == "" {
				c.from = "0"
			}
			r := s.reader(t, c.from)
			r.Tolerate(c.tolerant)
			info, err := r.Check(t.Context(), c.position, c.entries)
			b, readErr := r.Read(t.Context(), c.position, c.entries, stream.Limit{}, time.Millisecond)
			if c.reason != "" {
				if f := wantReason(t, err, c.reason); !strings.Contains(f.Remedy, c.remedy) {
					t.Errorf("remedy: %q", f.Remedy)
				}
				if !c.unread {
					wantReason(t, readErr, c.reason)
				}
				return
			}
			if err != nil || readErr != nil {
				t.Fatal(err, readErr)
			}
			if info.History != c.history || info.Entries != c.ordinal {
				t.Errorf("history %s, ordinal %d: %+v", info.History, info.Entries, info)
			}
			b.Release()
		})
	}
}

// lostTail leaves the entries 1-0 … kept-0 and adds first-0 … last-0.
func lostTail(kept, first, last int) []string {
	commands := []string{"bare"}
	for i := 1; i <= last; i++ {
		if i <= kept || i >= first {
			commands = append(commands, fmt.Sprintf("XADD user_events %d-0 n %d", i, i))
		}
	}
	return commands
}

func (s *server) prepare(t *testing.T, commands []string) {
	t.Helper()
	s.do(t, "DEL "+key)
	if len(commands) == 0 || commands[0] != "bare" {
		s.add(t, 1, 10)
	}
	for _, command := range commands {
		if command != "bare" {
			s.do(t, command)
		}
	}
}

func TestAStartThatIsNoIDIsRefused(t *testing.T) {
	r := open(t, contract.Source{Redis: contract.Redis{URL: "redis://localhost"}, Stream: key, From: "yesterday"})
	_, err := r.Check(t.Context(), projector.ID{}, -1)
	wantReason(t, err, contract.ReasonInvalidContract)
	_, err = r.Read(t.Context(), projector.ID{}, -1, stream.Limit{}, 0)
	wantReason(t, err, contract.ReasonInvalidContract)
}

func TestAStreamThatVanishesWhileItIsTailedIsDiverged(t *testing.T) {
	s := start(t)
	s.add(t, 1, 10)
	r := s.reader(t, "0")
	time.AfterFunc(50*time.Millisecond, func() { s.redis.Del(t.Context(), key) })
	_, err := r.Read(t.Context(), id(10), 10, stream.Limit{}, 300*time.Millisecond)
	wantReason(t, err, contract.ReasonSourceDiverged)
}

func TestTrimmingThatOvertakesAReaderIsNotPassedOver(t *testing.T) {
	s := start(t)
	s.add(t, 1, 1000)
	r := s.reader(t, "0")
	b, err := r.Read(t.Context(), projector.ID{}, 0, stream.Limit{Events: 10}, 0)
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
	time.Sleep(50 * time.Millisecond) // the next batch is fetched meanwhile
	s.do(t, "XTRIM user_events MINID 500")
	after, entries := b.Last, b.Entries
	for range 3 {
		b, err = r.Read(t.Context(), after, entries, stream.Limit{Events: 10}, 0)
		if err != nil {
			break
		}
		if b.Events[0].ID != after.Next() && b.Events[0].ID != id(after.Ms+1) {
			t.Fatalf("after %s came %s", after, b.Events[0].ID)
		}
		after, entries = b.Last, b.Entries
		b.Release()
	}
	wantReason(t, err, contract.ReasonHistoryLost)
}
