package main

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/refold-dev/refold/hack/chaos/history"
)

func position() map[string]string {
	return map[string]string{"id": "5-1", "epoch": "3", "entries": "9", "events": "7", "holder": "a"}
}

func withLanes(last string) map[string]string {
	fields := position()
	fields["lanes"] = strings.Repeat("5-1/9/7 ", laneCount-1) + last
	return fields
}

func TestALedgerWithoutLanesHasEveryEntityAtItsID(t *testing.T) {
	l, err := parseLedger(position())
	if err != nil || l.of("42") != (history.ID{Ms: 5, Seq: 1}) || l.epoch != 3 || l.entries != 9 || l.events != 7 {
		t.Errorf("%+v, %v", l, err)
	}
}

// FNV-1a of one byte is (offset ^ byte) * prime, of which the low six bits are
// those of (0x25 ^ byte) * 0x33: "0" is of lane 47, "1" of lane 60.
func TestAnEntityStandsWhereItsLaneDoes(t *testing.T) {
	fields := position()
	var lanes []string
	for n := range laneCount {
		lanes = append(lanes, fmt.Sprintf("%d-0/9/7", 100+n))
	}
	fields["lanes"] = strings.Join(lanes, " ")
	l, err := parseLedger(fields)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]uint64{"0": 147, "1": 160} {
		if got := l.of(key).Ms; got != want {
			t.Errorf("%q stands at %d, want %d", key, got, want)
		}
	}
}

func TestALedgerThatIsNoneIsRefused(t *testing.T) {
	for name, fields := range map[string]map[string]string{
		"no epoch":       {"id": "5-1", "entries": "9", "events": "7"},
		"no ID":          {"id": "5", "epoch": "3", "entries": "9", "events": "7"},
		"too many lanes": withLanes("5-1/9/7 5-1/9/7"),
		"half a lane":    withLanes("5-1"),
	} {
		if l, err := parseLedger(fields); err == nil {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestALedgerThatGoesBackIsSeen(t *testing.T) {
	for name, change := range map[string]struct {
		fields map[string]string
		says   string
	}{
		"nothing":               {map[string]string{}, ""},
		"onwards":               {map[string]string{"id": "5-2", "epoch": "4", "holder": "b"}, ""},
		"an ID":                 {map[string]string{"id": "5-0"}, "I3"},
		"a lane":                {map[string]string{"lanes": withLanes("4-0/1/1")["lanes"]}, "I3"},
		"an epoch":              {map[string]string{"epoch": "2"}, "I4"},
		"two of the same epoch": {map[string]string{"holder": "b"}, "I4"},
	} {
		fields := position()
		was, err := parseLedger(fields)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(fields, change.fields)
		is, err := parseLedger(fields)
		if err != nil {
			t.Fatal(err)
		}
		if err := was.before(is); (err == nil) != (change.says == "") || err != nil && !strings.Contains(err.Error(), change.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
