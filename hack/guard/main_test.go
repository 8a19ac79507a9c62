package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	tests := map[string]struct {
		stat        string
		pid, parent int
		ok          bool
	}{
		"an ordinary process":                {"12 (bash) S 7 12 12 0", 12, 7, true},
		"a name with spaces and parentheses": {"12 (a) b (c) R 7 12 12 0", 12, 7, true},
		"a zombie does not count":            {"12 (bash) Z 7 12 12 0", 0, 0, false},
		"nonsense":                           {"12", 0, 0, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pid, parent, ok := parseStat(tc.stat)
			if pid != tc.pid || parent != tc.parent || ok != tc.ok {
				t.Errorf("got %d %d %v, want %d %d %v", pid, parent, ok, tc.pid, tc.parent, tc.ok)
			}
		})
	}
}

// A child that left its session outlives its parent, unless guarded.
const escapee = `setsid sh -c 'echo $$ > "$0"; exec sleep 600' "$1" & while ! test -s "$1"; do sleep 0.05; done; eval "$2"`

func TestNothingIsLeftBehind(t *testing.T) {
	guard := filepath.Join(t.TempDir(), "guard")
	if out, err := exec.Command("go", "build", "-o", guard, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	tests := map[string]struct {
		then      string
		interrupt bool
		want      int
	}{
		"when the command succeeds":      {then: "exit 0", want: 0},
		"when the command fails":         {then: "exit 7", want: 7},
		"when the command is cut short":  {then: "sleep 600", interrupt: true, want: 130},
		"when the command kills itself":  {then: "kill -9 $$", want: 1},
		"when the command stops midways": {then: "kill -STOP $$", interrupt: true, want: 130},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pidFile := filepath.Join(t.TempDir(), "pid")
			cmd := exec.Command(guard, "sh", "-c", escapee, "sh", pidFile, tc.then)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pid := awaitPID(t, pidFile)
			if tc.interrupt {
				_ = cmd.Process.Signal(syscall.SIGTERM)
			}
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != tc.want {
				t.Errorf("exit code %d, want %d", got, tc.want)
			}
			if err := syscall.Kill(pid, 0); err == nil {
				t.Errorf("process %d is still there", pid)
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		})
	}
}

func awaitPID(t *testing.T, path string) int {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		data, _ := os.ReadFile(path)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
			return pid
		}
	}
	t.Fatal("the command did not start")
	return 0
}
