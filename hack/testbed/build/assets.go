package build

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/refold-dev/refold/hack/testbed/progress"
)

// AssetsVariable names the folder in which controller-runtime's envtest looks for its servers.
const AssetsVariable = "KUBEBUILDER_ASSETS"

// assets are what envtest starts.
var assets = []string{"etcd", "kube-apiserver", "kubectl"}

// Assets returns a folder with etcd, kube-apiserver and kubectl for envtest: the one that $KUBEBUILDER_ASSETS names, else a
// set of the same minor version that setup-envtest has installed, else one built here. It uses no network but Go modules.
func Assets(log *progress.Log) (string, error) {
	if named := os.Getenv(AssetsVariable); named != "" && complete(named, assets) {
		return named, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	version, err := kubernetes.version(root)
	if err != nil {
		return "", err
	}
	if installed := installedAssets(version); installed != "" {
		return installed, nil
	}
	return builtAssets(log)
}

// installedAssets looks where setup-envtest keeps what it downloads, by default.
func installedAssets(version string) string {
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		data = filepath.Join(home, ".local", "share")
	}
	minor := version[1:strings.LastIndex(version, ".")]
	pattern := fmt.Sprintf("%s.*-%s-%s", minor, runtime.GOOS, runtime.GOARCH)
	sets, _ := filepath.Glob(filepath.Join(data, "kubebuilder-envtest", "k8s", pattern))
	for _, set := range slices.Backward(sets) {
		if complete(set, assets) {
			return set
		}
	}
	return ""
}

// builtAssets gathers links to the built programs in a folder named after both of them.
func builtAssets(log *progress.Log) (string, error) {
	etcdFolder, err := Etcd(log)
	if err != nil {
		return "", err
	}
	kubeFolder, err := Kubernetes(log)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("assets-%s-%s", filepath.Base(kubeFolder), filepath.Base(etcdFolder))
	folder := filepath.Join(filepath.Dir(kubeFolder), name)
	if complete(folder, assets) {
		return folder, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	return folder, linkAssets(folder, etcdFolder, kubeFolder)
}

// linkAssets may run in two processes at once: each link appears in one step.
func linkAssets(folder, etcdFolder, kubeFolder string) error {
	for _, asset := range assets {
		from := kubeFolder
		if asset == "etcd" {
			from = etcdFolder
		}
		partial := filepath.Join(folder, fmt.Sprintf(".%s-%d", asset, os.Getpid()))
		if err := os.Symlink(filepath.Join(from, asset), partial); err != nil {
			return err
		}
		if err := os.Rename(partial, filepath.Join(folder, asset)); err != nil {
			return err
		}
	}
	return nil
}
