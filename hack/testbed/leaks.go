package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/refold-dev/refold/hack/testbed/layout"
	"github.com/refold-dev/refold/hack/testbed/node"
	"github.com/refold-dev/refold/hack/testbed/proc"
)

// findLeaks looks for every kind of thing that a testbed makes on a machine, independently of what `down` believes.
func (t testbed) findLeaks() ([]string, error) {
	found, err := t.leakedProcesses()
	if err != nil {
		return nil, err
	}
	found = append(found, t.leakedMounts()...)
	found = append(found, node.Traces()...)
	found = append(found, leakedChains()...)
	for _, cgroup := range node.Cgroups() {
		found = append(found, "cgroup "+cgroup)
	}
	for _, pattern := range []string{"/run/netns/cni-*", "/run/containerd/s/*", t.folder} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			found = append(found, "file "+file)
		}
	}
	return found, nil
}

func (t testbed) leakedProcesses() ([]string, error) {
	all, err := proc.All()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, stray := range t.place().Processes().Strays() {
		found = append(found, fmt.Sprintf("process %d (%s)", stray.PID, stray.Name))
	}
	for _, process := range all {
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(process.PID), "cmdline"))
		if err == nil && process.PID != os.Getpid() && bytes.Contains(line, []byte(t.folder+"/")) {
			found = append(found, fmt.Sprintf("process %d (%s), which names the state folder", process.PID, process.Command))
		}
	}
	return found, nil
}

func (t testbed) leakedMounts() []string {
	content, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil
	}
	var found []string
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && (fields[1] == t.folder || strings.HasPrefix(fields[1], t.folder+"/")) {
			found = append(found, "mount "+fields[1])
		}
	}
	return found
}

// leakedChains looks for what kube-proxy and network plugins put into iptables, whose rules nft shows too.
func leakedChains() []string {
	output, err := exec.Command("nft", "list", "ruleset").Output()
	if err != nil {
		return nil
	}
	var found []string
	for _, match := range regexp.MustCompile(`chain ((?:KUBE|CNI)-\S+)`).FindAllSubmatch(output, -1) {
		found = append(found, "iptables chain "+string(match[1]))
	}
	for _, address := range []string{layout.BridgeAddress, layout.ServiceOfAPI} {
		if bytes.Contains(output, []byte(address)) {
			found = append(found, "nftables rule with "+address)
		}
	}
	return found
}
