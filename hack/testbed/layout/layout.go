// Package layout says where everything of the testbed is: files below its state folder, addresses and ports. It touches none.
package layout

import (
	"net"
	"path/filepath"
	"strconv"

	"github.com/refold-dev/refold/hack/testbed/proc"
)

// There is one testbed on a machine, so names and addresses are fixed. All of them are the machine's own: the bridge exists
// only here and leads nowhere else.
const (
	NodeName      = "refold-testbed"
	BridgeName    = "refold0"
	BridgeAddress = "10.231.0.1" // the host, as pods see it; API server, DNS and Redis listen here
	BridgePrefix  = BridgeAddress + "/24"
	PodRange      = "10.231.0.0/24"
	ServiceRange  = "10.232.0.0/24"
	ServiceOfAPI  = "10.232.0.1" // the Service "kubernetes": the first address of its range
	ClusterDomain = "cluster.local"
	CgroupName    = "refold-testbed"
	PauseImage    = "refold.test/pause:testbed"
)

// Ports on the bridge's address, and from EtcdPort on on loopback.
const (
	APIPort     = 6443
	KubeletPort = 10250
	RedisPort   = 6379

	EtcdPort              = 23790
	EtcdPeerPort          = 23800
	KubeletHealthPort     = 10248
	ProxyMetricsPort      = 10249
	ProxyHealthPort       = 10256
	ControllerManagerPort = 10257
	SchedulerPort         = 10259
	DNSHealthPort         = 18080
	DNSReadyPort          = 18181
)

// Loopback is where the testbed's own parts talk to each other.
const Loopback = "127.0.0.1"

// OnBridge is host:port of a server that pods reach.
func OnBridge(port int) string { return net.JoinHostPort(BridgeAddress, strconv.Itoa(port)) }

// OnLoopback is host:port of a server that only this machine reaches.
func OnLoopback(port int) string { return net.JoinHostPort(Loopback, strconv.Itoa(port)) }

// Layout is the files of one testbed.
type Layout struct {
	Folder string // absolute; everything the testbed writes is below it
}

// Path joins the folder and the given elements.
func (l Layout) Path(elements ...string) string {
	return filepath.Join(append([]string{l.Folder}, elements...)...)
}

// Processes is the set of the testbed's processes.
func (l Layout) Processes() proc.Set { return proc.Set{Folder: l.Folder} }

// PKI is a file below pki/, such as "ca.crt".
func (l Layout) PKI(file string) string { return l.Path("pki", file) }

// Cert and Key are the files of the named certificate.
func (l Layout) Cert(name string) string { return l.PKI(name + ".crt") }

// Key is the private key of the named certificate.
func (l Layout) Key(name string) string { return l.PKI(name + ".key") }

// Kubeconfig is the file with which the named part reaches the API server.
func (l Layout) Kubeconfig(name string) string { return l.PKI(name + ".kubeconfig") }

// AdminKubeconfig is the one for people and tests.
func (l Layout) AdminKubeconfig() string { return l.Path("kubeconfig") }

// Config is a configuration file of one part.
func (l Layout) Config(file string) string { return l.Path("etc", file) }

// ContainerdSocket is where containerd listens.
func (l Layout) ContainerdSocket() string { return l.Path("containerd.sock") }
