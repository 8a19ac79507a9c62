package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/stream"
)

// many is a batch of events about so many entities, with much after it.
func many(from, to uint64, entities int) *stream.Batch {
	b := behind(from, to)
	for i := range b.Events {
		b.Events[i].Type = []byte(fmt.Sprint(int(b.Events[i].ID.Ms) % entities))
	}
	return b
}

// sumsOf is the plain fold of batches of many.
func sumsOf(to uint64, entities int) map[string]int64 {
	all := map[string]int64{}
	for ms := uint64(1); ms <= to; ms++ {
		all[fmt.Sprint(int(ms)%entities)] += int64(ms)
	}
	return all
}

func TestBehindTheTailLanesGoOneByOneAndComeTogetherAgain(t *testing.T) {
	s, a := &shelf{model: memory{}}, &acks{}
	const entities = mostTogether + 1000
	_, stop := run(t, s, a, 300*time.Millisecond, many(1, 4000, entities), many(4001, 8000, entities))
	eventually(t, "committed", func() bool { return s.position() == 8000 })
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if at, _ := s.Position(t.Context()); at.Lanes != nil || at.Position.Ms != 8000 || at.Events != 8000 || a.last.Ms != 8000 || s.apart == 0 {
		t.Errorf("it is at %+v, acknowledged %s; lanes were apart %d times", at, a.last, s.apart)
	}
	if diff := cmp.Diff(sumsOf(8000, entities), s.model.sums()); diff != "" {
		t.Error(diff)
	}
}

// flaky refuses the commits that it is told to, before or after they happen.
type flaky struct {
	*shelf
	before, after map[int]error
	tried         int
}

func (f *flaky) Claim(ctx context.Context, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint, error) {
	_, at, err := f.shelf.Claim(ctx, c)
	at.Empty = len(f.model) == 0
	return f, at, err
}

func (f *flaky) Commit(ctx context.Context, t readmodel.Transaction) error {
	f.tried++
	if err := f.before[f.tried]; err != nil {
		return err
	}
	return errors.Join(f.shelf.Commit(ctx, t), f.after[f.tried])
}

func TestACommitThatFailsOrWhoseReplyIsLostIsNeitherLostNorDoubled(t *testing.T) {
	const entities = mostTogether + 1000
	for _, at := range []int{1, 2, 3, 40, 64, 65} {
		for name, f := range map[string]*flaky{
			"failed":         {before: map[int]error{at: errors.New("away"), at + 1: errors.New("away")}},
			"its reply lost": {after: map[int]error{at: readmodel.ErrOutcomeUnknown, at + 3: readmodel.ErrOutcomeUnknown}},
		} {
			t.Run(fmt.Sprint(name, at), func(t *testing.T) {
				f.shelf = &shelf{model: memory{}}
				e := New(Options{
					Reader: &log{to: 6000, entities: entities}, Acker: &acks{}, Decoder: asTyped{}, Reducer: sums{}, Store: f, Schema: testSchema(t),
					Pace: Pace{CommitAge: time.Millisecond, RetryFirst: time.Millisecond, RetryMost: time.Millisecond},
				})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- e.Run(ctx) }()
				eventually(t, "at the tail", func() bool { return e.Status().Events == 6000 })
				cancel()
				if err := <-done; err != nil {
					t.Errorf("Run: %v", err)
				}
				if diff := cmp.Diff(sumsOf(6000, entities), f.model.sums()); diff != "" {
					t.Error(diff)
				}
				if at, _ := f.Position(t.Context()); at.Lanes != nil || at.Events != 6000 || e.counted.folded != 6000 || e.counted.read != 6000 {
					t.Errorf("it is at %+v and counted %+v", at, e.counted)
				}
			})
		}
	}
}

// leisurely is a store that takes its time over each commit, until ctx ends.
type leisurely struct{ *shelf }

func (l leisurely) Claim(ctx context.Context, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint, error) {
	_, at, err := l.shelf.Claim(ctx, c)
	return l, at, err
}

func (l leisurely) Commit(ctx context.Context, t readmodel.Transaction) error {
	if sleep(ctx, 50*time.Millisecond); ctx.Err() != nil {
		return ctx.Err()
	}
	return l.shelf.Commit(ctx, t)
}

func TestTheEndWaitsForAllCommitsTogetherNoLongerThanGrace(t *testing.T) {
	const entities = mostTogether + 1000
	s := &shelf{model: memory{}}
	e := New(Options{
		Reader: &script{batches: []*stream.Batch{many(1, 4000, entities)}}, Acker: &acks{}, Decoder: asTyped{}, Reducer: sums{},
		Store: leisurely{s}, Schema: testSchema(t), Pace: Pace{CommitAge: time.Hour, Grace: 200 * time.Millisecond},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	eventually(t, "read", func() bool { return e.Status().Tail != "" })
	time.Sleep(100 * time.Millisecond)
	cancel()
	began := time.Now()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
	if at, _ := s.Position(t.Context()); at.Lanes == nil || s.commits == 0 {
		t.Errorf("it is at %+v after %d commits", at, s.commits)
	}
}

// log is a stream of events about so many entities, read from anywhere.
type log struct {
	to       uint64
	entities int
}

func (l *log) Check(_ context.Context, position projector.ID, entries int64) (stream.Info, error) {
	return stream.Info{Exists: true, LastID: projector.ID{Ms: l.to}, EntriesAdded: int64(l.to), Entries: entries}, nil
}

func (l *log) Read(ctx context.Context, after projector.ID, _ int64, _ stream.Limit, block time.Duration) (*stream.Batch, error) {
	if after.Ms >= l.to {
		sleep(ctx, block)
		return &stream.Batch{Last: after, Entries: int64(after.Ms), Tail: after, TailEntries: int64(l.to)}, ctx.Err()
	}
	b := many(after.Ms+1, min(after.Ms+1500, l.to), l.entities)
	b.Tail, b.TailEntries = projector.ID{Ms: l.to}, int64(l.to)
	return b, nil
}

func (l *log) Close() error { return nil }

func (l *log) Tolerate(bool) {}

func TestEntitiesThatWereAlteredAreWrittenWholeAndItIsSaid(t *testing.T) {
	altered := &readmodel.AlteredError{Keys: []string{"3", "not in memory"}, Err: &fault.Error{Reason: contract.ReasonNotOwned}}
	f := &flaky{shelf: &shelf{model: memory{}}, after: map[int]error{1: altered}}
	doubted := map[string]bool{}
	w := &watching{f, doubted}
	e := New(Options{
		Reader: &log{to: 100, entities: 10}, Acker: &acks{}, Decoder: asTyped{}, Reducer: sums{}, Store: w, Schema: testSchema(t),
		Pace: Pace{Block: 10 * time.Millisecond, RetryFirst: 100 * time.Millisecond, RetryMost: 100 * time.Millisecond},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	eventually(t, "said", func() bool { return e.Status().Problem != nil && e.Status().Problem.Reason == contract.ReasonNotOwned })
	eventually(t, "well again", func() bool { return e.Status().Problem == nil })
	cancel()
	<-done
	if len(doubted) != 1 || !doubted["3"] || f.at.Epoch != 1 {
		t.Errorf("written whole: %v; epoch %d", doubted, f.at.Epoch)
	}
}

func TestAnAlteredEntityIsKeptUntilItIsWrittenWhole(t *testing.T) {
	altered := &readmodel.AlteredError{Keys: []string{"a"}, Err: &fault.Error{Reason: contract.ReasonNotOwned}}
	f := &flaky{shelf: &shelf{model: memory{}}, after: map[int]error{1: altered}}
	e := New(Options{Reader: &script{}, Acker: &acks{}, Decoder: asTyped{}, Reducer: sums{}, Store: f, Schema: testSchema(t), CacheBytes: 1})
	if err := e.claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer e.release()
	if _, err := e.fold.some(t.Context(), []projector.Event{event(1, "a")}, e.load); err != nil {
		t.Fatal(err)
	}
	if err := e.send(everyLane); fault.As(err) == nil {
		t.Errorf("the commit said %v", err)
	}
	if a := e.fold.cache.get("a", e.fold.cache.hash("a")); a == nil || !a.state.Doubted() || e.fold.lanes.dirty != 1 {
		t.Errorf("it is %+v, and %d entities are to be written", a, e.fold.lanes.dirty)
	}
}

func TestWhatComesAfterACommitWaitsItsOwnTime(t *testing.T) {
	e := New(Options{Reader: &script{}, Acker: &acks{}, Decoder: asTyped{}, Reducer: sums{}, Store: &shelf{model: memory{}}, Schema: testSchema(t),
		Pace: Pace{CommitAge: time.Minute}})
	if err := e.claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer e.release()
	e.behind, e.unsentSince = true, time.Now().Add(-time.Hour)
	foldOne := func(ms uint64) {
		if _, err := e.fold.some(t.Context(), []projector.Event{event(ms, "a")}, e.load); err != nil {
			t.Fatal(err)
		}
	}
	foldOne(1)
	if _, due := e.due(); !due {
		t.Error("what waits for an hour is not due")
	}
	if err := e.send(everyLane); err != nil {
		t.Fatal(err)
	}
	foldOne(2)
	if _, due := e.due(); due || !e.unsent() {
		t.Error("what has just come is due")
	}
}

// watching notes which entities are to be written whole.
type watching struct {
	*flaky
	doubted map[string]bool
}

func (w *watching) Claim(ctx context.Context, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint, error) {
	_, at, err := w.flaky.Claim(ctx, c)
	return w, at, err
}

func (w *watching) Prepare(changed []readmodel.Entity, next readmodel.Checkpoint) readmodel.Transaction {
	for _, e := range changed {
		if e.State.Doubted() {
			w.doubted[e.Key] = true
		}
	}
	return w.flaky.Prepare(changed, next)
}
