package redisconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

func (s Side) unreachable() string {
	if s == ReadModel {
		return contract.ReasonReadModelUnreachable
	}
	return contract.ReasonSourceUnreachable
}

// network says what an error between us and the server means; nil when it is
// none.
func network(side Side, err error) *fault.Error {
	place := side.String()
	var op *net.OpError
	if errors.As(err, &op) {
		if named, ok := op.Addr.(server); ok {
			place += " at " + string(named)
		}
	}
	if errors.Is(err, errProtected) {
		return &fault.Error{
			Reason:  contract.ReasonPermissionDenied,
			Message: place + ": it is in protected mode: having no password, it serves only its own host",
			Remedy: fmt.Sprintf("give it a password (requirepass, or an ACL user) and name that in %s.credentialsSecretRef; or, in a closed network, CONFIG SET protected-mode no. The next try picks it up",
				side.field()),
			Permanent: true, Err: err,
		}
	}
	if why, remedy := tlsTrouble(side, err); why != "" {
		return &fault.Error{Reason: contract.ReasonTLSFailed, Message: place + ": " + why, Remedy: remedy, Permanent: true, Err: err}
	}
	if why, remedy := away(side, err); why != "" {
		return &fault.Error{Reason: side.unreachable(), Message: place + ": " + why, Remedy: remedy, Err: err}
	}
	return nil
}

// tlsTrouble says what is wrong between two ends that cannot agree on TLS.
func tlsTrouble(side Side, err error) (why, remedy string) {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		roots     x509.SystemRootsError
		record    tls.RecordHeaderError
		op        *net.OpError
	)
	switch field := side.field(); {
	case errors.Is(err, errSpeaksTLS):
		return "it speaks TLS, and the URL says not to", fmt.Sprintf("write rediss:// in %s.url", field)
	case errors.Is(err, errCertificate):
		return "it asked for a client certificate and hung up", fmt.Sprintf("name a Secret with a certificate that the server accepts in %s.tls.certSecretRef", field)
	case errors.As(err, &record):
		return "it does not speak TLS, and the URL says to", fmt.Sprintf("write redis:// in %s.url, or name its TLS port", field)
	case errors.As(err, &authority), errors.As(err, &roots):
		return "its certificate is signed by an authority that is not trusted here",
			fmt.Sprintf("put the authority's certificate as ca.crt into a Secret and name that in %s.tls.caSecretRef", field)
	case errors.As(err, &name):
		return "its certificate is for another name", fmt.Sprintf("set %s.tls.serverName to a name that stands in the certificate, or correct the host in %s.url", field, field)
	case errors.As(err, &invalid):
		return "its certificate is not valid: " + invalidity(invalid), "renew the server's certificate"
	case errors.As(err, &op) && isAlert(err):
		return "it refuses the TLS connection: " + alertText(err), fmt.Sprintf("name a Secret with a certificate that the server accepts in %s.tls.certSecretRef", field)
	}
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return "its certificate cannot be verified", "renew the server's certificate"
	}
	return "", ""
}

func invalidity(err x509.CertificateInvalidError) string {
	if err.Reason == x509.Expired {
		return "expired or not valid yet" // the library's text has the time of day in it
	}
	return err.Error()
}

// isAlert tells an alert that the other end sent; the library wraps it so.
func isAlert(err error) bool {
	return alertText(err) != ""
}

func alertText(err error) string {
	var op *net.OpError
	for errors.As(err, &op) {
		if op.Op == "remote error" {
			return op.Err.Error()
		}
		err = op.Err
	}
	return ""
}

// away says why a server cannot be reached.
func away(side Side, err error) (why, remedy string) {
	const wait = "; it tries again by itself"
	var (
		dns       *net.DNSError
		handshake *handshakeError
		op        *net.OpError
	)
	within := errors.As(err, &op) // a context's end by itself is not the server's fault
	switch field := side.field(); {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the host is unknown", fmt.Sprintf("correct the host in %s.url, or create its Service%s", field, wait)
	case errors.As(err, &dns):
		return "the host's name cannot be looked up", "look at the cluster's DNS" + wait
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the port is closed", fmt.Sprintf("start the server, or correct the port in %s.url%s", field, wait)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to the host", fmt.Sprintf("look at the network and at the host in %s.url%s", field, wait)
	case errors.As(err, &handshake) && (timedOut(err) || hungUp(err)):
		return "it does not answer the TLS handshake", fmt.Sprintf("if that port does not speak TLS, write redis:// in %s.url; else look at the server%s", field, wait)
	case within && timedOut(err):
		return "it did not answer in time", "look at the server, its load and network policies" + wait
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return "no connection became free in time", "look at the server's load" + wait
	case errors.Is(err, errMute):
		return "it hung up before it said anything", fmt.Sprintf("if that port speaks TLS, write rediss:// in %s.url; if the server has no password, it may be in protected mode; else look at its log%s", field, wait)
	case hungUp(err):
		return "the connection was lost", "nothing, unless it stays: then look at the server's log" + wait
	case within:
		return "the connection failed", "look at the network and the projector's log" + wait
	}
	return "", ""
}

func timedOut(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT)
}

func hungUp(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}
