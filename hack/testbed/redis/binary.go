package redis

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/refold-dev/refold/hack/testbed/apt"
)

// BinaryVariable is the environment variable that names the redis-server program to use.
const BinaryVariable = "REFOLD_REDIS_SERVER"

// ErrNotFound tells that there is no redis-server to run.
var ErrNotFound = errors.New("no redis-server: install it, or set " + BinaryVariable + " to the program")

// Find returns the program that $REFOLD_REDIS_SERVER names, or else the redis-server in PATH.
func Find() (string, error) {
	if named := os.Getenv(BinaryVariable); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("%s: %w", BinaryVariable, err)
		}
		return path, nil
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", ErrNotFound
	}
	return path, nil
}

// EnsureInstalled is Find, which installs Debian's redis-server when there is none and this process may. It shows on
// progress what it installs.
func EnsureInstalled(progress io.Writer) (string, error) {
	path, err := Find()
	if !errors.Is(err, ErrNotFound) {
		return path, err
	}
	_, _ = fmt.Fprintln(progress, "redis: installing Debian's redis-server")
	if err := apt.Install(progress, "redis-server"); err != nil {
		return "", fmt.Errorf("%w; %w", ErrNotFound, err)
	}
	return Find()
}
