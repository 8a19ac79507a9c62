package node

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/refold-dev/refold/hack/testbed/layout"
)

const cgroupMount = "/sys/fs/cgroup"

// leaveHybridCgroups hides the second version's hierarchy where a machine has both: crun refuses to run there. Only this
// mount namespace is changed.
func leaveHybridCgroups() error {
	unified := filepath.Join(cgroupMount, "unified")
	if !slices.Contains(cgroupRoots(), unified) {
		return nil
	}
	if err := syscall.Unmount(unified, syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("hiding %s: %w", unified, err)
	}
	return nil
}

// makeCgroups makes the cgroup below which all pods are, in every hierarchy. On a machine with version 2 only, there is one
// hierarchy; that was not tried here.
func makeCgroups() error {
	for _, root := range cgroupRoots() {
		passControllersOn(root)
		folder := filepath.Join(root, layout.CgroupName)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		// A new cpuset of version 1 has no CPU, and nothing can run in it.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			content, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(folder, file), content, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// passControllersOn lets the cgroups below the root of version 2 have every controller, which the kubelet insists on. One that
// cannot be passed on is the kubelet's to complain about. Version 1 has no such file.
func passControllersOn(root string) {
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return
	}
	for controller := range strings.FieldsSeq(string(controllers)) {
		_ = os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
	}
}

// RemoveCgroups removes the testbed's cgroups. Their processes must have been killed; the kernel takes a moment to see it.
func RemoveCgroups() error {
	var failed error
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		failed = nil
		for _, folder := range Cgroups() {
			failed = errors.Join(failed, removeTree(folder))
		}
		if failed == nil || time.Now().After(deadline) {
			return failed
		}
	}
}

// Cgroups lists the testbed's topmost cgroup in each hierarchy where it exists.
func Cgroups() []string {
	var found []string
	for _, root := range cgroupRoots() {
		folder := filepath.Join(root, layout.CgroupName)
		if _, err := os.Stat(folder); err == nil {
			found = append(found, folder)
		}
	}
	return found
}

// removeTree removes folders from the leaves up; the files in a cgroup cannot be removed and need not be.
func removeTree(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeTree(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	return syscall.Rmdir(folder)
}

// cgroupRoots lists where each cgroup hierarchy is mounted.
func cgroupRoots() []string {
	file, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	var roots []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 2 && (fields[2] == "cgroup" || fields[2] == "cgroup2") {
			roots = append(roots, fields[1])
		}
	}
	return roots
}
