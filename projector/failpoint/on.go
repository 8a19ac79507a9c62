//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Variable names the step to die at.
const Variable = "REFOLD_FAILPOINT"

var (
	step, after = parse(os.Getenv(Variable))
	reached     atomic.Int64
)

func parse(setting string) (string, int64) {
	if setting == "" {
		return "", 0
	}
	name, count, _ := strings.Cut(setting, ":after-")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("%s=%q: want name:after-N", Variable, setting))
	}
	return name, n
}

// Hit kills the process when it is the step's turn.
func Hit(name string) {
	if name == step && reached.Add(1) == after {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
