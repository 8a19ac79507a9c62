package build

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/refold-dev/refold/hack/testbed/proc"
	"github.com/refold-dev/refold/hack/testbed/progress"
)

// Kubernetes returns the folder that holds kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy and
// kubectl. A cold build takes some seven minutes on two cores.
func Kubernetes(log *progress.Log) (string, error) { return ensure(log, kubernetes) }

// Etcd returns the folder that holds etcd.
func Etcd(log *progress.Log) (string, error) { return ensure(log, etcd) }

// CoreDNS returns the folder that holds coredns.
func CoreDNS(log *progress.Log) (string, error) { return ensure(log, coredns) }

// Pause returns the folder that holds pause, the static program of the sandbox image.
func Pause(log *progress.Log) (string, error) { return ensure(log, pause) }

// ensure returns the folder of the built program, building it at most once over all processes of this user.
func ensure(log *progress.Log, p program) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	version, err := p.version(root)
	if err != nil {
		return "", err
	}
	key, err := p.key(root, version)
	if err != nil {
		return "", err
	}
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, key)
	if complete(folder, p.calls) {
		return folder, nil
	}
	unlock, err := lock(log, filepath.Join(cache, p.name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if complete(folder, p.calls) {
		return folder, nil // another process built it meanwhile
	}
	return folder, log.Step(fmt.Sprintf("building %s %s", p.name, version), func(now func(string)) error {
		return p.build(log, now, root, version, folder)
	})
}

// build makes the program beside its final place and moves it there, so that the folder is whole whenever it exists.
func (p program) build(log *progress.Log, now func(string), root, version, folder string) error {
	leftovers, _ := filepath.Glob(filepath.Join(filepath.Dir(folder), ".partial-"+p.name+"-*"))
	for _, leftover := range leftovers {
		_ = os.RemoveAll(leftover) // of a build that was killed; the lock says that none runs now
	}
	partial, err := os.MkdirTemp(filepath.Dir(folder), ".partial-"+p.name+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(partial) }()
	if err := p.compile(log, now, root, version, partial); err != nil {
		return err
	}
	for _, call := range p.calls {
		if call == p.name {
			continue
		}
		if err := os.Symlink(p.name, filepath.Join(partial, call)); err != nil {
			return err
		}
	}
	if err := os.Chmod(partial, 0o755); err != nil {
		return err
	}
	return os.Rename(partial, folder)
}

// compile builds the binary in the given folder. The go tool's own scratch files, gigabytes for Kubernetes, are kept there
// too while it runs, so that those of a killed build are cleared by the next.
func (p program) compile(log *progress.Log, now func(string), root, version, folder string) error {
	total := p.countPackages(root)
	scratch := filepath.Join(folder, "scratch")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	command := p.goCommand(root, "build", "-v", "-o", filepath.Join(folder, p.name), "-ldflags="+p.linkerFlags(version), ".")
	command.Env = append(command.Env, "GOTMPDIR="+scratch)
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	command.Stdout, command.Stderr = writer, writer
	wait, err := proc.StartBound(command)
	_ = writer.Close()
	if err != nil {
		return err
	}
	said := follow(reader, func(compiled int) {
		now(fmt.Sprintf("(package %d of at most %d)", compiled, total))
	})
	if err := wait(); err != nil {
		log.Say("%s", strings.Join(said, "\n"))
		return fmt.Errorf("go build: %w", err)
	}
	return nil
}

// follow counts the packages that go build -v names, one a line, and keeps the last other lines, which are its complaints.
func follow(output *os.File, tell func(compiled int)) (said []string) {
	compiled := 0
	plain := regexp.MustCompile(`^[\w.~/-]+$`)
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case plain.MatchString(line):
			compiled++
			tell(compiled)
		case !strings.HasPrefix(line, "go: downloading"):
			said = append(said, line)
			said = said[max(0, len(said)-40):]
		}
	}
	return said
}

// countPackages is for showing how far a build is; 0 when it cannot be known.
func (p program) countPackages(root string) int {
	output, err := p.goCommand(root, "list", "-deps", ".").Output()
	if err != nil {
		return 0
	}
	return strings.Count(string(output), "\n")
}

// goCommand runs the go tool in the program's folder, deaf to a workspace or flags of the caller that would change what is
// built. The binaries are static, so they run in an image of their own.
func (p program) goCommand(root string, args ...string) *exec.Cmd {
	command := exec.Command("go", args...)
	command.Dir = p.folder(root)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
	return command
}

func complete(folder string, names []string) bool {
	for _, name := range names {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

func cacheFolder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "refold", "testbed")
	return folder, os.MkdirAll(folder, 0o755)
}
