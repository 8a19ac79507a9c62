package stream_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/redisconn"
	"github.com/refold-dev/refold/projector/stream"
)

// model is what the test did to the stream; IDs are 1-0, 2-0, ….
type model struct {
	added   uint64
	removed map[uint64]bool
}

// unreadGone says whether an entry from the start on and after the position was
// removed.
func (m *model) unreadGone(position uint64) bool {
	for n, gone := range m.removed {
		if gone && n > position {
			return true
		}
	}
	return false
}

// anyKept says whether an entry up to the position is still there.
func (m *model) anyKept(position uint64) bool {
	for n := uint64(1); n <= position; n++ {
		if !m.removed[n] {
			return true
		}
	}
	return false
}

// machine interleaves writing, removing and reading as rapid draws it.
type machine struct {
	model
	s        *server
	r        *stream.Reader
	position uint64
	after    projector.ID
	entries  int64
}

func TestEveryEntryIsReadOnceOrItsLossIsTold(t *testing.T) {
	s := start(t)
	client, err := redisconn.New(redisconn.Source, contract.Redis{URL: "redis://" + s.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	rapid.Check(t, func(t *rapid.T) {
		s.redis.Del(context.Background(), key)
		from := rapid.SampledFrom([]uint64{0, 0, 1, 5, 20}).Draw(t, "from")
		m := &machine{s: s, r: stream.NewReader(client, contract.Source{Stream: key, From: fmt.Sprint(from)}, group), entries: -1, model: model{removed: map[uint64]bool{}}}
		defer m.r.Close()
		m.after = id(from).Prev()
		if from > 0 {
			m.position = from - 1
		}
		t.Repeat(map[string]func(*rapid.T){
			"add":    m.add,
			"trim":   m.trim,
			"delete": m.remove,
			"check":  m.check,
			"read":   m.read,
			"again":  m.read,
		})
	})
}

func (m *machine) add(t *rapid.T) {
	n := rapid.IntRange(1, 40).Draw(t, "n")
	pipe := m.s.redis.Pipeline()
	for range n {
		m.added++
		pipe.XAdd(context.Background(), &redis.XAddArgs{Stream: key, ID: fmt.Sprintf("%d-0", m.added), Values: []any{"n", m.added}})
	}
	if _, err := pipe.Exec(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// near draws an ID around the position, where it matters.
func (m *machine) near(t *rapid.T) uint64 {
	if m.added == 0 {
		t.Skip("no entry yet")
	}
	at := int(m.position) + rapid.IntRange(-8, 3).Draw(t, "at")
	return uint64(min(max(at, 1), int(m.added)))
}

func (m *machine) trim(t *rapid.T) {
	to := m.near(t)
	m.s.redis.XTrimMinID(context.Background(), key, fmt.Sprint(to))
	for n := uint64(1); n < to; n++ {
		m.removed[n] = true
	}
}

func (m *machine) remove(t *rapid.T) {
	n := m.near(t)
	m.s.redis.XDel(context.Background(), key, fmt.Sprintf("%d-0", n))
	m.removed[n] = true
}

func (m *machine) check(t *rapid.T) {
	info, err := m.r.Check(context.Background(), m.after, m.entries)
	if !m.judge(t, err) {
		return
	}
	if info.Entries >= 0 && info.Entries != int64(m.position) {
		t.Fatalf("the ordinal of %d is said to be %d", m.position, info.Entries)
	}
	if m.unreadGone(m.position) {
		t.Fatalf("entries after %d are gone, and Check does not tell: %+v", m.position, info)
	}
	m.entries = info.Entries
}

func (m *machine) read(t *rapid.T) {
	limit := stream.Limit{Events: rapid.IntRange(1, 30).Draw(t, "limit")}
	b, err := m.r.Read(context.Background(), m.after, m.entries, limit, 0)
	if !m.judge(t, err) {
		return
	}
	defer b.Release()
	for _, e := range b.Events {
		m.position++
		if e.ID != id(m.position) {
			t.Fatalf("%s came where %d-0 belongs", e.ID, m.position)
		}
	}
	if b.Entries >= 0 && b.Entries != int64(m.position) {
		t.Fatalf("the ordinal of %d is said to be %d", m.position, b.Entries)
	}
	m.after, m.entries = b.Last, b.Entries
}

// judge says whether the reader went on, and refuses verdicts that are not so.
func (m *machine) judge(t *rapid.T, err error) bool {
	if err == nil {
		return true
	}
	f := fault.As(err)
	switch {
	case f == nil:
		t.Fatal(err)
	case f.Reason == contract.ReasonHistoryLost:
		// Where the ordinal is unknown and nothing up to the position is left,
		// it cannot be told whether the trimming stopped right there.
		if !m.unreadGone(m.position) && (m.entries >= 0 || m.anyKept(m.position)) {
			t.Fatalf("nothing after %d is gone: %v", m.position, err)
		}
	case f.Reason == contract.ReasonSourceMissing && m.added == 0:
	case f.Reason == contract.ReasonFromAfterEnd && m.added <= m.position:
	default:
		t.Fatal(err)
	}
	return false
}

func TestNothingIsLostInSilenceWhileOthersWriteAndTrim(t *testing.T) {
	s := start(t)
	var told, whole int
	for seed := range uint64(40) {
		s.do(t, "DEL "+key)
		s.add(t, 1, 1)
		if s.race(t, seed) {
			told++
		} else {
			whole++
		}
	}
	t.Logf("%d read to the end, %d told of a loss", whole, told)
	if told == 0 || whole == 0 {
		t.Error("the race is no race: change its pace")
	}
}

// race reads while another writes and removes; it says whether a loss was told.
func (s *server) race(t *testing.T, seed uint64) (lost bool) {
	r := s.reader(t, "0")
	w := &writer{model: model{added: 1, removed: map[uint64]bool{}}, rand: rand.New(rand.NewPCG(seed, 1)), s: s}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	var done sync.WaitGroup
	done.Go(func() { w.run(ctx) })
	position, after, entries := uint64(0), projector.ID{}, int64(-1)
	for rest := false; ; {
		if ctx.Err() != nil && !rest {
			done.Wait()
			rest = true // one more round than there are writes
		}
		b, err := r.Read(t.Context(), after, entries, stream.Limit{Events: 64}, time.Millisecond)
		if err != nil {
			cancel()
			done.Wait()
			var f *fault.Error
			if !errors.As(err, &f) || f.Reason != contract.ReasonHistoryLost || !w.unreadGone(position) {
				t.Fatalf("seed %d at %d: %v", seed, position, err)
			}
			return true
		}
		for _, e := range b.Events {
			if position++; e.ID != id(position) {
				t.Fatalf("seed %d: %s came where %d-0 belongs", seed, e.ID, position)
			}
		}
		after, entries = b.Last, b.Entries
		end := len(b.Events) == 0
		b.Release()
		w.reached(position)
		if rest && end {
			break
		}
	}
	if position != w.added {
		t.Fatalf("seed %d: %d of %d were read", seed, position, w.added)
	}
	return false
}

// writer adds, and removes near where the reader is.
type writer struct {
	model
	s    *server
	rand *rand.Rand
	mu   sync.Mutex
	at   uint64
}

func (w *writer) reached(position uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = position
}

func (w *writer) run(ctx context.Context) {
	bg := context.Background()
	greedy := w.rand.IntN(2) // every other one removes what may be unread
	for ctx.Err() == nil {
		pipe := w.s.redis.Pipeline()
		for range w.rand.IntN(200) {
			w.added++
			pipe.XAdd(bg, &redis.XAddArgs{Stream: key, ID: fmt.Sprintf("%d-0", w.added), Values: []any{"n", w.added}})
		}
		w.mu.Lock()
		at := w.at + uint64(w.rand.IntN(3)*greedy)
		w.mu.Unlock()
		switch w.rand.IntN(3) {
		case 0:
			pipe.XTrimMinID(bg, key, fmt.Sprint(at))
			for n := uint64(1); n < at && n <= w.added; n++ {
				w.removed[n] = true
			}
		case 1:
			pipe.XDel(bg, key, fmt.Sprintf("%d-0", at))
			w.removed[at] = at > 0 && at <= w.added
		}
		if _, err := pipe.Exec(bg); err != nil {
			return
		}
	}
}
