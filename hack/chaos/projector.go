package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/refold-dev/refold/hack/testbed/proc"
	"github.com/refold-dev/refold/projector/contract"
)

// errNoStatus says that a projector does not answer, or not yet.
var errNoStatus = errors.New("no /statusz")

// projector is one running process.
type projector struct {
	cmd    *exec.Cmd
	log    string // the file of what it says
	doomed bool   // it has a failpoint
	ended  chan struct{}
	url    string
}

// start runs the binary as a pod would.
func (w *world) start(s setting) (*projector, error) {
	w.started++
	p := &projector{
		log:    filepath.Join(w.dir, fmt.Sprintf("projector-%03d.log", w.started)),
		doomed: s.failpoint != "",
		ended:  make(chan struct{}),
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	binary := w.binaries.plain
	if p.doomed {
		binary = w.binaries.failpoints
	}
	p.cmd = exec.Command(binary, "run", "--contract", w.contract, "--listen", "127.0.0.1:0",
		"--recheck", "100ms", "--cache-mib", strconv.Itoa(s.cacheMiB))
	p.cmd.Env = append(os.Environ(), fmt.Sprintf("GOMEMLIMIT=%dMiB", s.memoryMiB))
	if p.doomed {
		p.cmd.Env = append(p.cmd.Env, "REFOLD_FAILPOINT="+s.failpoint)
	}
	p.cmd.Stderr = log
	wait, err := proc.StartBound(p.cmd)
	if err != nil {
		return nil, err
	}
	w.processes = append(w.processes, p)
	go func() {
		defer close(p.ended)
		_ = wait()
	}()
	return p, nil
}

func (p *projector) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill ends it at once. It is an error when it had ended by itself.
func (p *projector) kill() error {
	err := p.gone()
	p.signal(syscall.SIGKILL)
	<-p.ended
	return err
}

// stop ends it as Kubernetes does.
func (p *projector) stop() error {
	if err := p.gone(); err != nil {
		return err
	}
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return nil
	case <-time.After(30 * time.Second):
		return fmt.Errorf("it did not end within 30 s of SIGTERM: %s", p.log)
	}
}

// gone is an error for a process that nobody has ended: nothing that happens
// outside may make a projector exit.
func (p *projector) gone() error {
	select {
	case <-p.ended:
		return fmt.Errorf("a projector ended by itself, %s: %s", p.cmd.ProcessState, p.log)
	default:
		return nil
	}
}

// status reads /statusz.
func (p *projector) status(ctx context.Context) (contract.Partition, error) {
	if p.url == "" && !p.findAddress() {
		return contract.Partition{}, errNoStatus
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+contract.StatuszPath, nil)
	if err != nil {
		return contract.Partition{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return contract.Partition{}, errors.Join(errNoStatus, err)
	}
	defer func() { _ = response.Body.Close() }()
	var s contract.Status
	decoder := json.NewDecoder(response.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil || len(s.Partitions) != 1 {
		return contract.Partition{}, fmt.Errorf("/statusz of %s: %w", p.log, err)
	}
	return s.Partitions[0], nil
}

// findAddress reads the log for where it listens.
func (p *projector) findAddress() bool {
	text, _ := os.ReadFile(p.log)
	for line := range bytes.Lines(text) {
		var said struct{ Address string }
		if json.Unmarshal(line, &said) == nil && said.Address != "" {
			p.url = "http://" + said.Address
			return true
		}
	}
	return false
}

// await waits until /statusz is as wanted.
func (p *projector) await(ctx context.Context, what string, wanted func(contract.Partition) bool) error {
	var last contract.Partition
	return await(ctx, func() (bool, error) {
		s, err := p.status(ctx)
		if err == nil {
			last = s
		}
		if errors.Is(err, errNoStatus) {
			return false, p.gone()
		}
		return err == nil && wanted(s), err
	}, func() string {
		shown, _ := json.Marshal(last)
		return fmt.Sprintf("a projector is not %s; at last %s: %s", what, shown, p.log)
	})
}

// patience is how long is waited for what must come.
const patience = 60 * time.Second

// await asks until the answer is yes.
func await(ctx context.Context, asked func() (bool, error), otherwise func() string) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		done, err := asked()
		if done || err != nil {
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New(otherwise())
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
