package control

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	"github.com/refold-dev/refold/hack/testbed/layout"
)

const kubeconfigForm = `apiVersion: v1
kind: Config
clusters:
- name: refold-testbed
  cluster:
    server: https://%s
    certificate-authority-data: %s
users:
- name: %[3]s
  user:
    client-certificate-data: %[4]s
    client-key-data: %[5]s
contexts:
- name: refold-testbed
  context:
    cluster: refold-testbed
    user: %[3]s
current-context: refold-testbed
`

// writeKubeconfig holds keys and certificates themselves, so the file can be copied.
func writeKubeconfig(folder, name string) error {
	encoded := make([]any, 0, 3)
	for _, file := range []string{"ca.crt", name + ".crt", name + ".key"} {
		content, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			return err
		}
		encoded = append(encoded, base64.StdEncoding.EncodeToString(content))
	}
	content := fmt.Sprintf(kubeconfigForm, layout.OnBridge(layout.APIPort), encoded[0], name, encoded[1], encoded[2])
	return os.WriteFile(filepath.Join(folder, name+".kubeconfig"), []byte(content), 0o600)
}

// publishAdminKubeconfig puts the one for people where they look for it.
func publishAdminKubeconfig(place layout.Layout) error {
	content, err := os.ReadFile(place.Kubeconfig("admin"))
	if err != nil {
		return err
	}
	return os.WriteFile(place.AdminKubeconfig(), content, 0o600)
}
