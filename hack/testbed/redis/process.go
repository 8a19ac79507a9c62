package redis

import (
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/refold-dev/refold/hack/testbed/proc"
)

// process is a child that cannot outlive this one.
type process struct {
	command *exec.Cmd
	ended   chan struct{} // closed when the child has been waited for
}

// startProcess starts a program with its output appended to logFile.
func startProcess(binary string, args []string, dir, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	command := exec.Command(binary, args...)
	command.Dir = dir
	command.Stdout, command.Stderr = log, log
	wait, err := proc.StartBound(command)
	if err != nil {
		return nil, err
	}
	started := &process{command: command, ended: make(chan struct{})}
	go func() {
		defer close(started.ended)
		_ = wait()
	}()
	return started, nil
}

func (p *process) pid() int { return p.command.Process.Pid }

// signal reaches the whole group, which is the server and the children that it forks to write files.
func (p *process) signal(signal syscall.Signal) {
	_ = syscall.Kill(-p.pid(), signal)
}

func (p *process) endsWithin(limit time.Duration) bool {
	select {
	case <-p.ended:
		return true
	default:
	}
	if limit == 0 {
		return false
	}
	select {
	case <-p.ended:
		return true
	case <-time.After(limit):
		return false
	}
}
