package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Stat is what the kernel tells about a process.
type Stat struct {
	PID, Parent int
	Command     string // the program's short name
	State       byte   // 'Z' when the first thread has ended
	Threads     int    // those that have not ended, and the first
	Start       uint64 // clock ticks from boot to start; with the id it names one process of this boot
	RSSBytes    int64
}

// ReadStat reads /proc/PID/stat.
func ReadStat(pid int) (Stat, error) {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return Stat{}, err
	}
	return parseStat(pid, string(content))
}

// parseStat reads the fields by their numbers in proc(5). The second is a name in parentheses that may itself hold blanks
// and parentheses.
func parseStat(pid int, content string) (Stat, error) {
	open, closing := strings.IndexByte(content, '('), strings.LastIndexByte(content, ')')
	if open < 0 || closing < open {
		return Stat{}, fmt.Errorf("/proc/%d/stat: no name", pid)
	}
	const firstAfterName, state, parent, threads, start, residentPages = 3, 3, 4, 20, 22, 24
	fields := strings.Fields(content[closing+1:])
	if len(fields) <= residentPages-firstAfterName {
		return Stat{}, fmt.Errorf("/proc/%d/stat: only %d fields", pid, len(fields))
	}
	found := Stat{PID: pid, Command: content[open+1 : closing], State: fields[state-firstAfterName][0]}
	found.Parent, _ = strconv.Atoi(fields[parent-firstAfterName])
	found.Threads, _ = strconv.Atoi(fields[threads-firstAfterName])
	found.Start, _ = strconv.ParseUint(fields[start-firstAfterName], 10, 64)
	pages, _ := strconv.ParseInt(fields[residentPages-firstAfterName], 10, 64)
	found.RSSBytes = pages * int64(os.Getpagesize())
	return found, nil
}

// ended tells that nothing of the process is left but its entry. A killed process whose first thread has ended still holds
// its files and ports while another thread is ending.
func (s Stat) ended() bool { return s.State == 'Z' && s.Threads <= 1 }

// All lists the processes of this machine, those that ended while it looked left out.
func All() ([]Stat, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []Stat
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if found, err := ReadStat(pid); err == nil {
			all = append(all, found)
		}
	}
	return all, nil
}

// hasEnvironment tells whether a process was started with the given NAME=VALUE.
func hasEnvironment(pid int, variable string) bool {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	for entry := range bytes.SplitSeq(content, []byte{0}) {
		if string(entry) == variable {
			return true
		}
	}
	return false
}

func bootID() string {
	content, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(content))
}
