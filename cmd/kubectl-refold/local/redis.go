package local

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/redisconn"
)

// Variables of the environment, for what must not stand on a command line.
const (
	urlVariable      = "REFOLD_REDIS_URL"
	passwordVariable = "REFOLD_REDIS_PASSWORD"
)

// server is the flags that name a Redis.
type server struct {
	url, username, passwordFile string
	ca, cert, key, name         string
}

func (s *server) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.url, "redis", "", "redis://host:port/database of the stream, if not as in the manifest; or $"+urlVariable)
	flags.StringVar(&s.username, "redis-username", "", "the user to log in as; the password is $"+passwordVariable)
	flags.StringVar(&s.passwordFile, "redis-password-file", "", "a file with the password")
	flags.StringVar(&s.ca, "redis-tls-ca", "", "a file with the authorities to trust, of a rediss:// server")
	flags.StringVar(&s.cert, "redis-tls-cert", "", "a file with the client's certificate")
	flags.StringVar(&s.key, "redis-tls-key", "", "a file with the certificate's key")
	flags.StringVar(&s.name, "redis-tls-server-name", "", "the name in the server's certificate, if not the host's")
}

// client dials nothing yet. The URL of the manifest counts where none is named.
func (s *server) client(manifest string) (*redis.Client, error) {
	address, access, err := s.access(manifest)
	if err != nil {
		return nil, err
	}
	client, err := redisconn.NewWith(redisconn.Source, address, access)
	if err != nil {
		return nil, cli.Usagef("--redis: %s", strings.TrimPrefix(err.Error(), "source.redis.url: "))
	}
	return client, nil
}

func (s *server) access(manifest string) (address string, access redisconn.Access, err error) {
	address = manifest
	for _, given := range []string{os.Getenv(urlVariable), s.url} {
		if given != "" {
			address = given
		}
	}
	access = redisconn.Access{Username: s.username, Password: os.Getenv(passwordVariable)}
	if s.passwordFile != "" {
		content, err := os.ReadFile(s.passwordFile)
		if err != nil {
			return "", access, cli.Failf("--redis-password-file: %v", err)
		}
		access.Password = strings.TrimRight(string(content), "\r\n")
	}
	if address, err = takeUser(address, &access); err != nil {
		return "", access, err
	}
	access.TLS, err = s.tls()
	return address, access, err
}

// takeUser takes user and password out of a URL, where no flag has named others.
func takeUser(address string, access *redisconn.Access) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", cli.Usagef("--redis is not a URL: write redis://host:port/database") // and not the URL: it may hold a password
	}
	if u.User == nil {
		return address, nil
	}
	if access.Username == "" {
		access.Username = u.User.Username()
	}
	if password, given := u.User.Password(); given && access.Password == "" {
		access.Password = password
	}
	u.User = nil
	return u.String(), nil
}

func (s *server) tls() (*tls.Config, error) {
	if s.ca == "" && s.cert == "" && s.key == "" && s.name == "" {
		return nil, nil
	}
	config := &tls.Config{ServerName: s.name, MinVersion: tls.VersionTLS12}
	if s.ca != "" {
		content, err := os.ReadFile(s.ca)
		if err != nil {
			return nil, cli.Failf("--redis-tls-ca: %v", err)
		}
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(content) {
			return nil, cli.Failf("--redis-tls-ca: %s holds no PEM certificate", s.ca)
		}
	}
	if (s.cert == "") != (s.key == "") {
		return nil, cli.Usagef("--redis-tls-cert and --redis-tls-key go together")
	}
	if s.cert != "" {
		pair, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return nil, cli.Failf("--redis-tls-cert: %v", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// serverError says what an error of a server means to who has flags and no
// manifest's Secrets.
func serverError(err error) error {
	f := fault.As(err)
	if f == nil {
		return err
	}
	message := f.Message
	if f.EventID != "" {
		message = "event " + f.EventID + ": " + message
	}
	hint := f.Remedy
	switch f.Reason {
	case contract.ReasonAuthenticationFailed:
		hint = "log in with --redis-username and $" + passwordVariable + ", or --redis-password-file"
	case contract.ReasonPermissionDenied:
		hint = "the user needs +xread, +xinfo|stream, +select and +ping, and the stream's key"
	case contract.ReasonTLSFailed:
		hint = "rediss:// speaks TLS and redis:// does not; --redis-tls-ca names whom to trust, --redis-tls-server-name another name, --redis-tls-cert and --redis-tls-key a certificate to show"
	case contract.ReasonSourceUnreachable:
		hint = "is the server up, and is it reached from here? --redis names another one"
	case contract.ReasonSourceMissing:
		hint = "does the URL name the right database, and source.stream the right key?"
	}
	return &cli.Error{Code: cli.ExitFailed, Message: message, Hint: hint, Err: err}
}
