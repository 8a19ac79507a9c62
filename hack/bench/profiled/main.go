// Command profiled is the real projector, which writes a CPU profile of its
// whole life to the file that REFOLD_BENCH_CPU_PROFILE names; without one it
// just runs. It stands here so that the product needs no flag for it.
package main

import (
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/refold-dev/refold/projector/reduce/builtin"
	"github.com/refold-dev/refold/projector/run"
)

func main() {
	if path := os.Getenv("REFOLD_BENCH_CPU_PROFILE"); path != "" {
		os.Exit(profiled(path))
	}
	os.Exit(run.Main(builtin.Registry()))
}

func profiled(path string) (code int) {
	file, err := os.Create(path)
	if err == nil {
		err = pprof.StartCPUProfile(file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "profiled:", err)
		return 1
	}
	code = run.Main(builtin.Registry())
	pprof.StopCPUProfile()
	if err := file.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "profiled:", err)
		return 1
	}
	return code
}
