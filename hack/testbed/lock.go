package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFolder keeps out other runs that change the testbed. What is locked is the state folder itself, so that no lock file
// is left when it is removed; a run that waited for that makes it anew. The kernel unlocks it when this process ends.
func (t testbed) lockFolder() (unlock func(), err error) {
	waited := false
	for {
		if err := os.MkdirAll(t.folder, 0o755); err != nil {
			return nil, err
		}
		folder, err := os.Open(t.folder)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			if !waited {
				t.log.Say("waiting for another run of the testbed to end")
				waited = true
			}
			if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
				_ = folder.Close()
				return nil, fmt.Errorf("locking %s: %w", t.folder, err)
			}
		}
		if t.isCurrent(folder) {
			return func() { _ = folder.Close() }, nil
		}
		_ = folder.Close()
	}
}

// isCurrent tells whether an open folder is still the one at the path.
func (t testbed) isCurrent(folder *os.File) bool {
	held, err := folder.Stat()
	if err != nil {
		return false
	}
	current, err := os.Stat(t.folder)
	return err == nil && os.SameFile(held, current)
}
