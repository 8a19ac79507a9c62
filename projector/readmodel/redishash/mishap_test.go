package redishash_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/failpoint"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/readmodel/redishash"
)

// afterFirst calls then when a client has had its first answer to a command.
type afterFirst struct {
	command string
	then    func()
	once    sync.Once
}

func (h *afterFirst) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (h *afterFirst) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == h.command {
			h.once.Do(h.then)
		}
		return err
	}
}

func (h *afterFirst) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

// A cutover that passes the point of no return between a drop's look and its
// write is ended, not forgotten half done.
func TestADropThatKeepsDoesNotForgetASwapThatBegins(t *testing.T) {
	r := newRevisions(t)
	r.two()
	held, goOn, halfway, resume := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	var half sync.Once
	r.store.AtStep(func(step string) {
		switch step {
		case failpoint.PromoteHeld:
			close(held)
			<-goOn
		case failpoint.PromoteRenaming:
			half.Do(func() { close(halfway); <-resume })
		}
	})
	promoted := make(chan error, 1)
	go func() {
		_, err := r.store.Promote(context.WithoutCancel(t.Context()), users.Projection, "r2")
		promoted <- err
	}()
	<-held
	c := client(t, r.addr)
	c.AddHook(&afterFirst{command: "hgetall", then: func() { close(goOn); <-halfway }})
	if err := redishash.New(c, r.schema, prefix, "").Drop(t.Context(), users.Projection, true); err != nil {
		t.Error(err)
	}
	close(resume)
	<-promoted // either may have ended it
	active := r.client.HGet(t.Context(), "refold:{shop/users}", "active").Val()
	if active != "r2" || len(r.Lookup(t, "1")) != 1 || len(r.Lookup(t, "2")) != 1 {
		t.Errorf("not whole, published is %s: %v", active, r.Everything(t))
	}
	for key := range r.Everything(t) {
		if strings.HasPrefix(key, "~") || strings.Contains(key, "r1") {
			t.Errorf("left: %s", key)
		}
	}
}

// What a server forgets between the renames and the switch, by a crash or a
// failover, is not published as if it were there.
func TestRenamesThatTheServerForgotAreDoneAgain(t *testing.T) {
	server := redis.Start(t, redis.AOF())
	r := newRevisionsAt(t, server)
	r.two()
	aof := func() map[string][]byte {
		files := map[string][]byte{}
		found, err := filepath.Glob(filepath.Join(server.Dir(), "appendonlydir", "*"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no AOF: %v", err)
		}
		for _, name := range found {
			if files[name], err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
		return files
	}
	var was map[string][]byte
	once := sync.OnceFunc(func() {
		server.Kill()
		for name, content := range was {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Error(err)
			}
		}
		server.Restart(t)
	})
	r.store.AtStep(func(step string) {
		switch step {
		case failpoint.PromoteDecided:
			if was == nil {
				was = aof()
			}
		case failpoint.PromoteRenamed:
			once()
		}
	})
	for range 3 {
		if _, err := r.store.Promote(t.Context(), users.Projection, "r2"); err == nil {
			break
		}
	}
	active := r.client.HGet(t.Context(), "refold:{shop/users}", "active").Val()
	if active != "r2" || r.client.Exists(t.Context(), "~r2:user:1", "~r2:user:2").Val() != 0 || r.client.Exists(t.Context(), "~r1:user:1", "user:1").Val() != 2 {
		t.Errorf("published is %s: %v", active, r.Everything(t))
	}
}

func TestAPointerGoesAlsoWhenTheDropOfItsRevisionDied(t *testing.T) {
	r := newRevisions(t)
	w := r.writer(r.as(contract.CutoverPointer), "r1")
	if err := w.claim(); err != nil {
		t.Fatal(err)
	}
	if err := w.commit(1, "x", "1"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.store.AtStep(func(step string) {
		if step == failpoint.DropMarked {
			cancel()
		}
	})
	if err := r.store.DropRevision(ctx, users.Projection, "r1", true); err == nil {
		t.Fatal("it was not broken off")
	}
	r.store.AtStep(nil)
	if err := r.store.Drop(t.Context(), users.Projection, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{}, r.Everything(t)); diff != "" {
		t.Error(diff)
	}
}

// A revision that is wanted again while it is removed waits, and begins anew: it
// was not fenced by a successor, which would be for good.
func TestARevisionThatIsWantedAgainWhileItGoesBeginsAnew(t *testing.T) {
	r := newRevisions(t)
	_, candidate := r.two()
	ctx, cancel := context.WithCancel(t.Context())
	r.store.AtStep(func(step string) {
		if step == failpoint.DropMarked {
			cancel()
		}
	})
	if err := r.store.DropRevision(ctx, users.Projection, "r2", false); err == nil {
		t.Fatal("it was not broken off")
	}
	r.store.AtStep(nil)
	again := r.writer(r.as(""), "r2")
	wantReason(t, again.claim(), contract.ReasonHeld, false, "removed")
	if err := candidate.claim(); err == nil {
		t.Error("who held what is removed goes on")
	}
	if err := r.store.DropRevision(t.Context(), users.Projection, "r2", false); err != nil {
		t.Fatal(err)
	}
	if err := again.claim(); err != nil || again.at.Events != 0 {
		t.Errorf("%+v (%v)", again.at, err)
	}
}

func TestAHoldDoesNotOutlastAClockThatWentBack(t *testing.T) {
	r := newRevisions(t)
	published, _ := r.two()
	op := fmt.Sprintf(`{"kind":"Verify","token":"dead","from":"r1","to":"r2","until":"","expires":%d}`, time.Now().Add(time.Hour).UnixMilli())
	r.client.HSet(t.Context(), "refold:{shop/users}", "op", op)
	if err := published.claim(); err != nil {
		t.Errorf("it is held for an hour: %v", err)
	}
}

// What stands in the place of an entity that is published no more is left alone,
// and is no reason to tell anybody to remove what is kept of the entity.
func TestARunThatGoesOnLeavesWhatCameInPlaceOfARemovedEntity(t *testing.T) {
	r := newRevisions(t)
	published, candidate := r.two()
	if err := errors.Join(published.commit(6, "x", "gone"), candidate.commit(6, "x", "1")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.store.AtStep(func(step string) {
		if step == failpoint.PromoteRenamed {
			cancel()
		}
	})
	if _, err := r.store.Promote(ctx, users.Projection, "r2"); err == nil {
		t.Fatal("it was not broken off")
	}
	r.store.AtStep(nil)
	r.client.Set(t.Context(), "user:gone", "theirs", 0)
	if _, err := r.store.Promote(t.Context(), users.Projection, "r2"); err != nil {
		t.Error(err)
	}
	if got := r.client.Get(t.Context(), "user:gone").Val(); got != "theirs" || r.client.HGet(t.Context(), "~r1:user:gone", "s").Val() != "x" {
		t.Errorf("%v", r.Everything(t))
	}
}

// A Job that finds a position gone makes none: what it would make is no position.
func TestAPositionThatIsGoneIsNotMadeByAJob(t *testing.T) {
	r := newRevisions(t)
	r.two()
	position := "refold:{shop/users}:r2:0"
	r.client.Del(t.Context(), position)
	_, err := r.store.Compare(t.Context(), users.Projection, "r2")
	wantReason(t, err, contract.ReasonNotOwned, false, position)
	_, err = r.store.Promote(t.Context(), users.Projection, "r2")
	wantReason(t, err, contract.ReasonNotOwned, false, position)
	if r.client.Exists(t.Context(), position).Val() != 0 || r.client.HExists(t.Context(), "refold:{shop/users}", "op").Val() {
		t.Errorf("%v", r.Everything(t))
	}
}

// The server keeps the answers to all that is asked ahead: of large entities that
// must not be hundreds.
func TestLargeEntitiesAreComparedAFewAtATime(t *testing.T) {
	r := newRevisions(t)
	published, candidate := r.two()
	large := strings.Repeat("x", 1<<20)
	var keys []string
	for i := 0; len(keys) < 60; i++ {
		if key := fmt.Sprint("large", i); readmodel.LaneOf(key) == 3 {
			keys = append(keys, key)
		}
	}
	for _, w := range []*writer{published, candidate} {
		for _, key := range keys {
			if err := w.commit(6, large, key); err != nil {
				t.Fatal(err)
			}
		}
	}
	ended, most := make(chan struct{}), make(chan int64)
	go func() {
		var peak int64
		for {
			select {
			case <-ended:
				most <- peak
				return
			default:
			}
			for _, line := range strings.Split(r.client.Info(context.Background(), "memory").Val(), "\r\n") {
				if text, is := strings.CutPrefix(line, "mem_clients_normal:"); is {
					n, _ := strconv.ParseInt(text, 10, 64)
					peak = max(peak, n)
				}
			}
		}
	}()
	d, err := r.store.Compare(t.Context(), users.Projection, "r2")
	close(ended)
	if peak := <-most; err != nil || d.Same != 62 || peak > 24<<20 {
		t.Errorf("%d MiB (%v) %+v", peak>>20, err, d)
	}
}

// The operator believes the greater number.
func TestALedgerThatIsMadeAnewNumbersAboveTheOneThatWasLost(t *testing.T) {
	r := newRevisions(t)
	var last int64
	rises := func(publication int64) {
		t.Helper()
		if publication <= last {
			t.Errorf("publication %d after %d", publication, last)
		}
		last = publication
	}
	for range 2 {
		published, _ := r.two()
		rises(published.at.Publication)
		done, err := r.store.Promote(t.Context(), users.Projection, "r2")
		if err != nil {
			t.Fatal(err)
		}
		rises(done.Publication)
		r.client.FlushAll(t.Context())
	}
}
