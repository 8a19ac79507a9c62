// Package apt installs Debian packages that the testbed needs and the machine lacks.
//
// It must never start a service: what is installed here is started by the testbed, under its own state directory, or by a
// test. Nor does it upgrade or remove anything.
package apt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrCannotInstall tells that a package is missing and this process has no means to install it: it is not root, or the
// machine has no apt-get. The caller shows it; a person must install the package.
var ErrCannotInstall = errors.New("cannot install Debian packages here (needs root and apt-get)")

// Install installs the packages, showing apt's own output on progress. Two calls at once, from whatever process, run one
// after the other.
func Install(progress io.Writer, packages ...string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: install them yourself: apt-get install %s", ErrCannotInstall, strings.Join(packages, " "))
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%w: wanted %s", ErrCannotInstall, strings.Join(packages, " "))
	}
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	allow, err := forbidServices()
	if err != nil {
		return err
	}
	defer allow()
	return install(progress, packages)
}

// install tries with the package lists at hand and refreshes them only when that fails, because a refresh takes longer than
// most installs and a new machine's lists may be missing or old.
func install(progress io.Writer, packages []string) error {
	args := append([]string{"install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"}, packages...)
	if aptGet(io.Discard, args...) == nil {
		return nil
	}
	if err := aptGet(progress, "update", "-q"); err != nil {
		return err
	}
	return aptGet(progress, args...)
}

func aptGet(progress io.Writer, args ...string) error {
	command := exec.Command("apt-get", args...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	command.Stdout, command.Stderr = progress, progress
	if err := command.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

const policyFile = "/usr/sbin/policy-rc.d"

// policyMark lets a later run recognise, and replace, a policy that a killed run left behind.
const policyMark = "# written by the Refold testbed while it installs packages\n"

// forbidServices makes Debian's install scripts leave services stopped, until the function it returns is called. A policy
// that the machine has already is the owner's wish and stays.
func forbidServices() (allow func(), err error) {
	present, err := os.ReadFile(policyFile)
	if err == nil && !strings.Contains(string(present), policyMark) {
		return func() {}, nil
	}
	policy := "#!/bin/sh\n" + policyMark + "exit 101\n"
	if err := os.WriteFile(policyFile, []byte(policy), 0o755); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(policyFile) }, nil
}

func lock() (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(os.TempDir(), "refold-testbed-apt.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, err
	}
	return func() { _ = file.Close() }, nil
}
