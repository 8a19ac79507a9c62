package control

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/refold-dev/refold/hack/testbed/layout"
)

// validity is longer than any testbed stands.
const validity = 5 * 365 * 24 * time.Hour

// identity is a certificate to issue: a user and its groups for a client, names and addresses for a server.
type identity struct {
	file   string
	user   string
	groups []string
	names  []string
	ips    []string
}

// identities of the cluster's authority. The users and groups are those that upstream's own RBAC rules name.
var identities = []identity{
	{
		file: "apiserver", user: "kube-apiserver",
		names: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc." + layout.ClusterDomain,
		},
		ips: []string{layout.ServiceOfAPI, layout.BridgeAddress, layout.Loopback},
	},
	{file: "kubelet", user: "system:node:" + layout.NodeName, names: []string{layout.NodeName}, ips: []string{layout.BridgeAddress}},
	{file: "apiserver-to-kubelet", user: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}},
	{file: "admin", user: "testbed-admin", groups: []string{"system:masters"}},
	{file: "controller-manager", user: "system:kube-controller-manager"},
	{file: "scheduler", user: "system:kube-scheduler"},
	{file: "node", user: "system:node:" + layout.NodeName, groups: []string{"system:nodes"}},
	{file: "proxy", user: "system:kube-proxy"},
	{file: "dns", user: dnsUser},
}

// etcdIdentities are of an authority of their own, so that no client of the API server is one of etcd.
var etcdIdentities = []identity{
	{file: "etcd", user: "etcd", ips: []string{layout.Loopback}},
	{file: "etcd-client", user: "kube-apiserver"},
}

// kubeconfigs are the identities that reach the API server by a kubeconfig.
var kubeconfigs = []string{"admin", "controller-manager", "scheduler", "node", "proxy", "dns"}

// ensurePKI makes all keys, certificates and kubeconfigs, once for a testbed. They appear all at once.
func ensurePKI(place layout.Layout) error {
	folder := place.Path("pki")
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	partial := folder + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := os.MkdirAll(partial, 0o700); err != nil {
		return err
	}
	if err := issueAll(partial); err != nil {
		return err
	}
	return os.Rename(partial, folder)
}

func issueAll(folder string) error {
	if err := issueGroup(folder, "ca", identities); err != nil {
		return err
	}
	if err := issueGroup(folder, "etcd-ca", etcdIdentities); err != nil {
		return err
	}
	// No API server stands behind this one, so nobody has a certificate of this authority; the controllers look for it.
	if err := issueGroup(folder, "proxy-ca", nil); err != nil {
		return err
	}
	if err := writeServiceAccountKeys(folder); err != nil {
		return err
	}
	for _, name := range kubeconfigs {
		if err := writeKubeconfig(folder, name); err != nil {
			return err
		}
	}
	return nil
}

func issueGroup(folder, name string, identities []identity) error {
	issuer, err := newAuthority(folder, name)
	if err != nil {
		return err
	}
	for _, identity := range identities {
		if err := issuer.issue(folder, identity); err != nil {
			return err
		}
	}
	return nil
}

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(folder, name string) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	template := newTemplate("refold-testbed-" + name)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign
	made := authority{certificate: template, key: key}
	return made, made.sign(folder, name, template, key)
}

func (a authority) issue(folder string, wanted identity) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := newTemplate(wanted.user)
	template.Subject.Organization = wanted.groups
	template.DNSNames = wanted.names
	for _, ip := range wanted.ips {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(wanted.ips) > 0 {
		// etcd's gateway shows its server certificate as a client too.
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	return a.sign(folder, wanted.file, template, key)
}

func (a authority) sign(folder, file string, template *x509.Certificate, key *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return err
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(folder, file+".crt"), "CERTIFICATE", der); err != nil {
		return err
	}
	return writePEM(filepath.Join(folder, file+".key"), "EC PRIVATE KEY", encoded)
}

// writeServiceAccountKeys writes the pair with which service account tokens are signed and checked.
func writeServiceAccountKeys(folder string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(folder, "service-accounts.key"), "EC PRIVATE KEY", private); err != nil {
		return err
	}
	return writePEM(filepath.Join(folder, "service-accounts.pub"), "PUBLIC KEY", public)
}

func newTemplate(commonName string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
