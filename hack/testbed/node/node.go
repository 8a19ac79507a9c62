// Package node makes the one node: containerd, the kubelet and kube-proxy, the bridge that its pods hang on, and the sandbox
// image. It also undoes all that these change on the machine.
//
// containerd, the kubelet and every pod live in one process-id and mount namespace (see inside.go). When its first process
// is killed, the kernel ends everything in it and takes down every mount: no other way survives the crash of any part.
package node

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/refold-dev/refold/hack/testbed/layout"
	"github.com/refold-dev/refold/hack/testbed/part"
	"github.com/refold-dev/refold/hack/testbed/proc"
)

// Node is the node of one testbed.
type Node struct {
	Place      layout.Layout
	Kubernetes string // folder of the programs, see package build
}

// Packages are the Debian packages that a node needs, each with a program by which to know that it is there.
var Packages = map[string]string{
	"containerd":                  "containerd",
	"crun":                        "crun",
	"containernetworking-plugins": "/usr/lib/cni/bridge",
	"nftables":                    "nft",
	"iproute2":                    "ip",
}

// Missing lists the packages that are not there.
func Missing() []string {
	var missing []string
	for name, program := range Packages {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, name)
		}
	}
	return missing
}

// Agent is containerd with the kubelet: they start and end together, below a copy of this program.
func (n Node) Agent() part.Part {
	self, err := os.Executable()
	if err != nil {
		self = "/proc/self/exe"
	}
	health := "http://" + layout.OnLoopback(layout.KubeletHealthPort) + "/healthz"
	return part.Part{
		URL: "https://" + layout.OnBridge(layout.KubeletPort),
		Spec: proc.Spec{
			Name:       "node",
			Path:       self,
			Args:       []string{InsideCommand, n.Place.Folder, n.Kubernetes},
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			Namespaces: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		},
		Check: func(ctx context.Context) error {
			if err := answers(ctx, health); err != nil {
				return err
			}
			connection, err := (&net.Dialer{}).DialContext(ctx, "unix", n.Place.ContainerdSocket())
			if err != nil {
				return err
			}
			return connection.Close()
		},
	}
}

// Proxy is kube-proxy, in the host's own network, so that Services answer to pods and host alike.
func (n Node) Proxy() part.Part {
	health := "http://" + layout.OnLoopback(layout.ProxyHealthPort) + "/healthz"
	return part.Part{
		URL: health,
		Spec: proc.Spec{
			Name: "kube-proxy",
			Path: filepath.Join(n.Kubernetes, "kube-proxy"),
			Args: []string{"--config=" + n.Place.Config("kube-proxy.yaml")},
		},
		Check: func(ctx context.Context) error { return answers(ctx, health) },
		Grace: 2 * time.Second,
	}
}

// Load imports an image archive, for pods to use under the name that it has in the archive.
func (n Node) Load(archive string) error {
	output, err := exec.Command("ctr", "--address", n.Place.ContainerdSocket(), "--namespace", "k8s.io",
		"images", "import", archive).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ctr images import: %w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

// Has tells whether an image of that whole name is loaded.
func (n Node) Has(image string) bool {
	output, err := exec.Command("ctr", "--address", n.Place.ContainerdSocket(), "--namespace", "k8s.io",
		"images", "list", "--quiet", "name=="+image).Output()
	return err == nil && strings.TrimSpace(string(output)) == image
}

// Prepare writes configuration and makes the folders. It may be called again at any time.
func (n Node) Prepare() error {
	for _, folder := range []string{"etc/cni", "containerd", "kubelet", "pod-logs", "cni"} {
		if err := os.MkdirAll(n.Place.Path(folder), 0o755); err != nil {
			return err
		}
	}
	for file, content := range n.configuration() {
		if err := os.WriteFile(n.Place.Config(file), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func answers(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, answer.Status)
	}
	return nil
}
