package build

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/refold-dev/refold/hack/testbed/progress"
)

// lock keeps out other builders of the same program, saying so when it has to wait. The kernel lets go of it when this
// process ends, however it ends.
func lock(log *progress.Log, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		log.Say("waiting for another process that builds the same (%s)", filepath.Base(path))
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			_ = file.Close()
			return nil, err
		}
	}
	return func() { _ = file.Close() }, nil
}
