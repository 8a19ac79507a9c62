package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/stream"
)

// bothFail is a log and a read model on one server. The first commit fails, when
// all was read; so does the first look at the log after that.
type bothFail struct {
	*shelf
	log
	end                chan struct{} // closed when all was read
	committed, checked atomic.Int64
}

func (b *bothFail) Claim(ctx context.Context, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint, error) {
	_, at, err := b.shelf.Claim(ctx, c)
	return b, at, err
}

func (b *bothFail) Commit(ctx context.Context, t readmodel.Transaction) error {
	if b.committed.Add(1) == 1 {
		<-b.end
		return errors.New("the read model is away")
	}
	return b.shelf.Commit(ctx, t)
}

func (b *bothFail) Check(ctx context.Context, position projector.ID, entries int64) (stream.Info, error) {
	if b.checked.Add(1) == 2 {
		return stream.Info{}, errors.New("the log is away")
	}
	return b.log.Check(ctx, position, entries)
}

func (b *bothFail) Read(ctx context.Context, after projector.ID, entries int64, limit stream.Limit, block time.Duration) (*stream.Batch, error) {
	if after.Ms == b.to && b.checked.Load() == 1 {
		close(b.end)
		<-ctx.Done()
	}
	return b.log.Read(ctx, after, entries, limit, block)
}

// What was folded and not sent when the read model failed is not folded any more,
// also where the log then cannot be looked at.
func TestAClaimForgetsWhatWasNotSent(t *testing.T) {
	const entities = mostTogether + 1000
	b := &bothFail{shelf: &shelf{model: memory{}}, log: log{to: 6000, entities: entities}, end: make(chan struct{})}
	e := New(Options{
		Reader: b, Acker: &acks{}, Decoder: asTyped{}, Reducer: sums{}, Store: b, Schema: testSchema(t),
		Pace: Pace{CommitAge: time.Millisecond, RetryFirst: time.Millisecond, RetryMost: time.Millisecond},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	eventually(t, "at the tail", func() bool { return b.position() == 6000 })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if diff := cmp.Diff(sumsOf(6000, entities), b.model.sums()); diff != "" {
		t.Error(diff)
	}
}

// shortened is a log that lost its tail, and says so.
type shortened struct{ log }

func (s *shortened) Check(ctx context.Context, position projector.ID, entries int64) (stream.Info, error) {
	if position.Ms > s.to {
		return stream.Info{}, &fault.Error{Reason: contract.ReasonSourceDiverged, Permanent: true}
	}
	return s.log.Check(ctx, position, entries)
}

func TestALogThatEndsBeforeALaneHasDiverged(t *testing.T) {
	s := &shelf{model: memory{}}
	s.at.Position, s.at.Lanes = projector.ID{Ms: 10}, new([readmodel.Lanes]readmodel.Mark)
	for i := range s.at.Lanes {
		s.at.Lanes[i].Position = projector.ID{Ms: 10}
	}
	s.at.Lanes[readmodel.LaneOf("3")].Position = projector.ID{Ms: 30}
	e := New(Options{
		Reader: &shortened{log{to: 20, entities: 5}}, Acker: &acks{}, Decoder: asTyped{}, Reducer: sums{}, Store: s, Schema: testSchema(t),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	eventually(t, "said", func() bool {
		return e.Status().Problem != nil && e.Status().Problem.Reason == contract.ReasonSourceDiverged
	})
	cancel()
	if err := <-done; err != nil || s.position() != 10 {
		t.Errorf("Run: %v; it is at %d", err, s.position())
	}
}

// loadFails is a store of which a Load fails while the first commit is under way.
type loadFails struct {
	*shelf
	begun, failed chan struct{}
	loads         atomic.Int64
}

func (l *loadFails) Claim(ctx context.Context, c readmodel.Claim) (readmodel.Partition, readmodel.Checkpoint, error) {
	_, at, err := l.shelf.Claim(ctx, c)
	return l, at, err
}

func (l *loadFails) Commit(ctx context.Context, t readmodel.Transaction) error {
	if l.commits == 0 {
		close(l.begun)
		<-l.failed
	}
	return l.shelf.Commit(ctx, t)
}

func (l *loadFails) Load(ctx context.Context, keys []string, states []*projector.State) error {
	if l.loads.Add(1) == 3 {
		<-l.begun
		close(l.failed)
		return errors.New("the read model is away")
	}
	return l.shelf.Load(ctx, keys, states)
}

func TestACommitBesideALoadThatFailsIsCounted(t *testing.T) {
	const entities = 2000
	l := &loadFails{shelf: &shelf{model: memory{}}, begun: make(chan struct{}), failed: make(chan struct{})}
	e := New(Options{
		Reader: &log{to: 3000, entities: entities}, Acker: &acks{}, Decoder: asTyped{}, Reducer: sums{}, Store: l, Schema: testSchema(t),
		Pace: Pace{CommitAge: 1, RetryFirst: time.Millisecond, RetryMost: time.Millisecond},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	eventually(t, "at the tail", func() bool { return l.position() == 3000 })
	cancel()
	if err := <-done; err != nil || e.counted.folded != 3000 || e.counted.read != 3000 {
		t.Errorf("Run: %v; it counted %+v", err, e.counted)
	}
	if diff := cmp.Diff(sumsOf(3000, entities), l.model.sums()); diff != "" {
		t.Error(diff)
	}
}
