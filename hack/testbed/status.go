package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/refold-dev/refold/hack/testbed/build"
	"github.com/refold-dev/refold/hack/testbed/control"
	"github.com/refold-dev/refold/hack/testbed/part"
	"github.com/refold-dev/refold/hack/testbed/proc"
)

// exitDown is status' exit code when not every part is healthy.
const exitDown = exitCode(3)

// status shows each part. It exits with 0 only when all are healthy.
func status(bed testbed, _ []string) error {
	ctx := context.Background()
	table := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "PART\tPID\tMEMORY\tSTATE\tURL")
	healthy := true
	for _, part := range bed.shownParts() {
		seen := part.Look(ctx, bed.place().Processes())
		healthy = healthy && seen.Problem == nil
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", part.Spec.Name, shownPID(seen.PID), memory(seen.PID), shownState(seen.Problem), part.URL)
		for _, child := range children(seen.PID) {
			_, _ = fmt.Fprintf(table, "  %s\t%d\t%s\t\t\n", child.Command, child.PID, megabytes(child.RSSBytes))
		}
	}
	ready := control.NodeReady(ctx, bed.place())
	_, _ = fmt.Fprintf(table, "node ready\t\t\t%s\t\n", shownState(ready))
	if err := table.Flush(); err != nil {
		return err
	}
	if !healthy || ready != nil {
		return exitDown
	}
	return nil
}

// shownParts are those of the cluster, and Redis if it was asked for.
func (t testbed) shownParts() []part.Part {
	shown := t.newCluster(programs{}).parts()
	if _, alive := t.place().Processes().Find(redisName); alive {
		shown = append(shown, t.redisPart("", 0, nil))
	}
	return shown
}

// printEnv prints what a shell evaluates to use the cluster and the programs.
func printEnv(bed testbed, _ []string) error {
	assets, err := build.Assets(bed.log)
	if err != nil {
		return err
	}
	if _, err := os.Stat(bed.place().AdminKubeconfig()); err != nil {
		bed.log.Say("not up yet: KUBECONFIG names a file that `up` will make")
	}
	fmt.Printf("export KUBECONFIG=%s\n", quote(bed.place().AdminKubeconfig()))
	fmt.Printf("export %s=%s\n", build.AssetsVariable, quote(assets))
	fmt.Printf("export PATH=%s:\"$PATH\"\n", quote(assets))
	return nil
}

func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

func shownPID(pid int) string {
	if pid == 0 {
		return "-"
	}
	return fmt.Sprint(pid)
}

func shownState(problem error) string {
	if problem == nil {
		return "healthy"
	}
	line, _, _ := strings.Cut(problem.Error(), "\n")
	return line
}

func memory(pid int) string {
	found, err := proc.ReadStat(pid)
	if err != nil {
		return "-"
	}
	return megabytes(found.RSSBytes)
}

func megabytes(bytes int64) string { return fmt.Sprintf("%d MB", bytes>>20) }

// children are the named programs that a part runs below itself: the node's containerd and kubelet.
func children(pid int) []proc.Stat {
	if pid == 0 {
		return nil
	}
	all, err := proc.All()
	if err != nil {
		return nil
	}
	var found []proc.Stat
	for _, process := range all {
		name := filepath.Base(process.Command)
		if process.Parent == pid && (name == "containerd" || name == "kubelet") {
			found = append(found, process)
		}
	}
	return found
}
