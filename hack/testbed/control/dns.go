package control

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/refold-dev/refold/hack/testbed/layout"
	"github.com/refold-dev/refold/hack/testbed/part"
	"github.com/refold-dev/refold/hack/testbed/proc"
)

// dnsUser is who CoreDNS is to the API server.
const dnsUser = "testbed:dns"

// DNSRules lets CoreDNS see what it answers from. Upstream has no rule of its own for it.
const DNSRules = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: ` + dnsUser + `
rules:
- apiGroups: [""]
  resources: [services, namespaces, pods]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: ` + dnsUser + `
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: ` + dnsUser + `
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: User
  name: ` + dnsUser + `
`

// DNS is CoreDNS, a process of the host: as a pod it would need a second image and start later. It is ready only once it may
// read Services, which DNSRules grants.
func (p Plane) DNS() part.Part {
	return part.Part{
		URL: "dns://" + layout.OnBridge(53),
		Spec: proc.Spec{
			Name: "coredns",
			Path: filepath.Join(p.CoreDNS, "coredns"),
			Args: []string{"-conf", p.Place.Config("Corefile")},
		},
		Check: checkURL("http://"+layout.OnLoopback(layout.DNSReadyPort)+"/ready", plain()),
		Grace: time.Second,
	}
}

// corefile answers for the cluster's own names and addresses and refuses all others: nothing here leads outside. Answers are
// kept for a second only, as a test that moves an endpoint wants to see it moved.
func (p Plane) corefile() string {
	return fmt.Sprintf(`%[1]s in-addr.arpa ip6.arpa {
    bind %[2]s
    errors
    health %[3]s
    ready %[4]s
    kubernetes %[1]s in-addr.arpa ip6.arpa {
        kubeconfig %[5]s
        pods insecure
        ttl 1
    }
    cache 1
}
`, layout.ClusterDomain, layout.BridgeAddress, layout.OnLoopback(layout.DNSHealthPort),
		layout.OnLoopback(layout.DNSReadyPort), p.Place.Kubeconfig("dns"))
}
