package run

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

// gcPercent is how much garbage may gather, in percent of what lives, before it
// is collected. What lives is mostly the cache, which stays, and going over it
// again and again is in vain; the memory limit bounds what gathers. Without a
// limit Go's own 100 holds.
const gcPercent = 400

// boundMemory sets up Go's collector, once, and returns the bytes that the
// process may take, 0 for no bound: GOMEMLIMIT, which the operator sets, else
// the container's limit less what the collector does not count. GOGC is heeded.
func boundMemory(log *slog.Logger) (limit int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		self, _ := os.ReadFile("/proc/self/cgroup")
		if container := containerLimit("/sys/fs/cgroup", string(self)); container < math.MaxInt64 {
			debug.SetMemoryLimit(contract.GoMemoryBytes(container))
		}
	}
	if limit = debug.SetMemoryLimit(-1); limit == math.MaxInt64 {
		return 0
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log.Info("Bounding memory", "bytes", limit)
	return limit
}

// containerLimit is the least memory limit on the way from the process' control
// group up to root, which in a container may be all of the way that is seen.
func containerLimit(root, self string) (least int64) {
	least = math.MaxInt64
	for line := range strings.Lines(self) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path
		if len(parts) < 3 {
			continue
		}
		dir, file := root, "memory.max" // version 2
		if parts[1] != "" {
			dir, file = filepath.Join(root, "memory"), "memory.limit_in_bytes"
			if !slices.Contains(strings.Split(parts[1], ","), "memory") {
				continue
			}
		}
		for path := filepath.Clean("/" + parts[2]); ; path = filepath.Dir(path) {
			least = min(least, limitIn(filepath.Join(dir, path, file)))
			if path == "/" {
				break
			}
		}
	}
	return least
}

// unlimited is below what version 1 says for none.
const unlimited = 1 << 60

func limitIn(file string) int64 {
	text, _ := os.ReadFile(file)
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || limit <= 0 || limit > unlimited { // none, or "max"
		return math.MaxInt64
	}
	return limit
}

// checkMemory refuses to begin where it would end in a crash.
func checkMemory(limit, cache int64) error {
	least := contract.GoMemoryBytes(contract.LeastMemoryBytes)
	if limit == 0 {
		return nil
	}
	f := &fault.Error{Reason: contract.ReasonMemoryTooSmall, Permanent: true}
	switch {
	case limit < least:
		f.Message = fmt.Sprintf("the memory limit leaves Go %s, and %s is the smallest that works", inMiB(limit), inMiB(least))
		f.Remedy = fmt.Sprintf("raise spec.projector.resources.limits.memory to %s or more", inMiB(contract.LeastMemoryBytes))
	case cache > limit/100*mostCachePercent:
		f.Message = fmt.Sprintf("--cache-mib asks for %s, and of %s no more than %d %% may be cache", inMiB(cache), inMiB(limit), mostCachePercent)
		f.Remedy = "lower --cache-mib, or raise the memory limit"
	default:
		return nil
	}
	return f
}

// mostCachePercent is the bound of --cache-mib.
const mostCachePercent = 60

func inMiB(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }
