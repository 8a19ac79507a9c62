package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/refold-dev/refold/hack/testbed/proc"
	"github.com/refold-dev/refold/projector/contract"
)

// program is a projector as it is to be started.
type program struct {
	binary         string
	reducer        string   // that its contract names
	memoryLimitMiB int64    // of the container that it stands for
	environment    []string // NAME=VALUE, more than the bench's own
	flags          []string // more than where it listens
}

// defaultLimitMiB is the memory limit that a projector has where the manifest names none.
const defaultLimitMiB = 512

// projector is a running program.
type projector struct {
	program
	cmd      *exec.Cmd
	contract string // its file
	ledger   string // the key of its position
	log      string // its file
	begun    time.Time
	ended    chan struct{} // closed when the process is gone
}

// startProjector starts a program, bound to the bench's life.
func (b *bench) startProjector(p program, d contract.Document) (*projector, error) {
	dir, err := os.MkdirTemp(b.dir, "projector-")
	if err != nil {
		return nil, err
	}
	started := &projector{program: p, ledger: ledgerOf(d.Revision), contract: filepath.Join(dir, contract.FileName), log: filepath.Join(dir, "log"), ended: make(chan struct{})}
	if err := writeContract(started.contract, d); err != nil {
		return nil, err
	}
	log, err := os.Create(started.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	started.cmd = exec.Command(p.binary, append([]string{"--contract", started.contract, "--listen", "127.0.0.1:0"}, p.flags...)...)
	started.cmd.Env = append(os.Environ(), append(p.environment, goMemLimit(p.memoryLimitMiB))...)
	started.cmd.Stderr = log
	started.begun = time.Now()
	wait, err := proc.StartBound(started.cmd)
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(started.ended)
		_ = wait() // what went wrong is in the log
	}()
	return started, nil
}

func writeContract(file string, d contract.Document) error {
	data, err := contract.Encode(d)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

// goMemLimit is what controllers/resources sets for a container of that limit.
func goMemLimit(limitMiB int64) string {
	return "GOMEMLIMIT=" + strconv.FormatInt(limitMiB<<20/10*9, 10)
}

// await waits until the ledger says that all up to the ID is folded and stored.
func (p *projector) await(ctx context.Context, s *server, id string) error {
	const pause, patience = 2 * time.Millisecond, 10 * time.Minute
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if at, _ := s.client.HGet(ctx, p.ledger, "id").Result(); at == id {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			return fmt.Errorf("the projector has ended: %s", p.lastWords())
		case <-time.After(pause):
		}
	}
	return fmt.Errorf("the ledger does not reach %s: %s", id, p.lastWords())
}

// lastWords are the end of the log.
func (p *projector) lastWords() string {
	const most = 2000
	log, _ := os.ReadFile(p.log)
	return string(log[max(0, len(log)-most):])
}

// stop ends the process as Kubernetes would.
func (p *projector) stop() {
	const grace = 30 * time.Second
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(grace):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// cpuSeconds is what the process has used in all its life. Valid after stop.
func (p *projector) cpuSeconds() float64 {
	state := p.cmd.ProcessState
	return (state.UserTime() + state.SystemTime()).Seconds()
}

// drop takes the read model away.
func (p *projector) drop(ctx context.Context) error {
	_, err := p.job(ctx, "drop", "--keep=false")
	return err
}

// job runs a finite subcommand of the program on the projector's contract.
func (p *projector) job(ctx context.Context, name string, flags ...string) (contract.Result, error) {
	var r contract.Result
	result := filepath.Join(filepath.Dir(p.contract), name+".json")
	args := append([]string{name, "--contract", p.contract, "--termination-log", result}, flags...)
	out, err := exec.CommandContext(ctx, p.binary, args...).CombinedOutput()
	if err != nil {
		return r, fmt.Errorf("%s: %w: %s", name, err, out)
	}
	data, err := os.ReadFile(result)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(data, &r)
}
