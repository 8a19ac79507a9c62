package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Names of the PEM files in a server's directory.
const (
	caFile         = "ca.crt"
	serverCertFile = "server.crt"
	serverKeyFile  = "server.key"
	clientCertFile = "client.crt"
	clientKeyFile  = "client.key"
)

func clientFiles(dir string) (ca, cert, key string) {
	return filepath.Join(dir, caFile), filepath.Join(dir, clientCertFile), filepath.Join(dir, clientKeyFile)
}

// clientTLS is built from files that writeCertificates has just made; were one unreadable, the handshake would say so.
func clientTLS(dir string) *tls.Config {
	ca, cert, key := clientFiles(dir)
	roots := x509.NewCertPool()
	if content, err := os.ReadFile(ca); err == nil {
		roots.AppendCertsFromPEM(content)
	}
	made := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if pair, err := tls.LoadX509KeyPair(cert, key); err == nil {
		made.Certificates = []tls.Certificate{pair}
	}
	return made
}

// writeCertificates makes an authority, a server certificate for host, 127.0.0.1 and localhost, and a client certificate.
func writeCertificates(dir, host string) error {
	authority := &authority{template: template("refold test authority")}
	authority.template.IsCA = true
	authority.template.BasicConstraintsValid = true
	authority.template.KeyUsage = x509.KeyUsageCertSign
	if err := authority.write(dir, caFile); err != nil {
		return err
	}
	server := template("redis")
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.DNSNames = []string{"localhost"}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if address := net.ParseIP(host); address != nil {
		server.IPAddresses = append(server.IPAddresses, address)
	}
	if err := authority.issue(dir, server, serverCertFile, serverKeyFile); err != nil {
		return err
	}
	client := template("refold test client")
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return authority.issue(dir, client, clientCertFile, clientKeyFile)
}

type authority struct {
	template *x509.Certificate
	key      *ecdsa.PrivateKey
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func (a *authority) write(dir, certFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	a.key = key
	der, err := x509.CreateCertificate(rand.Reader, a.template, a.template, key.Public(), key)
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, certFile), "CERTIFICATE", der)
}

func (a *authority) issue(dir string, template *x509.Certificate, certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.template, key.Public(), a.key)
	if err != nil {
		return err
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, certFile), "CERTIFICATE", der); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, keyFile), "EC PRIVATE KEY", encoded)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
