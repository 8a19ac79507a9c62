package control

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/refold-dev/refold/hack/testbed/layout"
)

func TestTheServersCertificateIsGoodForEveryNameThatClientsUse(t *testing.T) {
	place := layout.Layout{Folder: t.TempDir()}
	if err := ensurePKI(place); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate(t, place, "ca"))
	for _, name := range []string{layout.ServiceOfAPI, layout.BridgeAddress, "localhost", "kubernetes.default.svc"} {
		options := x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: time.Now().Add(24 * time.Hour)}
		if _, err := certificate(t, place, "apiserver").Verify(options); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAClientOfTheAPIServerIsNoClientOfEtcd(t *testing.T) {
	place := layout.Layout{Folder: t.TempDir()}
	if err := ensurePKI(place); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate(t, place, "etcd-ca"))
	options := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := certificate(t, place, "etcd-client").Verify(options); err != nil {
		t.Errorf("the API server's own certificate: %v", err)
	}
	if _, err := certificate(t, place, "admin").Verify(options); err == nil {
		t.Error("the admin's certificate is good for etcd")
	}
}

func TestKeysAreMadeOnce(t *testing.T) {
	place := layout.Layout{Folder: t.TempDir()}
	var contents [2]string
	for i := range contents {
		if err := ensurePKI(place); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(place.Kubeconfig("admin"))
		if err != nil {
			t.Fatal(err)
		}
		contents[i] = string(content)
	}
	if contents[0] != contents[1] {
		t.Error("a second call changed the keys under a running cluster")
	}
	if !strings.Contains(contents[0], "server: https://"+layout.OnBridge(layout.APIPort)+"\n") {
		t.Errorf("the kubeconfig names no server:\n%s", contents[0])
	}
}

func certificate(t *testing.T, place layout.Layout, name string) *x509.Certificate {
	t.Helper()
	content, err := os.ReadFile(place.Cert(name))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	found, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
