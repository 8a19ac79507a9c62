package part

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/refold-dev/refold/hack/testbed/proc"
)

func TestEnsureStartsWhatDoesNotRunAndLeavesAloneWhatIsHealthy(t *testing.T) {
	set := proc.Set{Folder: t.TempDir()}
	t.Cleanup(func() { set.StopAll(0) })
	sleeper := Part{Spec: proc.Spec{Name: "sleeper", Path: "/bin/sleep", Args: []string{"60"}}, Check: healthy}
	first := ensured(t, sleeper, set)
	if again := ensured(t, sleeper, set); again != first {
		t.Errorf("a healthy part was replaced: process %d became %d", first, again)
	}
	set.Stop("sleeper", 0)
	if sleeper.Look(t.Context(), set).Problem == nil {
		t.Error("a stopped part is said to be healthy")
	}
	if again := ensured(t, sleeper, set); again == first {
		t.Error("a stopped part was not started")
	}
}

func TestEnsureShowsWhatAPartSaidThatEndedAtOnce(t *testing.T) {
	set := proc.Set{Folder: t.TempDir()}
	failing := Part{
		Spec:  proc.Spec{Name: "failing", Path: "/bin/sh", Args: []string{"-c", "echo no such thing; sleep 0.2; exit 1"}},
		Check: func(context.Context) error { return errors.New("not yet") },
	}
	began := time.Now()
	err := failing.Ensure(t.Context(), set)
	if err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("got %v", err)
	}
	if waited := time.Since(began); waited > 10*time.Second {
		t.Errorf("waited %s for a process that had ended", waited)
	}
}

func ensured(t *testing.T, part Part, set proc.Set) (pid int) {
	t.Helper()
	if err := part.Ensure(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	return part.Look(t.Context(), set).PID
}

func healthy(context.Context) error { return nil }
