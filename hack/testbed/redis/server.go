// Package redis runs real redis-server processes for tests, and finds or installs the program.
//
// A server listens on a free loopback port, keeps its files in the test's temporary directory and ends with the test, also
// when the test binary is killed. The package is no client: it speaks just enough of the protocol to know that a server is
// ready. It uses only the standard library, so that every package of the project may import it in its tests.
package redis

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is one redis-server. Its methods are not safe for use by several goroutines at once; the server itself is.
type Server struct {
	// CAFile, CertFile and KeyFile are PEM files for a client of a server started with TLS; else empty.
	CAFile, CertFile, KeyFile string

	config  config
	dir     string
	port    int
	process *process // nil before the first start; ended after Stop and Kill
}

// Start starts a server that ends with the test. It fails the test when there is no redis-server and none can be installed,
// or when it is not ready within 20 seconds. On a failed test the server's log is shown. It skips a test that wants TLS
// of a server that was built without (Valkey's from PyPI; Debian's Redis has it).
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	server, err := Launch(t.TempDir(), opts...)
	t.Cleanup(func() { server.end(t) })
	if err != nil {
		if strings.Contains(server.Log(), "Failed finding TLS support") {
			t.Skipf("redis: %s is built without TLS", server.config.binary)
		}
		t.Fatalf("redis: %v\n%s", err, server.Log())
	}
	return server
}

// Launch is Start for a program that is no test: the server's files are in dir, and the caller ends it with Kill. It does not
// outlive this process. The server that is returned beside an error has a log.
func Launch(dir string, opts ...Option) (*Server, error) {
	server := &Server{config: newConfig(opts), dir: dir}
	if err := server.prepare(); err != nil {
		return server, err
	}
	return server, server.startOnFreePort()
}

// Addr is host:port, the same over restarts.
func (s *Server) Addr() string {
	return net.JoinHostPort(s.config.bind, strconv.Itoa(s.port))
}

// Host and Port are the two parts of Addr.
func (s *Server) Host() string { return s.config.bind }

// Port is the TCP port, the TLS one for a server started with TLS.
func (s *Server) Port() int { return s.port }

// URL is redis://… or rediss://…, with the password if there is one.
func (s *Server) URL() string {
	address := url.URL{Scheme: "redis", Host: s.Addr()}
	if s.config.tls {
		address.Scheme = "rediss"
	}
	if s.config.password != "" {
		address.User = url.UserPassword("", s.config.password)
	}
	return address.String()
}

// Password is the one given by the option, or empty.
func (s *Server) Password() string { return s.config.password }

// Dir is where the server keeps its data: appendonlydir/, dump.rdb, redis.log.
func (s *Server) Dir() string { return s.dir }

// PID is the running server's process id, 0 when it is not running.
func (s *Server) PID() int {
	if !s.running() {
		return 0
	}
	return s.process.pid()
}

// TLSConfig is what a client needs to reach a server started with TLS; nil for one without.
func (s *Server) TLSConfig() *tls.Config {
	if !s.config.tls {
		return nil
	}
	return clientTLS(s.dir)
}

// Stop asks the server to end, as an operator would: it writes what it has to write. It is gone when Stop returns.
func (s *Server) Stop() {
	s.Resume()
	s.finish(syscall.SIGTERM)
}

// Kill ends the server at once, as a crash would. It is gone when Kill returns.
func (s *Server) Kill() {
	s.finish(syscall.SIGKILL)
}

// Restart starts the server again on the same port with the same files, ending it first if it runs.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.Relaunch(); err != nil {
		t.Fatalf("redis: restart: %v\n%s", err, s.Log())
	}
}

// Relaunch is Restart for a program that is no test.
func (s *Server) Relaunch() error {
	s.Stop()
	return s.start()
}

// Pause freezes the server: connections stay open and nothing answers, as behind a dead network.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Log is what the server has printed since its first start.
func (s *Server) Log() string {
	content, _ := os.ReadFile(s.logFile())
	return string(content)
}

// prepare makes all that the first start needs but the port.
func (s *Server) prepare() error {
	if s.config.binary == "" {
		binary, err := EnsureInstalled(os.Stderr)
		if err != nil {
			return err
		}
		s.config.binary = binary
	}
	if !s.config.tls {
		return nil
	}
	s.CAFile, s.CertFile, s.KeyFile = clientFiles(s.dir)
	return writeCertificates(s.dir, s.config.bind)
}

// startOnFreePort tries again when another process took the port between finding and using it.
func (s *Server) startOnFreePort() error {
	var err error
	for range 5 {
		if s.port, err = freePort(s.config.bind); err != nil {
			return err
		}
		if err = s.start(); err == nil {
			return nil
		}
	}
	return err
}

func (s *Server) start() error {
	started, err := startProcess(s.config.binary, s.config.arguments(s.dir, s.port), s.dir, s.logFile())
	if err != nil {
		return err
	}
	s.process = started
	if err := s.awaitReady(20 * time.Second); err != nil {
		s.Kill()
		return err
	}
	return nil
}

func (s *Server) awaitReady(timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		err := s.ping()
		if !s.running() {
			return fmt.Errorf("%s ended while starting", s.config.binary)
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready after %s: %w", timeout, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *Server) finish(signal syscall.Signal) {
	if !s.running() {
		return
	}
	s.signal(signal)
	if s.process.endsWithin(10 * time.Second) {
		return
	}
	s.signal(syscall.SIGKILL)
	<-s.process.ended
}

func (s *Server) signal(signal syscall.Signal) {
	if s.running() {
		s.process.signal(signal)
	}
}

func (s *Server) running() bool {
	return s.process != nil && !s.process.endsWithin(0)
}

func (s *Server) end(t testing.TB) {
	s.Kill()
	if t.Failed() {
		t.Logf("redis-server on %s said:\n%s", s.Addr(), s.Log())
	}
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "redis.log") }

// Ports are chosen below those that the kernel gives to whoever asks for any, as every client does: one of those would
// take the port while its server is restarted.
const firstPort, endOfPorts = 10_000, 32_768

func freePort(host string) (port int, err error) {
	for range 100 {
		port = firstPort + rand.IntN(endOfPorts-firstPort)
		var listener net.Listener
		if listener, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			return port, listener.Close()
		}
	}
	return 0, err
}
