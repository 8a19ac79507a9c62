package redisconn

import (
	"errors"
	"net"
)

// errSpeaksTLS is a plain connection that was answered with a TLS record.
var errSpeaksTLS = errors.New("the server speaks TLS")

// tlsAlert is the first byte of a TLS alert record, which no Redis reply has.
const tlsAlert = 0x15

// conn is a connection whose errors name the server. Its own kind of error
// would name the local port, which changes.
type conn struct {
	net.Conn
	addr  server
	plain bool // TLS is not set up, and nothing was read yet
}

// NetConn lets the pool look whether the socket is still open.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.plain && n > 0 {
		c.plain = false
		if b[0] == tlsAlert {
			return 0, c.name("read", errSpeaksTLS)
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
	return &net.OpError{Op: op, Net: "tcp", Addr: c.addr, Err: err}
}
