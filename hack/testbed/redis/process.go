package redis

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a child that cannot outlive this one.
type process struct {
	command *exec.Cmd
	ended   chan struct{} // closed when the child has been waited for
}

// startProcess starts a program in a process group of its own, with its output appended to logFile.
//
// The kernel kills the child when the thread that started it ends (PR_SET_PDEATHSIG), which covers a test binary that is
// killed. The Go runtime ends idle threads as it likes, so one goroutine keeps the starting thread to itself until the
// child has ended.
func startProcess(binary string, args []string, dir, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	command := exec.Command(binary, args...)
	command.Dir = dir
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := &process{command: command, ended: make(chan struct{})}
	result := make(chan error)
	go started.own(log, result)
	return started, <-result
}

func (p *process) own(log *os.File, result chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer func() { _ = log.Close() }()
	defer close(p.ended)
	err := p.command.Start()
	result <- err
	if err == nil {
		_ = p.command.Wait()
	}
}

func (p *process) pid() int { return p.command.Process.Pid }

// signal reaches the whole group. The child is not yet waited for whenever a caller has just seen it run, so its id can
// be recycled only in the instant between, and then only for a group of that very id.
func (p *process) signal(signal syscall.Signal) {
	_ = syscall.Kill(-p.pid(), signal)
}

func (p *process) endsWithin(limit time.Duration) bool {
	if limit == 0 {
		select {
		case <-p.ended:
			return true
		default:
			return false
		}
	}
	select {
	case <-p.ended:
		return true
	case <-time.After(limit):
		return false
	}
}
