package proc

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Record is what is kept about a started process.
type Record struct {
	Name  string   `json:"name"`
	PID   int      `json:"pid"`
	Start uint64   `json:"startTicks"` // see Stat.Start
	Boot  string   `json:"bootID"`
	Args  []string `json:"args"`
}

// recordOf describes a process that runs now.
func recordOf(name string, pid int, args []string) (Record, error) {
	found, err := ReadStat(pid)
	if err != nil {
		return Record{}, err
	}
	return Record{Name: name, PID: pid, Start: found.Start, Boot: bootID(), Args: args}, nil
}

// Alive tells whether the recorded process, and not another under its id, still runs.
func (r Record) Alive() bool {
	found, err := ReadStat(r.PID)
	return err == nil && !found.ended() && found.Start == r.Start && r.Boot == bootID()
}

// signal sends a signal to the recorded process and to no other. os.FindProcess takes a handle on whatever process has the
// id; only if that is still the recorded one after the handle was taken is it the one that gets the signal.
func (r Record) signal(signal syscall.Signal) {
	handle, err := os.FindProcess(r.PID)
	if err != nil {
		return
	}
	defer func() { _ = handle.Release() }()
	if r.Alive() {
		_ = handle.Signal(signal)
	}
}

// end asks the process to end, and makes it when it has not after the grace.
func (r Record) end(grace time.Duration) {
	if grace > 0 {
		r.signal(syscall.SIGTERM)
		if r.endsWithin(grace) {
			return
		}
	}
	r.signal(syscall.SIGKILL)
	r.endsWithin(10 * time.Second)
}

func (r Record) endsWithin(limit time.Duration) bool {
	for deadline := time.Now().Add(limit); r.Alive(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func (r Record) save(path string) error {
	content, err := json.Marshal(r)
	if err != nil {
		return err
	}
	partial := path + ".partial"
	if err := os.WriteFile(partial, content, 0o600); err != nil {
		return err
	}
	return os.Rename(partial, path)
}

func loadRecord(path string) (Record, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Record{}, err
	}
	var found Record
	return found, json.Unmarshal(content, &found)
}

func recordPath(folder, name string) string {
	return filepath.Join(folder, name+".json")
}
