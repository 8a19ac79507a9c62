package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// profile writes the CPU profile of one replay, and its top to out.
func (b *bench) profile(ctx context.Context, dir string, out io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file, err := filepath.Abs(filepath.Join(dir, "replay.cpu"))
	if err != nil {
		return err
	}
	sc, err := b.newScene(ctx, projectorProfiling, workload{b.events, b.entities, uniform})
	if err != nil {
		return err
	}
	defer sc.close()
	sc.projector.environment = []string{"REFOLD_BENCH_CPU_PROFILE=" + file}
	if err := sc.replay(ctx); err != nil {
		return err
	}
	b.say("== go tool pprof -top -nodecount=30 %s", file)
	top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=30", file).Output()
	if err != nil {
		return fmt.Errorf("read the profile: %w", err)
	}
	_, err = out.Write(top)
	return err
}
