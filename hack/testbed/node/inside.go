package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/refold-dev/refold/hack/testbed/layout"
)

// InsideCommand is the hidden subcommand with which this program starts itself as the first process of the node's namespaces.
const InsideCommand = "inside-node"

// covered are folders that containerd, the kubelet or the network plugins write to whatever they are told. Inside, each is
// an empty file system of the namespace's own, so nothing written there is seen outside or is left behind. A hostPath volume
// below them sees that too.
var covered = []string{"/run", "/var/log", "/var/lib"}

// RunInside is the first process: it arranges the mounts, starts containerd and then the kubelet, and returns, ending all
// else in the namespaces, when one of the two ends. It never returns nil.
func RunInside(folder, kubernetes string) error {
	n := Node{Place: layout.Layout{Folder: folder}, Kubernetes: kubernetes}
	if os.Getpid() != 1 {
		return errors.New("this is started by `testbed up`, not by hand")
	}
	signal.Ignore(syscall.SIGHUP)
	if err := n.arrangeMounts(); err != nil {
		return err
	}
	if err := n.forgetFormerPods(); err != nil {
		return err
	}
	if err := makeCgroups(); err != nil {
		return err
	}
	containerd, err := spawn("containerd", "--config", n.Place.Config("containerd.toml"))
	if err != nil {
		return err
	}
	if err := awaitListener("unix", n.Place.ContainerdSocket(), 30*time.Second); err != nil {
		return err
	}
	// A kubelet that finds no API server tries again at ever longer intervals, which takes longer than waiting for it here.
	if err := awaitListener("tcp", layout.OnBridge(layout.APIPort), time.Minute); err != nil {
		return err
	}
	kubelet, err := spawn(filepath.Join(kubernetes, "kubelet"),
		"--config="+n.Place.Config("kubelet.yaml"), "--kubeconfig="+n.Place.Kubeconfig("node"),
		"--root-dir="+n.Place.Path("kubelet"), "--cert-dir="+n.Place.Path("kubelet", "pki"),
		"--hostname-override="+layout.NodeName, "--node-ip="+layout.BridgeAddress)
	if err != nil {
		return err
	}
	return reapUntil(map[int]string{containerd: "containerd", kubelet: "kubelet"})
}

func (n Node) arrangeMounts() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := coverFolders(covered, []string{n.Place.Folder, n.Kubernetes}); err != nil {
		return err
	}
	return leaveHybridCgroups()
}

// coverFolders mounts an empty file system on each folder and brings back, at their old paths, those of the folders to keep
// that it hid. An open handle reaches what a mount has hidden.
func coverFolders(covered, keep []string) error {
	var restore []func() error
	for _, path := range keep {
		handle, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = handle.Close() }()
		if isBelowAny(path, covered) {
			restore = append(restore, func() error { return bindHandle(handle, path) })
		}
	}
	for _, folder := range covered {
		if err := syscall.Mount("tmpfs", folder, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=0755"); err != nil {
			return fmt.Errorf("covering %s: %w", folder, err)
		}
	}
	for _, bring := range restore {
		if err := bring(); err != nil {
			return err
		}
	}
	return nil
}

func bindHandle(handle *os.File, path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	source := fmt.Sprintf("/proc/self/fd/%d", handle.Fd())
	if err := syscall.Mount(source, path, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("bringing back %s: %w", path, err)
	}
	return nil
}

func isBelowAny(path string, folders []string) bool {
	for _, folder := range folders {
		if strings.HasPrefix(path, folder+"/") {
			return true
		}
	}
	return false
}

// forgetFormerPods drops what the kubelet and the network plugins kept about pods that ended with the namespaces of a former
// run: their addresses are free, their volumes and logs of no use. containerd sees by itself which have ended; images stay.
func (n Node) forgetFormerPods() error {
	for _, folder := range []string{"cni", "kubelet", "pod-logs"} {
		if err := os.RemoveAll(n.Place.Path(folder)); err != nil {
			return err
		}
		if err := os.MkdirAll(n.Place.Path(folder), 0o755); err != nil {
			return err
		}
	}
	err := os.Remove(n.Place.ContainerdSocket())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// spawn starts a program with this process's output. It does not use os/exec, whose Wait would race with reapUntil.
func spawn(program string, args ...string) (int, error) {
	path := program
	if !filepath.IsAbs(program) {
		path = lookOr(program, "/usr/bin/"+program)
	}
	pid, err := syscall.ForkExec(path, append([]string{path}, args...), &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("starting %s: %w", program, err)
	}
	return pid, nil
}

// reapUntil waits for every process that ends, as the first process of a namespace must, until one of those named does.
func reapUntil(named map[int]string) error {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("waiting for processes: %w", err)
		}
		if name, found := named[pid]; found {
			return fmt.Errorf("%s ended (exit code %d, signal %d)", name, status.ExitStatus(), status.Signal())
		}
	}
}

func awaitListener(network, address string, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		connection, err := net.Dial(network, address)
		if err == nil {
			return connection.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}
