package redis

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ping answers nil when the server takes commands: it listens, has loaded its data and accepts the password.
func (s *Server) ping() error {
	connection, err := s.dial()
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	reader := bufio.NewReader(connection)
	if s.config.password != "" {
		if err := roundTrip(connection, reader, "+OK", "AUTH", s.config.password); err != nil {
			return err
		}
	}
	if err := roundTrip(connection, reader, "+PONG", "PING"); err != nil {
		return err
	}
	return s.isOurs(connection, reader)
}

// isOurs tells our process from another one that took the port a moment before.
func (s *Server) isOurs(connection net.Conn, reader *bufio.Reader) error {
	if _, err := io.WriteString(connection, "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"); err != nil {
		return err
	}
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return err
		}
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		process, _ := strconv.Atoi(value)
		group, _ := syscall.Getpgid(process)
		switch {
		case name == "process_id" && group == s.process.pid():
			return nil
		case name == "process_id", strings.HasPrefix(line, "-"):
			return fmt.Errorf("another server answers: %s", strings.TrimSpace(line))
		}
	}
}

// Ping answers nil when the server at the address, which needs no password and no TLS, takes commands.
func Ping(ctx context.Context, address string) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if deadline, limited := ctx.Deadline(); limited {
		if err := connection.SetDeadline(deadline); err != nil {
			return err
		}
	}
	return roundTrip(connection, bufio.NewReader(connection), "+PONG", "PING")
}

func (s *Server) dial() (net.Conn, error) {
	dialer := &net.Dialer{Timeout: time.Second}
	if s.config.tls {
		return tls.DialWithDialer(dialer, "tcp", s.Addr(), s.TLSConfig())
	}
	return dialer.Dial("tcp", s.Addr())
}

func roundTrip(connection net.Conn, reader *bufio.Reader, want string, words ...string) error {
	var request strings.Builder
	fmt.Fprintf(&request, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := connection.Write([]byte(request.String())); err != nil {
		return err
	}
	line, err := reader.ReadString('\n')
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(line); got != want {
		return fmt.Errorf("%s answered %q", words[0], got)
	}
	return nil
}
