package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/chaos/history"
	"github.com/refold-dev/refold/projector/contract"
)

// snapshot is all of Redis but the stream, as of one moment.
type snapshot struct {
	claimed  bool
	ledger   ledger
	entities map[string]map[string]string // by key; absent: no hash
	listed   map[string]bool              // the key sets
	bare     map[string]bool
	astray   []string // names in another lane's set
	all      []string // every key there is
}

// look reads everything in one transaction, so that a projector may be at work;
// of entities those of the keys.
func (w *world) look(ctx context.Context, keys []string) (snapshot, error) {
	pipe := w.client.TxPipeline()
	position := pipe.HGetAll(ctx, positionKey)
	var listed, bare [laneCount]*redis.StringSliceCmd
	for lane := range laneCount {
		listed[lane], bare[lane] = pipe.SMembers(ctx, keySetKey(lane)), pipe.SMembers(ctx, bareKey(lane))
	}
	all := pipe.Keys(ctx, "*")
	var hashes []*redis.MapStringStringCmd
	for _, key := range keys {
		hashes = append(hashes, pipe.HGetAll(ctx, history.Prefix+key))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return snapshot{}, fmt.Errorf("look at the read model: %w", err)
	}
	s := snapshot{claimed: len(position.Val()) > 0, all: all.Val(), entities: map[string]map[string]string{}}
	s.listed, s.bare = s.ofLanes(listed), s.ofLanes(bare)
	for i, key := range keys {
		if fields := hashes[i].Val(); len(fields) > 0 {
			s.entities[key] = fields
		}
	}
	if !s.claimed {
		return s, nil
	}
	var err error
	s.ledger, err = parseLedger(position.Val())
	return s, err
}

// ofLanes is the union of the lanes' sets.
func (s *snapshot) ofLanes(sets [laneCount]*redis.StringSliceCmd) map[string]bool {
	union := map[string]bool{}
	for lane, set := range sets {
		for _, key := range set.Val() {
			if union[key] = true; laneOf(key) != lane {
				s.astray = append(s.astray, fmt.Sprintf("%q in lane %d's", key, lane))
			}
		}
	}
	return union
}

func setOf(words []string) map[string]bool {
	set := map[string]bool{}
	for _, word := range words {
		set[word] = true
	}
	return set
}

// verdict is what the judge found.
type verdict struct {
	lost, doubled int64 // events, as the entities count them
	wrong         []string
}

func (v *verdict) say(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

// err shows the first few.
func (v *verdict) err() error {
	if len(v.wrong) == 0 {
		return nil
	}
	const most = 8
	shown := v.wrong
	if len(shown) > most {
		shown = append(slices.Clone(shown[:most]), fmt.Sprintf("and %d more", len(v.wrong)-most))
	}
	return fmt.Errorf("%d lost, %d doubled:\n  %s", v.lost, v.doubled, strings.Join(shown, "\n  "))
}

// mostJudged is how many of the cold entities are judged while the projector
// works on: Redis answers nobody else meanwhile.
const mostJudged = 1000

// judgeSome holds Redis against the model, wherever the projector stands. Where
// the entities are many it takes some of them, other ones for another share.
func (w *world) judgeSome(ctx context.Context, share float64) error {
	return w.judge(ctx, some(w.model.Keys(), share))
}

// some leaves out of the middle, so that the hot and the odd keys are in.
func some(keys []string, share float64) []string {
	if len(keys) <= 2*mostJudged {
		return keys
	}
	const ends = 50
	from := ends + int(share*float64(len(keys)-2*ends-mostJudged))
	return slices.Concat(keys[:ends], keys[from:from+mostJudged], keys[len(keys)-ends:])
}

func (w *world) judge(ctx context.Context, keys []string) error {
	s, err := w.look(ctx, keys)
	if err != nil {
		return err
	}
	v := s.judge(w.model, keys)
	w.judgeForeign(ctx, s, &v)
	w.tally.judged(v, len(s.ledger.lanes) > 0)
	return v.err()
}

// judge compares entity by entity: I1, and that the key sets tell them.
func (s snapshot) judge(model *history.History, keys []string) verdict {
	var v verdict
	if s.claimed {
		if err := s.ledger.wrong(model); err != nil {
			v.say("%v", err)
		}
	}
	for _, astray := range s.astray {
		v.say("an entity is in another lane's set: %s", astray)
	}
	for _, key := range keys {
		want, exists := model.Want(key, s.ledger.of(key))
		v.compare(key, want, s.entities[key])
		if s.listed[key] != exists {
			v.say("entity %q: in its key set: %t, want %t", key, s.listed[key], exists)
		}
		if isBare := exists && len(want) == 0; s.bare[key] != isBare {
			v.say("entity %q: among those without a field: %t, want %t", key, s.bare[key], isBare)
		}
	}
	return v
}

func (v *verdict) compare(key string, want, got map[string]string) {
	if len(want) == 0 && len(got) == 0 || maps.Equal(want, got) {
		return
	}
	counted, _ := strconv.ParseInt(got[history.Counter], 10, 64)
	expected, _ := strconv.ParseInt(want[history.Counter], 10, 64)
	v.lost += max(0, expected-counted)
	v.doubled += max(0, counted-expected)
	v.say("I1: entity %q is %s, want %s", key, shown(got), shown(want))
}

func shown(fields map[string]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		words = append(words, fmt.Sprintf("%s=%.60q", name, fields[name]))
	}
	return "{" + strings.Join(words, " ") + "}"
}

// judgeForeign wants no key but the projection's and the strangers', and those
// as they were: I9.
func (w *world) judgeForeign(ctx context.Context, s snapshot, v *verdict) {
	allowed := setOf([]string{history.Stream, controlKey, positionKey})
	for lane := range laneCount {
		allowed[keySetKey(lane)], allowed[bareKey(lane)] = true, true
	}
	for _, key := range w.model.Keys() {
		allowed[history.Prefix+key] = true
	}
	for key, was := range w.strangers {
		allowed[key] = true
		if is, err := w.client.Dump(ctx, key).Result(); err != nil || is != was {
			v.say("I9: the key %q, which is somebody else's, was changed: %v", key, err)
		}
	}
	for _, key := range s.all {
		if !allowed[key] {
			v.say("I8: nobody knows the key %q", key)
		}
	}
}

// judgeTail also wants that nothing is left to fold.
func (w *world) judgeTail(ctx context.Context) error {
	l, err := w.ledger(ctx)
	if err != nil {
		return err
	}
	for i, lane := range l.all() {
		if lane.id != w.model.Last() {
			return fmt.Errorf("lane %d stands at %s, want %s", i, lane.id, w.model.Last())
		}
	}
	return w.judge(ctx, w.model.Keys())
}

// judgeWords wants that nobody complains of somebody else's writes: there are
// none, but for one who has a successor and has not noticed. A store that
// refuses what is wrong would else hide it.
func (w *world) judgeWords() error {
	for _, p := range w.processes[w.heard:] {
		said, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		if bytes.Contains(said, []byte("a successor holds the partition")) {
			continue
		}
		for line := range bytes.Lines(said) {
			if bytes.Contains(line, []byte(contract.ReasonNotOwned)) {
				return fmt.Errorf("a projector says what is not so: %s: %s", p.log, line)
			}
		}
	}
	w.heard = len(w.processes) - 1 // it speaks on
	return nil
}

// errUnclaimed says that there is no ledger.
var errUnclaimed = errors.New("there is no ledger")

func (w *world) ledger(ctx context.Context) (ledger, error) {
	fields, err := w.client.HGetAll(ctx, positionKey).Result()
	if err != nil {
		return ledger{}, err
	}
	if len(fields) == 0 {
		return ledger{}, errUnclaimed
	}
	return parseLedger(fields)
}
