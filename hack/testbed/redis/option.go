package redis

import (
	"path/filepath"
	"slices"
	"strconv"
)

// Option changes how a server is started.
type Option func(*config)

// AOF makes every write durable before it is answered, so that Kill and Restart lose nothing.
func AOF() Option {
	return func(c *config) { c.extra = append(c.extra, "--appendonly", "yes", "--appendfsync", "always") }
}

// Arg sets any directive of redis.conf, such as Arg("maxmemory", "10mb").
func Arg(name string, values ...string) Option {
	return func(c *config) { c.extra = append(c.extra, append([]string{"--" + name}, values...)...) }
}

// Password makes the default user need one.
func Password(password string) Option {
	return func(c *config) { c.password = password }
}

// TLS makes the server speak only TLS, with certificates of its own making. A client's certificate is checked when it shows
// one; see MutualTLS.
func TLS() Option {
	return func(c *config) { c.tls = true }
}

// MutualTLS is TLS that turns away a client without a certificate.
func MutualTLS() Option {
	return func(c *config) { c.tls, c.mutual = true, true }
}

// Binary runs the given server program, such as one that Fetch returned, in place of the machine's redis-server.
func Binary(path string) Option {
	return func(c *config) { c.binary = path }
}

// Bind listens on the given address of this machine in place of 127.0.0.1.
func Bind(host string) Option {
	return func(c *config) { c.bind = host }
}

type config struct {
	binary      string
	bind        string
	password    string
	tls, mutual bool
	extra       []string // words after the fixed ones, so that they win
}

func newConfig(opts []Option) config {
	made := config{bind: "127.0.0.1"}
	for _, opt := range opts {
		opt(&made)
	}
	return made
}

// arguments are fit for a test: nothing saved by time, small defaults, no files outside dir.
func (c config) arguments(dir string, port int) []string {
	words := []string{
		"--bind", c.bind, "--dir", dir, "--daemonize", "no", "--save", "",
		"--protected-mode", "no", "--databases", "16",
	}
	if c.tls {
		words = append(words, c.tlsArguments(dir, port)...)
	} else {
		words = append(words, "--port", strconv.Itoa(port))
	}
	if c.password != "" {
		words = append(words, "--requirepass", c.password)
	}
	return slices.Concat(words, c.extra)
}

func (c config) tlsArguments(dir string, port int) []string {
	clients := "optional"
	if c.mutual {
		clients = "yes"
	}
	return []string{
		"--port", "0", "--tls-port", strconv.Itoa(port), "--tls-auth-clients", clients,
		"--tls-ca-cert-file", filepath.Join(dir, caFile),
		"--tls-cert-file", filepath.Join(dir, serverCertFile),
		"--tls-key-file", filepath.Join(dir, serverKeyFile),
	}
}
