// Package control makes the control plane: etcd, the API server, the controllers, the scheduler and the cluster's DNS, with
// the keys and certificates for all of them.
//
// It says how each is started and what healthy means; package part does the starting.
package control

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/refold-dev/refold/hack/testbed/layout"
	"github.com/refold-dev/refold/hack/testbed/part"
	"github.com/refold-dev/refold/hack/testbed/proc"
)

// Plane is the control plane of one testbed.
type Plane struct {
	Place      layout.Layout
	Kubernetes string // folder of the programs, see package build
	Etcd       string
	CoreDNS    string
}

// Prepare writes keys, kubeconfigs and configuration. It may be called again at any time.
func (p Plane) Prepare() error {
	if err := ensurePKI(p.Place); err != nil {
		return err
	}
	if err := publishAdminKubeconfig(p.Place); err != nil {
		return err
	}
	if err := os.MkdirAll(p.Place.Path("etc"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(p.Place.Config("Corefile"), []byte(p.corefile()), 0o600)
}

// Store is etcd. It does not wait for the disk: a testbed that loses power is made anew.
func (p Plane) Store() part.Part {
	url := "https://" + layout.OnLoopback(layout.EtcdPort)
	peer := "http://" + layout.OnLoopback(layout.EtcdPeerPort)
	return part.Part{
		URL: url,
		Spec: proc.Spec{
			Name: "etcd",
			Path: filepath.Join(p.Etcd, "etcd"),
			Args: []string{
				"--name=testbed", "--data-dir=" + p.Place.Path("etcd"), "--unsafe-no-fsync",
				"--listen-client-urls=" + url, "--advertise-client-urls=" + url,
				"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=testbed=" + peer,
				"--cert-file=" + p.Place.Cert("etcd"), "--key-file=" + p.Place.Key("etcd"),
				"--trusted-ca-file=" + p.Place.Cert("etcd-ca"), "--client-cert-auth", "--log-level=warn",
			},
		},
		Check: checkURL(url+"/health", clientOf(p.Place, "etcd-ca", "etcd-client")),
		Grace: 5 * time.Second,
	}
}

// APIServer is kube-apiserver, on the bridge so that pods reach it through the Service "kubernetes".
func (p Plane) APIServer() part.Part {
	url := "https://" + layout.OnBridge(layout.APIPort)
	return part.Part{
		URL: url,
		Spec: proc.Spec{
			Name: "kube-apiserver",
			Path: filepath.Join(p.Kubernetes, "kube-apiserver"),
			Args: []string{
				"--bind-address=" + layout.BridgeAddress, "--advertise-address=" + layout.BridgeAddress,
				"--secure-port=" + strconv.Itoa(layout.APIPort),
				"--etcd-servers=https://" + layout.OnLoopback(layout.EtcdPort), "--etcd-cafile=" + p.Place.Cert("etcd-ca"),
				"--etcd-certfile=" + p.Place.Cert("etcd-client"), "--etcd-keyfile=" + p.Place.Key("etcd-client"),
				"--client-ca-file=" + p.Place.Cert("ca"), "--cert-dir=" + p.Place.Path("pki"),
				"--tls-cert-file=" + p.Place.Cert("apiserver"), "--tls-private-key-file=" + p.Place.Key("apiserver"),
				"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
				"--service-cluster-ip-range=" + layout.ServiceRange,
				"--service-account-issuer=https://kubernetes.default.svc." + layout.ClusterDomain,
				"--service-account-key-file=" + p.Place.PKI("service-accounts.pub"),
				"--service-account-signing-key-file=" + p.Place.PKI("service-accounts.key"),
				"--kubelet-certificate-authority=" + p.Place.Cert("ca"), "--kubelet-preferred-address-types=InternalIP",
				"--kubelet-client-certificate=" + p.Place.Cert("apiserver-to-kubelet"),
				"--kubelet-client-key=" + p.Place.Key("apiserver-to-kubelet"),
				"--requestheader-client-ca-file=" + p.Place.Cert("proxy-ca"), "--requestheader-allowed-names=nobody",
				"--profiling=false", "--shutdown-delay-duration=0s",
			},
		},
		Check: checkURL(url+"/readyz", clientOf(p.Place, "ca", "admin")),
		Grace: 3 * time.Second,
	}
}

// Controllers is kube-controller-manager.
func (p Plane) Controllers() part.Part {
	url := "https://" + layout.OnLoopback(layout.ControllerManagerPort)
	return part.Part{
		URL: url,
		Spec: proc.Spec{
			Name: "kube-controller-manager",
			Path: filepath.Join(p.Kubernetes, "kube-controller-manager"),
			Args: append(p.clientArgs("controller-manager", layout.ControllerManagerPort),
				"--use-service-account-credentials=true", "--root-ca-file="+p.Place.Cert("ca"),
				"--service-account-private-key-file="+p.Place.PKI("service-accounts.key"),
				"--cluster-signing-cert-file="+p.Place.Cert("ca"), "--cluster-signing-key-file="+p.Place.Key("ca")),
		},
		Check: checkURL(url+"/healthz", trusting()),
		Grace: 2 * time.Second,
	}
}

// Scheduler is kube-scheduler.
func (p Plane) Scheduler() part.Part {
	url := "https://" + layout.OnLoopback(layout.SchedulerPort)
	return part.Part{
		URL: url,
		Spec: proc.Spec{
			Name: "kube-scheduler",
			Path: filepath.Join(p.Kubernetes, "kube-scheduler"),
			Args: p.clientArgs("scheduler", layout.SchedulerPort),
		},
		Check: checkURL(url+"/healthz", trusting()),
		Grace: 2 * time.Second,
	}
}

// clientArgs are those that a controller of the API server needs. There is one of each, so none is elected, and none has to
// hold back: at upstream's limit the controllers take three seconds longer to start.
func (p Plane) clientArgs(identity string, port int) []string {
	kubeconfig := p.Place.Kubeconfig(identity)
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + layout.Loopback, "--secure-port=" + strconv.Itoa(port), "--leader-elect=false",
		"--kube-api-qps=500", "--kube-api-burst=1000", "--profiling=false",
	}
}
