package redis_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/refold-dev/refold/hack/testbed/redis"
)

func TestServerAnswersAndEnds(t *testing.T) {
	var server *redis.Server
	started := t.Run("while the test runs it answers", func(t *testing.T) {
		server = redis.Start(t)
		if got := call(t, dial(t, server), "SET a 1"); got != "+OK" {
			t.Errorf("SET answered %q", got)
		}
	})
	if !started {
		t.FailNow()
	}
	if pid := server.PID(); pid != 0 {
		t.Errorf("the server outlived its test as process %d", pid)
	}
}

func TestDurableServerKeepsDataOverKill(t *testing.T) {
	server := redis.Start(t, redis.AOF())
	address := server.Addr()
	call(t, dial(t, server), "SET a 1")
	server.Kill()
	if _, err := net.Dial("tcp", address); err == nil {
		t.Fatal("a killed server still listens")
	}
	server.Restart(t)
	if server.Addr() != address {
		t.Errorf("the address changed from %s to %s", address, server.Addr())
	}
	if got := call(t, dial(t, server), "GET a"); got != "$1" {
		t.Errorf("GET answered %q, the write is lost", got)
	}
}

func TestPausedServerIsSilentUntilResumed(t *testing.T) {
	server := redis.Start(t)
	connection := dial(t, server)
	server.Pause()
	_ = connection.SetDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = io.WriteString(connection, "PING\r\n")
	if _, err := connection.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a paused server answered: %v", err)
	}
	server.Resume()
	_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
	if line, err := bufio.NewReader(connection).ReadString('\n'); err != nil {
		t.Errorf("a resumed server is silent: %q %v", line, err)
	}
}

func TestOptionsReachTheServer(t *testing.T) {
	server := redis.Start(t, redis.Password("pass word"), redis.Arg("maxmemory", "10mb"))
	connection := dial(t, server)
	if got := call(t, connection, "PING"); !strings.HasPrefix(got, "-NOAUTH") {
		t.Errorf("without a password PING answered %q", got)
	}
	if got := call(t, connection, `AUTH "pass word"`); got != "+OK" {
		t.Errorf("AUTH answered %q", got)
	}
	if got, want := server.URL(), fmt.Sprintf("redis://:pass%%20word@%s", server.Addr()); got != want {
		t.Errorf("URL is %s, want %s", got, want)
	}
}

func TestMutualTLSNeedsACertificate(t *testing.T) {
	server := redis.Start(t, redis.MutualTLS())
	connection, err := tls.Dial("tcp", server.Addr(), server.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if got := call(t, connection, "PING"); got != "+PONG" {
		t.Errorf("PING answered %q", got)
	}
	stranger := server.TLSConfig()
	stranger.Certificates = nil
	if connection, err := tls.Dial("tcp", server.Addr(), stranger); err == nil {
		_, err = connection.Read(make([]byte, 1))
		if err == nil {
			t.Error("a client without a certificate was let in")
		}
	}
}

// The child test process below starts a server and is killed; the server must die with it.
func TestServerDiesWithAKilledTestBinary(t *testing.T) {
	if os.Getenv("REFOLD_TEST_CHILD") != "" {
		fmt.Printf("pid %d\n", redis.Start(t).PID())
		time.Sleep(time.Minute)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestServerDiesWithAKilledTestBinary$", "-test.v")
	child.Env = append(os.Environ(), "REFOLD_TEST_CHILD=1")
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	pid := readPID(t, output)
	_ = child.Process.Kill()
	_ = child.Wait()
	for deadline := time.Now().Add(5 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlived the killed test binary", pid)
		}
	}
}

func readPID(t *testing.T, output io.Reader) int {
	t.Helper()
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		var pid int
		if _, err := fmt.Sscanf(lines.Text(), "pid %d", &pid); err == nil {
			return pid
		}
	}
	t.Fatal("the child started no server")
	return 0
}

func dial(t *testing.T, server *redis.Server) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// call sends an inline command and returns the reply's first line.
func call(t *testing.T, connection net.Conn, command string) string {
	t.Helper()
	if _, err := io.WriteString(connection, command+"\r\n"); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}
