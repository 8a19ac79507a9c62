package redisconn

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/refold-dev/refold/projector/contract"
)

// address is a parsed URL.
type address struct {
	host, hostPort string
	db             int
	tls            bool
}

// Normal is the server and the database as everybody writes them, without a
// password: two URLs of one database are the same text. It is an error where New
// says one.
func Normal(side Side, r contract.Redis) (string, error) {
	a, err := parseURL(side, r)
	if err != nil {
		return "", err
	}
	scheme := "redis"
	if a.tls {
		scheme = "rediss"
	}
	return fmt.Sprintf("%s://%s/%d", scheme, strings.ToLower(a.hostPort), a.db), nil
}

// parseURL reads redis://host:port/db as Redis clients do, and refuses what
// would be misread in silence. Messages never repeat the URL: it could hold a
// password.
func parseURL(side Side, r contract.Redis) (address, error) {
	refuse := func(format string, args ...any) (address, error) {
		return address{}, fmt.Errorf("%s.url: %s", side.field(), fmt.Sprintf(format, args...))
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return refuse("not a URL: write redis://host:port/db")
	}
	switch {
	case u.Scheme != "redis" && u.Scheme != "rediss":
		return refuse("unknown scheme %q: write redis://host:port/db, or rediss:// for TLS", u.Scheme)
	case u.User != nil:
		return refuse("a user or a password does not belong in the URL: put them into a Secret and name it in credentialsSecretRef")
	case u.Hostname() == "":
		return refuse("no host: write %s://host:port/db", u.Scheme)
	case u.RawQuery != "" || u.Fragment != "":
		return refuse("%q is not understood: write %s://host:port/db and nothing after it", "?"+u.RawQuery, u.Scheme)
	case u.Scheme == "redis" && r.TLS != nil:
		return refuse("tls is set but the scheme is redis: write rediss://")
	}
	port, err := portOf(u)
	if err != nil {
		return refuse("%v", err)
	}
	db, err := database(u.Path)
	if err != nil {
		return refuse("%v", err)
	}
	return address{u.Hostname(), net.JoinHostPort(u.Hostname(), port), db, u.Scheme == "rediss"}, nil
}

func portOf(u *url.URL) (string, error) {
	port := u.Port()
	if port == "" {
		return "6379", nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %s is out of range: 1 to 65535", port)
	}
	return port, nil
}

func database(path string) (int, error) {
	name := strings.Trim(path, "/")
	if name == "" {
		return 0, nil
	}
	db, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is not a database number: write it as in redis://host:6379/0", name)
	}
	return int(db), nil
}
