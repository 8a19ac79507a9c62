// Package build builds the programs of the testbed from Go modules and keeps them in the user's cache directory.
//
// It is the way to real servers where only the Go module proxy can be counted on. A built program is named by everything
// that went into it, so it is never stale and two versions live side by side. The package starts nothing that it builds.
package build

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// program is one binary to build and the names it is called by.
type program struct {
	name   string
	source string   // its folder below hack/testbed
	module string   // the required module whose version is the program's; empty for a program of our own
	calls  []string // links to the binary; a multi-call binary looks at its name
}

var (
	etcd       = program{name: "etcd", source: "etcd", module: "go.etcd.io/etcd/server/v3", calls: []string{"etcd"}}
	kubernetes = program{
		name: "kube", source: "kube", module: "k8s.io/kubernetes",
		calls: []string{
			"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl",
		},
	}
	coredns = program{name: "coredns", source: "coredns", module: "github.com/coredns/coredns", calls: []string{"coredns"}}
	pause   = program{name: "pause", source: "pause", calls: []string{"pause"}}
)

// Root is the repository's root: the nearest folder at or above the working directory that holds this testbed's sources.
func Root() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "hack", "testbed", kubernetes.source, "go.mod")); err == nil {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", errors.New("run this inside the Refold repository: its sources say what to build")
		}
	}
}

func (p program) folder(root string) string {
	return filepath.Join(root, "hack", "testbed", p.source)
}

// version is what the program's go.mod requires, such as v1.37.2.
func (p program) version(root string) (string, error) {
	if p.module == "" {
		return "v0", nil
	}
	content, err := os.ReadFile(filepath.Join(p.folder(root), "go.mod"))
	if err != nil {
		return "", err
	}
	line := regexp.MustCompile(`(?m)^\s*(?:require\s+)?` + regexp.QuoteMeta(p.module) + `\s+(v\S+)`)
	found := line.FindSubmatch(content)
	if found == nil {
		return "", fmt.Errorf("%s/go.mod does not require %s", p.source, p.module)
	}
	return string(found[1]), nil
}

// key names the built program by all that went into it: sources, versions of every module, compiler, platform and flags.
func (p program) key(root, version string) (string, error) {
	sum := sha256.New()
	_, _ = fmt.Fprintln(sum, runtime.Version(), runtime.GOOS, runtime.GOARCH, p.linkerFlags(version))
	for _, pattern := range []string{"go.mod", "go.sum", "*.go"} {
		files, err := filepath.Glob(filepath.Join(p.folder(root), pattern))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
			_, _ = fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(file), len(content), content)
		}
	}
	return fmt.Sprintf("%s-%s-%s", p.name, version, hex.EncodeToString(sum.Sum(nil))[:12]), nil
}

// linkerFlags stamp the version, which a build from modules has no other way to know.
func (p program) linkerFlags(version string) string {
	flags := []string{"-s", "-w"}
	if p.name == kubernetes.name {
		parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
		for _, stamped := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
			flags = append(flags,
				"-X", stamped+".gitVersion="+version, "-X", stamped+".gitMajor="+parts[0], "-X", stamped+".gitMinor="+parts[1],
				"-X", stamped+".gitTreeState=clean")
		}
	}
	if p.name == coredns.name {
		flags = append(flags, "-X", "github.com/coredns/coredns/coremain.GitCommit=testbed")
	}
	return strings.Join(flags, " ")
}
