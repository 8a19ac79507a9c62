//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/refold-dev/refold/hack/testbed/redis"
)

func TestMutualTLSWithCertificatesFromSecrets(t *testing.T) {
	w := newWorld(t, redis.MutualTLS())
	secretOf := func(name string, files map[string]string) {
		t.Helper()
		args := []string{"create", "secret", "generic", name}
		for key, path := range files {
			args = append(args, fmt.Sprintf("--from-file=%s=%s", key, path))
		}
		w.kubectl(args...)
	}
	manifest := strings.Replace(w.manifest(options{
		extraSource: "tls: {caSecretRef: {name: authority}, certSecretRef: {name: client}, serverName: localhost}",
	}), "redis://", "rediss://", 1)

	secretOf("client", map[string]string{"tls.crt": w.server.CertFile, "tls.key": w.server.KeyFile})
	foreign := t.TempDir() + "/ca.crt"
	content, err := os.ReadFile(w.server.CertFile) // a certificate, but no authority of the server's
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(foreign, content, 0o600); err != nil {
		t.Fatal(err)
	}
	secretOf("authority", map[string]string{"ca.crt": foreign})
	w.orders(10, 1)
	w.apply(manifest)
	if message := w.awaitCondition("Stalled", "TLSFailed"); !strings.Contains(message, "caSecretRef") {
		t.Errorf("the message does not say what to do: %s", message)
	}
	w.kubectl("delete", "secret", "authority")
	secretOf("authority", map[string]string{"ca.crt": w.server.CAFile})
	w.awaitReady()
	w.awaitHash("user:0", map[string]string{"orders": "10", "spent": "10"})
}
