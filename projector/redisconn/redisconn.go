// Package redisconn connects to the Redis that a contract names, and says what
// a Redis error means: which reason, whether a person must act, and what to do.
// It retries nothing, sends no command of its own beyond the handshake, and
// keeps no credential or certificate: they are read from their files at every
// connection, so that a rotated Secret heals without a restart.
package redisconn

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/refold-dev/refold/projector/contract"
)

// Side is what a Redis is to the projector; messages and remedies name it.
type Side int

// The two sides.
const (
	Source Side = iota
	ReadModel
)

// field is where the manifest describes that Redis.
func (s Side) field() string {
	if s == ReadModel {
		return "readModel.redisHash"
	}
	return "source.redis"
}

// clientName is what CLIENT LIST shows.
const clientName = "refold"

// Timeouts of one connection. A server that says nothing for so long is away;
// whoever blocks on purpose adds the time that it blocks.
const (
	DialTimeout  = 5 * time.Second
	ReadTimeout  = 5 * time.Second
	WriteTimeout = 5 * time.Second
)

// poolSize is small: a projector has one loop a partition, and a stranger's
// server is not to be crowded.
const poolSize = 4

// New makes a client and does not dial. It is an error, in words for the one
// who wrote the manifest, when the contract does not name a Redis. The client
// never tries anything again by itself.
func New(side Side, r contract.Redis) (*redis.Client, error) {
	a, err := parseURL(side, r)
	if err != nil {
		return nil, err
	}
	return newClient(a, &dialer{tls: a.tls, host: a.host, files: r.TLS}, credentials(r.Credentials)), nil
}

// Access is what a Secret would hold, of a person who has none at hand.
type Access struct {
	Username, Password string
	TLS                *tls.Config // nil: the system's roots, and no certificate
}

// NewWith is New for a person. The URL holds no password, here either.
func NewWith(side Side, url string, access Access) (*redis.Client, error) {
	a, err := parseURL(side, contract.Redis{URL: url})
	if err != nil {
		return nil, err
	}
	var login credentialsFunc
	if access.Username != "" || access.Password != "" {
		login = func(context.Context) (string, string, error) { return access.Username, access.Password, nil }
	}
	return newClient(a, &dialer{tls: a.tls, host: a.host, given: access.TLS}, login), nil
}

func newClient(a address, d *dialer, login credentialsFunc) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:                       a.hostPort,
		DB:                         a.db,
		Dialer:                     d.dial,
		OnConnect:                  introduce,
		CredentialsProviderContext: login,
		// RESP2 has every answer that is needed, and no pushes in between.
		Protocol:                 2,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries:               -1,
		DialerRetries:            1,
		DialTimeout:              DialTimeout,
		ReadTimeout:              ReadTimeout,
		WriteTimeout:             WriteTimeout,
		ContextTimeoutEnabled:    true,
		PoolSize:                 poolSize,
		PipelinePoolSize:         -1,
	})
}

// introduce names the connection, for those who look at CLIENT LIST. A server
// or an ACL that does not let it is no reason not to connect.
func introduce(ctx context.Context, cn *redis.Conn) error {
	if err := cn.ClientSetName(ctx, clientName).Err(); err != nil && !isServerError(err) {
		return err
	}
	return nil
}
