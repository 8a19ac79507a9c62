package redisconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

// dialer makes connections whose errors name the server as the manifest does.
type dialer struct {
	tls   bool
	host  string
	files *contract.TLS
	given *tls.Config // in place of files
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	plain := net.Dialer{Timeout: DialTimeout, KeepAlive: 30 * time.Second}
	raw, err := plain.DialContext(ctx, network, addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: server(addr), Err: err}
	}
	if !d.tls {
		return &conn{Conn: raw, addr: server(addr), plain: true}, nil
	}
	config, err := d.config()
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	asked := new(bool)
	config.GetClientCertificate = answer(config.Certificates, asked)
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, &net.OpError{Op: "dial", Net: network, Addr: server(addr), Err: &handshakeError{err}}
	}
	return &conn{Conn: secure, addr: server(addr), asked: asked}, nil
}

// answer shows our certificate, if there is one, and notes that it was asked for.
func answer(ours []tls.Certificate, asked *bool) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		*asked = true
		if len(ours) == 0 {
			return &tls.Certificate{}, nil
		}
		return &ours[0], nil
	}
}

// config is built from the files for each connection.
func (d *dialer) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: d.host}
	if d.given != nil {
		config.RootCAs, config.Certificates = d.given.RootCAs, d.given.Certificates
		config.ServerName = cmp.Or(d.given.ServerName, d.host)
	}
	if d.files == nil {
		return config, nil
	}
	if d.files.ServerName != "" {
		config.ServerName = d.files.ServerName
	}
	var err error
	if d.files.CADir != "" {
		if config.RootCAs, err = d.roots(); err != nil {
			return nil, err
		}
	}
	if d.files.CertDir != "" {
		if config.Certificates, err = d.certificates(); err != nil {
			return nil, err
		}
	}
	return config, nil
}

func (d *dialer) roots() (*x509.CertPool, error) {
	content, err := readKey(d.files.CASecretName, d.files.CADir, caKey)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, badCertificate(d.files.CASecretName, "key ca.crt of Secret %s holds no PEM certificate", nil)
	}
	return roots, nil
}

func (d *dialer) certificates() ([]tls.Certificate, error) {
	cert, err := readKey(d.files.CertSecretName, d.files.CertDir, certKey)
	if err != nil {
		return nil, err
	}
	key, err := readKey(d.files.CertSecretName, d.files.CertDir, privateKey)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, badCertificate(d.files.CertSecretName, "tls.crt and tls.key of Secret %s are no pair of a PEM certificate and its key", err)
	}
	return []tls.Certificate{pair}, nil
}

func badCertificate(secret, format string, err error) error {
	return &fault.Error{
		Reason:    contract.ReasonTLSFailed,
		Message:   fmt.Sprintf(format, secret),
		Remedy:    "correct the Secret " + secret + "; it is picked up without a restart",
		Permanent: true,
		Err:       err,
	}
}

// handshakeError marks what went wrong while TLS was set up.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "tls handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// server is host:port as the manifest names it, not what it resolved to.
type server string

func (s server) Network() string { return "tcp" }
func (s server) String() string  { return string(s) }
