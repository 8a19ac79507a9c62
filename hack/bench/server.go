package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/proc"
)

// server is a Redis that belongs to one group.
type server struct {
	addr   string
	client *redis.Client // for all that is not measured
	stop   func()
}

// startServer starts a server that neither saves nor outlives the bench.
func (b *bench) startServer(ctx context.Context) (*server, error) {
	dir, err := os.MkdirTemp(b.dir, "redis-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(b.redisServer, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", dir, "--logfile", filepath.Join(dir, "redis.log"))
	wait, err := proc.StartBound(cmd)
	if err != nil {
		return nil, err
	}
	s := &server{addr: "127.0.0.1:" + port}
	s.client = redis.NewClient(&redis.Options{Addr: s.addr, ReadTimeout: time.Minute})
	s.stop = func() {
		_ = s.client.Close()
		_ = cmd.Process.Signal(syscall.SIGKILL) // there is nothing to save
		_ = wait()
	}
	if err := s.awaitReady(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) awaitReady(ctx context.Context) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := s.client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("redis does not answer: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// cpuSeconds is what the server has used so far, all its threads.
func (s *server) cpuSeconds(ctx context.Context) (float64, error) {
	info, err := s.info(ctx, "cpu")
	if err != nil {
		return 0, err
	}
	user, err := strconv.ParseFloat(info["used_cpu_user"], 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(info["used_cpu_sys"], 64)
	return user + system, err
}

// cpuOf is what the server uses while f runs.
func (s *server) cpuOf(ctx context.Context, f func() error) (seconds float64, err error) {
	before, err := s.cpuSeconds(ctx)
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := s.cpuSeconds(ctx)
	return after - before, err
}

// settle waits until the server has freed what was removed: it does so in the
// background, and whatever is measured next would pay for it.
func (s *server) settle(ctx context.Context) error {
	const pause = 100 * time.Millisecond
	for ctx.Err() == nil {
		info, err := s.info(ctx, "memory")
		if err != nil {
			return err
		}
		time.Sleep(pause)
		if info["lazyfree_pending_objects"] == "0" {
			return nil
		}
	}
	return ctx.Err()
}

// info is one section of INFO, by name.
func (s *server) info(ctx context.Context, section string) (map[string]string, error) {
	text, err := s.client.Info(ctx, section).Result()
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			values[name] = value
		}
	}
	return values, nil
}

// scan calls f with the keys under a prefix; it may show a key twice.
func (s *server) scan(ctx context.Context, prefix string, f func(keys []string) error) error {
	const count = 10_000
	for cursor := uint64(0); ; {
		keys, next, err := s.client.Scan(ctx, cursor, prefix+"*", count).Result()
		if err == nil && len(keys) > 0 {
			err = f(keys)
		}
		if err != nil || next == 0 {
			return err
		}
		cursor = next
	}
}

// remove unlinks the keys under a prefix.
func (s *server) remove(ctx context.Context, prefix string) error {
	return s.scan(ctx, prefix, func(keys []string) error { return s.client.Unlink(ctx, keys...).Err() })
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
