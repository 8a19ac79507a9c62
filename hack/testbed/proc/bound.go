// Package proc starts processes, remembers them on disk, and ends exactly those.
//
// A process is known by its id and its start time, so that one which merely got the same id is never touched, and it carries
// a mark in its environment, so that one whose record was never written (its starter was killed) is found all the same.
// The package knows nothing of what the processes do.
package proc

import (
	"os/exec"
	"runtime"
	"syscall"
)

// StartBound starts a command that cannot outlive this process, in a process group of its own. The function it returns
// waits for its end and may be called once.
//
// The kernel kills the child when the thread that started it ends (PR_SET_PDEATHSIG). The Go runtime ends idle threads as
// it likes, so one goroutine keeps the starting thread to itself until the child has ended.
func StartBound(command *exec.Cmd) (wait func() error, err error) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			ended <- command.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return func() error { return <-ended }, nil
}
