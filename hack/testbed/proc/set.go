package proc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// markVariable marks a process, and by inheritance its children, as belonging to the set of one folder.
const markVariable = "REFOLD_TESTBED_OWNER"

// Set is the processes that belong to one state folder. Records and logs are kept below it, in run/ and log/.
type Set struct {
	Folder string // absolute
}

// Spec is a process to start.
type Spec struct {
	Name       string
	Path       string   // the program
	Args       []string // without the program's name
	Env        []string // added to this process's own
	Namespaces uintptr  // CLONE_NEW… flags
}

// Start starts a process in a session of its own, so that it outlives this one and the terminal, with its output in
// LogFile(name). Its former log is kept beside it, as NAME.log.old.
func (s Set) Start(spec Spec) (Record, error) {
	if err := s.prepareFolders(); err != nil {
		return Record{}, err
	}
	_ = os.Rename(s.LogFile(spec.Name), s.LogFile(spec.Name)+".old")
	log, err := os.OpenFile(s.LogFile(spec.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return Record{}, err
	}
	defer func() { _ = log.Close() }()
	command := exec.Command(spec.Path, spec.Args...)
	command.Dir = s.Folder
	command.Env = append(append(os.Environ(), spec.Env...), s.mark())
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: spec.Namespaces}
	if err := command.Start(); err != nil {
		return Record{}, fmt.Errorf("starting %s: %w", spec.Name, err)
	}
	started, err := recordOf(spec.Name, command.Process.Pid, command.Args)
	if err != nil {
		return Record{}, fmt.Errorf("%s ended at once: %w", spec.Name, err)
	}
	go func() { _ = command.Wait() }() // so that one that ends while we run is no zombie
	return started, started.save(recordPath(s.runFolder(), spec.Name))
}

// Find returns the record of a started process and whether it still runs.
func (s Set) Find(name string) (Record, bool) {
	found, err := loadRecord(recordPath(s.runFolder(), name))
	return found, err == nil && found.Alive()
}

// Stop ends one process and forgets it; nothing is done about one that does not run. With no grace it is killed outright.
func (s Set) Stop(name string, grace time.Duration) {
	path := recordPath(s.runFolder(), name)
	if found, err := loadRecord(path); err == nil {
		found.end(grace)
	}
	_ = os.Remove(path)
}

// StopAll ends every recorded process at once, then whatever else carries the mark of this set.
func (s Set) StopAll(grace time.Duration) {
	records, _ := filepath.Glob(recordPath(s.runFolder(), "*"))
	var stopping sync.WaitGroup
	for _, path := range records {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		stopping.Go(func() { s.Stop(name, grace) })
	}
	stopping.Wait()
	for range 3 { // again, for those that one of them started meanwhile
		for _, stray := range s.Strays() {
			stray.end(0)
		}
	}
}

// Strays lists the running processes that carry the mark of this set: all of them, recorded or not.
func (s Set) Strays() []Record {
	all, err := All()
	if err != nil {
		return nil
	}
	var strays []Record
	for _, found := range all {
		if found.PID == os.Getpid() || found.ended() || !hasEnvironment(found.PID, s.mark()) {
			continue
		}
		strays = append(strays, Record{Name: found.Command, PID: found.PID, Start: found.Start, Boot: bootID()})
	}
	return strays
}

// LogFile is where a process's output goes.
func (s Set) LogFile(name string) string {
	return filepath.Join(s.Folder, "log", name+".log")
}

// LogTail is the end of a process's output, for a message about its failure.
func (s Set) LogTail(name string, lines int) string {
	content, err := os.ReadFile(s.LogFile(name))
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (s Set) mark() string { return markVariable + "=" + s.Folder }

func (s Set) runFolder() string { return filepath.Join(s.Folder, "run") }

func (s Set) prepareFolders() error {
	if err := os.MkdirAll(s.runFolder(), 0o700); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(s.Folder, "log"), 0o700)
}
