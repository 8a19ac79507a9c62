package run_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/refold-dev/refold/hack/testbed/redis"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/failpoint"
)

// both runs a test for each way to publish, from it and to it.
func both(t *testing.T, test func(t *testing.T, w, next *world)) {
	for _, modes := range [][2]string{
		{contract.CutoverRename, contract.CutoverRename}, {contract.CutoverPointer, contract.CutoverPointer},
		{contract.CutoverRename, contract.CutoverPointer}, {contract.CutoverPointer, contract.CutoverRename},
	} {
		t.Run(fmt.Sprintf("%s to %s", modes[0], modes[1]), func(t *testing.T) {
			w := newWorld(t)
			w.contract.ReadModel.RedisHash.Cutover = modes[0]
			next := w.revision("r2")
			next.contract.ReadModel.RedisHash.Cutover = modes[1]
			test(t, w, next)
		})
	}
}

func TestARevisionIsBuiltComparedPublishedTakenBackAndDropped(t *testing.T) {
	both(t, func(t *testing.T, w, next *world) {
		w.burst(20_000, 1)
		w.add("Created", "id", "5", "name", "Ada") // one that would go
		w.add("Left", "id", "9")                   // and one that would come
		one := w.start()
		if s := one.awaitTail(); !s.Published {
			t.Errorf("%+v", s)
		}
		stop := w.flow()
		two := next.start()
		two.await("caught up", func(s contract.Partition) bool { return s.CaughtUp && !s.Published })
		w.judgeRevision()
		next.judgeRevision()

		verdict := next.must("verify", "--active", w.contract.Revision).Diff
		next.judgeDiff(w, verdict)

		done := next.must("cutover").Cutover
		if done.From != "r1" || done.To != "r2" || next.active() != "r2" {
			t.Errorf("%+v", done)
		}
		two.await("published", func(s contract.Partition) bool { return s.Published && s.State == contract.StateLive })
		one.await("retained", func(s contract.Partition) bool { return !s.Published && s.State == contract.StateLive })
		w.judgeRevision()
		next.judgeRevision()

		w.must("cutover") // and back: it has gone on folding
		one.await("published again", func(s contract.Partition) bool { return s.Published && s.State == contract.StateLive })
		stop()
		one.awaitTail()
		two.awaitTail()
		w.judgeRevision()
		next.judgeRevision()
		for _, p := range []*process{one, two} {
			if s, _ := p.status(); s.Rejected != 0 || s.Problem != nil {
				t.Errorf("%+v %+v", s, s.Problem)
			}
		}

		if code, r := w.run("drop", "--revision-only"); code == 0 || r.Done || r.Problem == nil {
			t.Errorf("it drops what readers read: %+v", r)
		}
		two.stop()
		next.must("drop", "--revision-only")
		for _, key := range w.keys() {
			if strings.Contains(key, "r2") {
				t.Errorf("left: %s", key)
			}
		}
		if got := w.groups(); !slices.Equal(got, []string{group}) {
			t.Errorf("groups %q", got)
		}
		w.burst(100, 3)
		one.awaitTail()
		w.judgeRevision()
		one.stop()
		w.must("drop", "--keep=false")
		if left := w.strays(streamName); len(left) > 0 || len(w.groups()) > 0 {
			t.Errorf("left: %q, groups %q", left, w.groups())
		}
	})
}

func TestADropTakesEveryRevisionAndItsGroup(t *testing.T) {
	for _, keep := range []string{"true", "false"} {
		w := newWorldOf(t)
		next := w.revision("r2")
		w.burst(2000, 1)
		one, two := w.start(), (*process)(nil)
		one.awaitTail()
		two = next.start()
		two.awaitTail()
		one.stop()
		two.stop()
		w.client.Set(t.Context(), "user:of-somebody-else", "x", 0)
		w.must("drop", "--keep="+keep)
		if got := w.groups(); len(got) > 0 {
			t.Errorf("groups %q", got)
		}
		w.client.Del(t.Context(), "user:of-somebody-else")
		if keep == "true" {
			w.judge()
			if left := w.strays(streamName, keyPrefix, "refold:{shop/users}:r1:", "refold:{shop/users}"); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			for _, key := range w.keys() {
				if strings.Contains(key, "r2") {
					t.Errorf("left: %s", key)
				}
			}
		} else if left := w.strays(streamName); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	}
}

func TestADroppedRevisionsProjectorDoesNotMakeItAnew(t *testing.T) {
	w := newWorld(t)
	next := w.revision("r2")
	w.burst(500, 1)
	w.start().awaitTail()
	two := next.start()
	two.awaitTail()
	next.must("drop", "--revision-only")
	w.burst(500, 2)
	two.await("fenced", func(s contract.Partition) bool { return s.State == contract.StateFenced })
	for _, key := range w.keys() {
		if strings.Contains(key, "r2") {
			t.Errorf("made anew: %s", key)
		}
	}
	w.judgeRevision()
}

func TestPublishingInPlaceLeavesNothingPublished(t *testing.T) {
	w := newWorld(t)
	next := w.revision("r2")
	w.burst(2000, 1)
	one := w.start()
	one.awaitTail()
	one.stop()
	w.must("drop", "--revision-only", "--published")
	if left := w.strays(streamName, "refold:{shop/users}"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if s := next.start().awaitTail(); !s.Published {
		t.Errorf("%+v", s)
	}
	next.judgeRevision()
	if next.place() != keyPrefix {
		t.Errorf("it is at %s", next.place())
	}
}

func TestTwoCutoversAtOnceDoNotHurt(t *testing.T) {
	both(t, func(t *testing.T, w, next *world) {
		w.burst(20_000, 1)
		one := w.start()
		one.awaitTail()
		two := next.start()
		two.awaitTail()
		stop := w.flow()
		jobs := []*started{next.begin("cutover"), next.begin("cutover"), next.begin("cutover")}
		done := 0
		for _, job := range jobs {
			if code, r := job.end(); code == 0 && r.Done {
				done++
			} else if r.Problem != nil && r.Problem.Permanent {
				t.Errorf("%+v", r.Problem)
			}
		}
		next.must("cutover") // once more is done already
		stop()
		if done == 0 || w.active() != "r2" {
			t.Errorf("%d of them did it; %s is published", done, w.active())
		}
		one.awaitTail()
		two.awaitTail()
		w.judgeRevision()
		next.judgeRevision()
	})
}

func TestKilledAtAnyMomentARevisionIsStillPublishedWholly(t *testing.T) {
	both(t, func(t *testing.T, w, next *world) {
		random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
		w.burst(20_000, 1)
		worlds := []*world{w, next}
		folding := []*process{w.start(), nil}
		folding[0].awaitTail()
		folding[1] = next.start()
		stop := w.flow()
		for range 12 {
			target := worlds[random.IntN(2)]
			command := []string{"verify", "cutover", "cutover"}[random.IntN(3)]
			job := target.begin(command)
			switch random.IntN(3) {
			case 0: // a job dies
				time.Sleep(time.Duration(random.IntN(120)) * time.Millisecond)
				_ = job.cmd.Process.Signal([]syscall.Signal{syscall.SIGKILL, syscall.SIGTERM}[random.IntN(2)])
				<-job.done
			case 1: // a projector dies
				time.Sleep(time.Duration(random.IntN(120)) * time.Millisecond)
				i := random.IntN(2)
				folding[i].signal(syscall.SIGKILL)
				<-folding[i].done
				folding[i] = worlds[i].start()
				<-job.done
			default:
				<-job.done
			}
		}
		next.eventually("cutover")
		stop()
		for i := range folding {
			folding[i].awaitTail()
			worlds[i].judgeRevision()
		}
		if w.active() != "r2" {
			t.Errorf("%s is published", w.active())
		}
		left := w.strays(streamName, "refold:{shop/users}", w.place(), next.place(), keyPrefix+"@active")
		if len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
}

// eventually runs a command until it succeeds, as a Job does.
func (w *world) eventually(command string, words ...string) contract.Result {
	w.t.Helper()
	var last contract.Result
	for range 5 {
		code, r := w.run(command, words...)
		if code == 0 && r.Done {
			return r
		}
		if last = r; r.Problem != nil && r.Problem.Permanent {
			w.t.Errorf("%s: %+v", command, r.Problem)
		}
	}
	w.t.Fatalf("%s does not succeed: %+v %+v", command, last, last.Problem)
	return last
}

func TestARedisThatRestartsInAnyPhaseIsExact(t *testing.T) {
	for _, phase := range []string{"building", "verify", "cutover", "drop"} {
		t.Run(phase, func(t *testing.T) {
			w := newWorld(t, redis.AOF())
			next := w.revision("r2")
			w.burst(20_000, 1)
			one := w.start()
			one.awaitTail()
			two := next.start()
			stop := sync.OnceFunc(w.flow())
			defer stop()
			restart := func(after time.Duration) {
				time.Sleep(after)
				w.server.Kill()
				time.Sleep(100 * time.Millisecond)
				w.server.Restart(t)
			}
			if phase == "building" {
				restart(50 * time.Millisecond)
			} else {
				two.awaitCaughtUp()
				for _, after := range []time.Duration{20, 60, 150} {
					words := []string{phase}
					if phase == "drop" {
						words = append(words, "--revision-only")
						two.stop()
					}
					job := next.begin(words[0], words[1:]...)
					restart(after * time.Millisecond)
					<-job.done
				}
			}
			if phase == "drop" {
				next.eventually("drop", "--revision-only")
				stop()
				one.awaitTail()
				w.judgeRevision()
				for _, key := range w.keys() {
					if strings.Contains(key, "r2") {
						t.Errorf("left: %s", key)
					}
				}
				return
			}
			two.awaitCaughtUp()
			next.judgeDiff(w, next.eventuallyCompared(w))
			next.eventually("cutover")
			stop()
			one.awaitTail()
			two.awaitTail()
			w.judgeRevision()
			next.judgeRevision()
		})
	}
}

// eventuallyCompared compares, unless it is published already.
func (w *world) eventuallyCompared(active *world) *contract.Diff {
	w.t.Helper()
	if w.active() == w.contract.Revision {
		active.eventually("cutover")
	}
	return w.eventually("verify").Diff
}

func (p *process) awaitCaughtUp() contract.Partition {
	p.w.t.Helper()
	return p.await("caught up", func(s contract.Partition) bool { return s.CaughtUp })
}

func TestAReplayOfATrimmedLogIsMadeOnlyWhenItIsWanted(t *testing.T) {
	w := newWorld(t)
	w.burst(3000, 1)
	one := w.start()
	one.awaitTail()
	w.client.XTrimMaxLen(t.Context(), streamName, 1000)
	entries := w.client.XRangeN(t.Context(), streamName, "-", "+", 600).Val()
	w.client.XDel(t.Context(), streamName, entries[500].ID)
	next := w.revision("r2")
	two := next.start()
	s := two.awaitProblem(contract.ReasonHistoryIncomplete)
	if s.State != contract.StateHalted || !strings.Contains(s.Problem.Message, entries[0].ID) || !strings.Contains(s.Problem.Remedy, "spec.replay.history: Available") {
		t.Errorf("%+v %+v", s, s.Problem)
	}
	if keys := w.client.Keys(t.Context(), "~r2:*").Val(); len(keys) > 0 {
		t.Errorf("it has folded: %q", keys)
	}
	two.stop()
	next.contract.Replay.History = contract.HistoryAvailable
	two = next.start("REFOLD_FAILPOINT=committed:after-1")
	<-two.done // and goes on in the middle
	two = next.start()
	two.awaitTail()
	next.judgeRevision()
	next.must("cutover")
	w.burst(100, 2)
	two.awaitTail()
	next.judgeRevision()
}

func TestAJobKilledAtAnyStepIsRunAgain(t *testing.T) {
	both(t, func(t *testing.T, w, next *world) {
		w.burst(5000, 1)
		one := w.start()
		one.awaitTail()
		two := next.start()
		two.awaitTail()
		stop := w.flow()
		for _, step := range []string{
			failpoint.CompareTracking, failpoint.CompareHeld, failpoint.CompareArrived, failpoint.CompareCounted,
			failpoint.PromoteChecked, failpoint.PromoteHeld, failpoint.PromoteDecided, failpoint.PromoteRenaming, failpoint.PromoteRenamed, failpoint.PromoteDone,
		} {
			command := "verify"
			if strings.HasPrefix(step, "promote") {
				command = "cutover"
			}
			job := next.begin(command, "REFOLD_FAILPOINT="+step+":after-1")
			<-job.done
			next.eventually(command)
			if command == "cutover" {
				two.await("published after "+step, func(s contract.Partition) bool { return s.Published && s.State == contract.StateLive })
				w.judgeRevision()
				next.judgeRevision()
				w.eventually("cutover")
			}
		}
		stop()
		one.awaitTail()
		two.awaitTail()
		w.judgeRevision()
		next.judgeRevision()
		two.stop()
		for _, step := range []string{failpoint.DropMarked, failpoint.DropBatch, failpoint.DropEmptied} {
			job := next.begin("drop", "--revision-only", "REFOLD_FAILPOINT="+step+":after-1")
			<-job.done
		}
		next.must("drop", "--revision-only")
		for _, key := range w.keys() {
			if strings.Contains(key, "r2") {
				t.Errorf("left: %s", key)
			}
		}
		w.judgeRevision()
	})
}

// A cutover that fails says whether it has touched anything: the operator calls
// off only one that has not.
func TestACutoverThatFailsSaysHowFarItCame(t *testing.T) {
	w := newWorld(t)
	next := w.revision("r2")
	w.add("Created", "id", "5", "name", "Ada")
	one := w.start()
	one.awaitTail()
	two := next.start()
	two.awaitTail()
	w.client.HSet(t.Context(), "~r1:user:5", "theirs", "1") // where the old one is to be put aside
	if code, r := next.run("cutover"); code == 0 || r.Done || r.Cutover == nil || r.Cutover.From != "r1" {
		t.Errorf("past the point of no return: %+v", r)
	}
	w.client.Del(t.Context(), "~r1:user:5")
	next.must("cutover")
	w.must("cutover") // and back
	one.stop()
	two.stop()
	w.server.Kill()
	if code, r := next.run("cutover"); code == 0 || r.Done || r.Cutover == nil || r.Cutover.From != "" {
		t.Errorf("nobody knows: %+v", r)
	}
}

// A revision that ends before where the published one is has no more to come, and
// the other way around.
func TestARevisionWithAnEndIsComparedAndPublished(t *testing.T) {
	w := newWorld(t)
	next := w.revision("r2")
	w.burst(1000, 1)
	next.contract.Source.Until = w.tail()
	w.burst(1000, 2)
	w.start().awaitTail()
	two := next.start()
	two.awaitState(contract.StateCompleted)
	if d := next.must("verify", "--active", "r1").Diff; d.AtID != "" || d.Changed+d.Removed == 0 {
		t.Errorf("%+v", d)
	}
	if next.must("cutover"); next.active() != "r2" {
		t.Error("it is not published")
	}
	two.await("published", func(s contract.Partition) bool { return s.Published && s.State == contract.StateCompleted })
	if d := w.must("verify", "--active", "r2").Diff; d.AtID != "" || d.Changed+d.Added == 0 {
		t.Errorf("%+v", d)
	}
	w.must("cutover")
}
