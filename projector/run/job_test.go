package run_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/refold-dev/refold/projector/contract"
)

// started is a finite job that runs.
type started struct {
	w       *world
	cmd     *exec.Cmd
	message string
	out     bytes.Buffer
	done    chan struct{}
}

// write puts the contract into a directory of its own.
func (w *world) write() (dir string) {
	w.t.Helper()
	document, err := contract.Encode(w.contract)
	if err != nil {
		w.t.Fatal(err)
	}
	dir = w.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, contract.FileName), document, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// begin runs a command with the contract; words with a = and no dashes are of
// the environment.
func (w *world) begin(command string, words ...string) *started {
	w.t.Helper()
	dir := w.write()
	s := &started{w: w, message: filepath.Join(dir, "termination-log"), done: make(chan struct{})}
	args := []string{command, "--contract", dir, "--termination-log", s.message}
	env := os.Environ()
	for _, word := range words {
		if strings.Contains(word, "=") && !strings.HasPrefix(word, "--") {
			env = append(env, word)
		} else {
			args = append(args, word)
		}
	}
	s.cmd = exec.Command(binary, args...)
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = env, &s.out, &s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait()
	}()
	w.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.done
		if w.t.Failed() {
			w.t.Logf("%s said:\n%s", command, s.out.String())
		}
	})
	return s
}

// end waits, and returns the exit code and the result.
func (s *started) end() (int, contract.Result) {
	s.w.t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		s.w.t.Fatal("the job does not end")
	}
	data, err := os.ReadFile(s.message)
	if err != nil {
		s.w.t.Fatalf("%v\n%s", err, s.out.String())
	}
	var result contract.Result
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&result); err != nil || len(data) >= 4096 || result.Version != contract.Version {
		s.w.t.Errorf("the result is not one: %v %s", err, data)
	}
	return s.cmd.ProcessState.ExitCode(), result
}

// run runs a command to its end.
func (w *world) run(command string, words ...string) (int, contract.Result) {
	w.t.Helper()
	return w.begin(command, words...).end()
}

// must runs a command that is to succeed.
func (w *world) must(command string, words ...string) contract.Result {
	w.t.Helper()
	code, r := w.run(command, words...)
	if code != 0 || !r.Done || r.Problem != nil {
		w.t.Fatalf("%s: exit code %d: %+v %+v", command, code, r, r.Problem)
	}
	return r
}

func TestAJobEndsAtSIGTERMWhateverTheServerDoes(t *testing.T) {
	for _, command := range []string{"verify", "cutover", "drop"} {
		w := newWorldOf(t)
		w.burst(10, 1)
		w.server.Pause()
		job := w.begin(command, "--keep=false")
		time.Sleep(300 * time.Millisecond)
		began := time.Now()
		_ = job.cmd.Process.Signal(syscall.SIGTERM)
		code, r := job.end()
		if took := time.Since(began); code != 1 || r.Done || r.Message == "" || took > 3*time.Second {
			t.Errorf("%s ended with %d after %s: %+v", command, code, took, r)
		}
		w.server.Resume()
	}
}
