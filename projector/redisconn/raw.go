package redisconn

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ServerError is an error reply that was read outside the client, as text.
type ServerError string

func (e ServerError) Error() string { return string(e) }

// RedisError marks it as a reply, as the client's own errors are marked.
func (e ServerError) RedisError() {}

// ErrBadReply is a reply that no Redis sends. The connection is of no use any
// more.
var ErrBadReply = errors.New("the reply cannot be right")

// Dial makes a connection like the client's own, authenticated, named and in its
// database, that speaks RESP2: for who takes replies as bytes off the socket.
// The caller closes it.
func Dial(ctx context.Context, client *redis.Client) (net.Conn, error) {
	opt := client.Options()
	ctx, cancel := context.WithTimeout(ctx, opt.DialTimeout)
	defer cancel()
	cn, err := opt.Dialer(ctx, opt.Network, opt.Addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = cn.Close() })
	err = handshake(ctx, cn, opt)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = cn.Close()
		return nil, err
	}
	return cn, cn.SetDeadline(time.Time{})
}

func handshake(ctx context.Context, cn net.Conn, opt *redis.Options) error {
	if err := cn.SetDeadline(time.Now().Add(opt.DialTimeout)); err != nil {
		return err
	}
	c := &caller{cn, bufio.NewReader(cn)}
	if err := c.authenticate(ctx, opt); err != nil {
		return err
	}
	if opt.DB != 0 {
		if err := c.call("SELECT", strconv.Itoa(opt.DB)); err != nil {
			return err
		}
	}
	if err := c.call("CLIENT", "SETNAME", clientName); err != nil && !isServerError(err) {
		return err
	}
	return nil
}

func (c *caller) authenticate(ctx context.Context, opt *redis.Options) error {
	username, password := opt.Username, opt.Password
	if opt.CredentialsProviderContext != nil {
		var err error
		if username, password, err = opt.CredentialsProviderContext(ctx); err != nil {
			return err
		}
	}
	switch {
	case username != "":
		return c.call("AUTH", username, password)
	case password == "":
		return nil
	}
	// The client logs in by HELLO, which takes any password where none is
	// needed; naming the default user does the same. Redis 5 has no users.
	err := c.call("AUTH", "default", password)
	if err != nil && strings.HasPrefix(err.Error(), "ERR wrong number of arguments") {
		err = c.call("AUTH", password)
	}
	return err
}

// caller sends one command at a time and reads its one-line answer.
type caller struct {
	cn net.Conn
	rd *bufio.Reader
}

func (c *caller) call(words ...string) error {
	if _, err := c.cn.Write(AppendCommand(nil, words...)); err != nil {
		return err
	}
	line, err := c.rd.ReadSlice('\n')
	if err != nil {
		return err
	}
	text := strings.TrimSuffix(string(line), "\r\n")
	switch {
	case strings.HasPrefix(text, "-"):
		return ServerError(text[1:])
	case !strings.HasPrefix(text, "+"):
		return fmt.Errorf("%w: to %s", ErrBadReply, words[0])
	}
	return nil
}

// AppendCommand appends a command as it goes over the wire.
func AppendCommand(b []byte, words ...string) []byte {
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(len(words)), 10)
	for _, word := range words {
		b = append(b, "\r\n$"...)
		b = strconv.AppendInt(b, int64(len(word)), 10)
		b = append(b, "\r\n"...)
		b = append(b, word...)
	}
	return append(b, "\r\n"...)
}
