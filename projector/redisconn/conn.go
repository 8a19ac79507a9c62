package redisconn

import (
	"bytes"
	"errors"
	"net"
)

// What is known of a connection that ends before the server has said anything.
var (
	errSpeaksTLS = errors.New("the server speaks TLS")
	// errProtected is what a Redis without a password says to everyone who is
	// not on its own host, before it hangs up: a refusal of the connection, which
	// the client would take for the answer to whatever it asked first.
	errProtected = errors.New("the server is in protected mode")
	// errMute is a plain connection; a server that wants TLS may hang up so.
	errMute = errors.New("the server hung up before it said anything")
	// errCertificate is a TLS connection on which the server asked for our
	// certificate. With TLS 1.3 that is how it refuses one, or the lack of one:
	// its alert often does not arrive.
	errCertificate = errors.New("the server asked for a certificate and hung up")
)

// tlsAlert is the first byte of a TLS alert record, which no Redis reply has.
const tlsAlert = 0x15

// conn is a connection whose errors name the server. Its own kind of error
// would name the local port, which changes.
type conn struct {
	net.Conn
	addr  server
	plain bool
	asked *bool // whether the server asked for our certificate; nil when plain
	heard bool  // whether it has said anything
}

// NetConn lets the pool look whether the socket is still open.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.heard {
		c.heard = true
		switch {
		case c.plain && b[0] == tlsAlert:
			return 0, c.name("read", errSpeaksTLS)
		case bytes.HasPrefix(b[:n], []byte("-DENIED ")):
			return 0, c.name("read", errProtected)
		}
	}
	return n, c.name("read", err)
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.name("write", err)
}

func (c *conn) name(op string, err error) error {
	if err == nil {
		return nil
	}
	if !c.heard && hungUp(err) {
		switch {
		case c.plain:
			err = errors.Join(errMute, err)
		case *c.asked:
			err = errors.Join(errCertificate, err)
		}
	}
	return &connError{&net.OpError{Op: op, Net: "tcp", Addr: c.addr, Err: err}}
}

// connError is one layer more around an OpError: the client takes one layer off
// the errors of a handshake.
type connError struct{ op *net.OpError }

func (e *connError) Error() string   { return e.op.Error() }
func (e *connError) Unwrap() error   { return e.op }
func (e *connError) Timeout() bool   { return timedOut(e.op.Err) }
func (e *connError) Temporary() bool { return false }
