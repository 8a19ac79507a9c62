// Command guard runs a command and leaves none of its processes behind: not
// when it ends, fails, or is interrupted, and not those that put themselves
// into a session of their own (as test servers do). It becomes the reaper of
// every orphan below it, so that whoever is left is its child and is ended by
// its id. Usage: guard COMMAND [ARGUMENT ...]
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long processes have to end by themselves after SIGTERM.
const grace = 10 * time.Second

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: guard COMMAND [ARGUMENT ...]")
		os.Exit(2)
	}
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
	}
	os.Exit(code)
}

func run(command []string) (int, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 1, fmt.Errorf("become the reaper of orphans: %w", err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)

	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 127, err
	}
	// Orphans that end become this process' children and must be collected too,
	// or whoever looks finds them still there.
	ended := make(chan syscall.WaitStatus, 1)
	go func() { ended <- collect(cmd.Process.Pid) }()

	var status syscall.WaitStatus
	interrupted := false
	select {
	case status = <-ended:
	case got := <-signals:
		interrupted = true
		fmt.Fprintf(os.Stderr, "guard: %s: ending what %s started\n", got, command[0])
		_ = cmd.Process.Signal(got)
		select {
		case status = <-ended:
		case <-time.After(grace):
		}
	}
	endDescendants()
	return exitCode(status, interrupted), nil
}

// collect reaps every child that ends, until the one with that id has.
func collect(pid int) syscall.WaitStatus {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		if got == pid || errors.Is(err, syscall.ECHILD) {
			return status
		}
	}
}

// endDescendants asks every process below this one to end, then makes it.
func endDescendants() {
	deadline := time.Now().Add(grace)
	for sent := false; ; sent = true {
		left := reap()
		if len(left) == 0 {
			return
		}
		signal := syscall.Signal(0)
		switch {
		case !sent:
			signal = syscall.SIGTERM
		case time.Now().After(deadline):
			signal = syscall.SIGKILL
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGCONT)
			_ = syscall.Kill(pid, signal)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// reap collects the dead and lists the living descendants.
func reap() []int {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 || err != nil {
			break
		}
	}
	return descendants(os.Getpid())
}

// descendants lists all processes below pid.
func descendants(pid int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		child, parent, ok := parseStat(string(data))
		if ok {
			children[parent] = append(children[parent], child)
		}
	}
	var below []int
	for next := children[pid]; len(next) > 0; {
		p := next[0]
		next = append(next[1:], children[p]...)
		below = append(below, p)
	}
	return below
}

// parseStat reads pid and parent from /proc/PID/stat; the command's name, in
// parentheses, may hold anything. A zombie does not count.
func parseStat(stat string) (pid, parent int, ok bool) {
	open, shut := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || shut < open {
		return 0, 0, false
	}
	rest := strings.Fields(stat[shut+1:])
	if len(rest) < 2 || rest[0] == "Z" {
		return 0, 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(stat[:open]))
	parent, err2 := strconv.Atoi(rest[1])
	return pid, parent, err == nil && err2 == nil
}

func exitCode(status syscall.WaitStatus, interrupted bool) int {
	switch {
	case interrupted:
		return 130
	case status.Exited():
		return status.ExitStatus()
	}
	return 1
}
