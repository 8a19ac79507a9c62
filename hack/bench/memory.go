package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// memory is a process's resident memory over a run.
type memory struct {
	peakMiB float64
	rssMiB  []float64 // every memoryPause
}

const memoryPause = 100 * time.Millisecond

// watchMemory samples a process until the function that it returns is called,
// which must be while the process lives. The peak is the kernel's own, so that
// none between two samples is missed. (That of rusage is not the process's: it
// is inherited from whoever started it.)
func watchMemory(pid int) (stop func() memory) {
	var m memory
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			if rss, err := statusMiB(pid, "VmRSS"); err == nil {
				m.rssMiB = append(m.rssMiB, rss)
			}
			select {
			case <-done:
				return
			case <-time.After(memoryPause):
			}
		}
	}()
	return func() memory {
		close(done)
		<-watched
		if peak, err := statusMiB(pid, "VmHWM"); err == nil {
			m.peakMiB = peak
		}
		return m
	}
}

// statusMiB is a size in /proc/PID/status.
func statusMiB(pid int, name string) (float64, error) {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), name+":"); found {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return float64(kib) / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, name)
}

// flatness is how much larger the process is in the last third of the run than
// in the second: 1 where its memory does not depend on how much it has folded.
func (m memory) flatness() float64 {
	n := len(m.rssMiB)
	return slices.Max(m.rssMiB[2*n/3:]) / m.middleMiB()
}

// middleMiB is the most in the second third of the run, which has a sample at least.
func (m memory) middleMiB() float64 {
	n := len(m.rssMiB)
	return slices.Max(m.rssMiB[n/3 : max(2*n/3, n/3+1)])
}
