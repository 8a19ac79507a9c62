package engine

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/stream"
)

// script is a stream that hands out its batches and then has no more.
type script struct {
	mu      sync.Mutex
	batches []*stream.Batch
}

func (s *script) Check(context.Context, projector.ID, int64) (stream.Info, error) {
	return stream.Info{Exists: true, LastID: projector.ID{Ms: 1_000_000}, EntriesAdded: 1_000_000}, nil
}

func (s *script) Read(ctx context.Context, _ projector.ID, _ int64, _ stream.Limit, _ time.Duration) (*stream.Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.batches) == 0 {
		<-ctx.Done() // a server that has more, and does not answer
		return nil, ctx.Err()
	}
	b := s.batches[0]
	s.batches = s.batches[1:]
	return b, nil
}

func (s *script) Close() error { return nil }

func (s *script) Tolerate(bool) {}

// shelf is a store in memory. It refuses with err what it is told to refuse.
type shelf struct {
	mu      sync.Mutex
	model   memory
	at      readmodel.Checkpoint
	commits int
	apart   int // commits after which lanes were apart
	err     error
	shadow  bool // it is not published
}

func (s *shelf) Claim(_ context.Context, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil && c.Held > 0 {
		return nil, readmodel.Checkpoint{}, s.err
	}
	s.at.Epoch++
	at := s.at
	at.Published = !s.shadow
	return s, at, nil
}

func (s *shelf) Load(ctx context.Context, keys []string, states []*projector.State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.model.load(ctx, keys, states)
}

// folded is a transaction of a shelf.
type folded struct {
	states map[string]*projector.State
	next   readmodel.Checkpoint
}

func (s *shelf) Prepare(changed []readmodel.Entity, next readmodel.Checkpoint) readmodel.Transaction {
	return folded{copied(changed), next}
}

func (s *shelf) Commit(_ context.Context, t readmodel.Transaction) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	maps.Copy(s.model, t.(folded).states)
	s.at = t.(folded).next
	s.commits++
	if s.at.Lanes != nil {
		s.apart++
	}
	return nil
}

func (s *shelf) Position(context.Context) (readmodel.Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at, nil
}

func (s *shelf) position() uint64 {
	at, _ := s.Position(context.Background())
	return at.Position.Ms
}

// acks keeps the last.
type acks struct {
	mu   sync.Mutex
	last projector.ID
}

func (a *acks) Ack(_ context.Context, position projector.ID, _ int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = position
	return nil
}

// run starts an engine over batches, which commits after so long; stop ends it
// and returns Run's error.
func run(t *testing.T, s *shelf, a *acks, commitAge time.Duration, batches ...*stream.Batch) (e *Engine, stop func() error) {
	t.Helper()
	e = New(Options{
		Reader:  &script{batches: batches},
		Acker:   a,
		Decoder: asTyped{},
		Reducer: sums{},
		Store:   s,
		Schema:  testSchema(t),
		Pace:    Pace{CommitAge: commitAge},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return e, func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(10 * time.Second):
			t.Fatal("Run does not return")
			return nil
		}
	}
}

// behind is a batch with much after it.
func behind(from, to uint64) *stream.Batch {
	b := &stream.Batch{Last: projector.ID{Ms: to}, Entries: int64(to), Tail: projector.ID{Ms: 1_000_000}, TailEntries: 1_000_000}
	for ms := from; ms <= to; ms++ {
		b.Events = append(b.Events, event(ms, "a"))
	}
	return b
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestWhatIsFoldedIsCommittedAlsoWhenNoMoreComes(t *testing.T) {
	s, a := &shelf{model: memory{}}, &acks{}
	_, stop := run(t, s, a, 50*time.Millisecond, behind(1, 10), behind(11, 20))
	eventually(t, "committed", func() bool { return s.position() == 20 })
	time.Sleep(100 * time.Millisecond) // and nothing happens after
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if diff := cmp.Diff(map[string]int64{"a": 210}, s.model.sums()); diff != "" {
		t.Error(diff)
	}
	if a.last.Ms != 20 {
		t.Errorf("acknowledged %s", a.last)
	}
}

func TestTheEndCommitsWhatIsFolded(t *testing.T) {
	s, a := &shelf{model: memory{}}, &acks{}
	e, stop := run(t, s, a, time.Hour, behind(1, 10))
	eventually(t, "claimed", func() bool { return e.Status().Claimed })
	time.Sleep(20 * time.Millisecond)
	if err := stop(); err != nil || s.position() != 10 || a.last.Ms != 10 {
		t.Errorf("%v; committed %d, acknowledged %s", err, s.position(), a.last)
	}
	if got := e.Status().State; got != contract.StateStopped {
		t.Errorf("the state is %s", got)
	}
}

func TestAFencedEngineIdlesUntilItsEnd(t *testing.T) {
	s, a := &shelf{model: memory{}, err: readmodel.ErrFenced}, &acks{}
	e, stop := run(t, s, a, time.Millisecond, behind(1, 10))
	eventually(t, "fenced", func() bool { return e.Status().State == contract.StateFenced })
	if e.Ready() || !e.Alive() || s.at.Epoch != 1 {
		t.Errorf("ready %v, alive %v, epoch %d", e.Ready(), e.Alive(), s.at.Epoch)
	}
	if err := stop(); !errors.Is(err, readmodel.ErrFenced) {
		t.Errorf("Run: %v", err)
	}
	if got := e.Status(); got.Rejected != 1 || a.last.Ms != 0 {
		t.Errorf("%d rejected, acknowledged %s", got.Rejected, a.last)
	}
}
