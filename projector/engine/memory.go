package engine

import (
	"math"
	"runtime/debug"
)

// defaultMemory is taken for what the process may use where nothing says it.
const defaultMemory = 640 * mebibyte

// Shares of the memory limit. The rest is for what Go's collector has not
// collected yet, for batches and for what is under way to the read model.
const cachePercent = 40

// processMemory is what Go may use.
func processMemory() int64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return limit
	}
	return defaultMemory
}

// usage is what the fold has in memory, and what has passed through it.
type usage struct {
	entities           int
	clean, dirty, keys int64 // bytes; keys are those of what was evicted
	loaded, evicted    int64 // entities, ever
}

func (u *usage) bytes() int64 { return u.clean + u.dirty + u.keys }

func (f *fold) usage() usage {
	return usage{
		entities: len(f.cache.ring),
		clean:    f.cache.bytes - f.lanes.bytes,
		dirty:    f.lanes.bytes,
		keys:     f.cache.evicted.bytes(),
		loaded:   f.loaded,
		evicted:  f.cache.evictions,
	}
}

// show tells what is folded and what that holds.
func (e *Engine) show() { e.status.folded(e.fold.at.tally, e.fold.usage()) }
