package node

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/refold-dev/refold/hack/testbed/layout"
)

// configuration is the content of each file below etc/. Values in capitals are filled in.
func (n Node) configuration() map[string]string {
	fill := strings.NewReplacer(
		"FOLDER", n.Place.Folder,
		"PKI", n.Place.Path("pki"),
		"SOCKET", n.Place.ContainerdSocket(),
		"CRUN", lookOr("crun", "/usr/bin/crun"),
		"SNAPSHOTTER", snapshotter(n.Place.Folder),
		"PAUSE_IMAGE", layout.PauseImage,
		"BRIDGE_ADDRESS", layout.BridgeAddress,
		"BRIDGE_NAME", layout.BridgeName,
		"POD_RANGE", layout.PodRange,
		"CLUSTER_DOMAIN", layout.ClusterDomain,
		"CGROUP_NAME", layout.CgroupName,
		"NODE_NAME", layout.NodeName,
		"KUBELET_PORT", strconv.Itoa(layout.KubeletPort),
		"KUBELET_HEALTH_PORT", strconv.Itoa(layout.KubeletHealthPort),
		"PROXY_HEALTH", layout.OnLoopback(layout.ProxyHealthPort),
		"PROXY_METRICS", layout.OnLoopback(layout.ProxyMetricsPort),
	)
	return map[string]string{
		"containerd.toml":        fill.Replace(containerdForm),
		"cni/10-refold.conflist": fill.Replace(cniForm),
		"kubelet.yaml":           fill.Replace(kubeletForm),
		"kube-proxy.yaml":        fill.Replace(proxyForm),
		"resolv.conf":            "",
	}
}

// containerdForm: crun, because Debian's runc 1.1 fails on new kernels; restrict_oom_score_adj, because a machine that is
// itself a container may not lower the score.
const containerdForm = `version = 2
root = "FOLDER/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = "SOCKET"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "PAUSE_IMAGE"
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "FOLDER/etc/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "SNAPSHOTTER"
default_runtime_name = "crun"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun.options]
BinaryName = "CRUN"
SystemdCgroup = false
`

// cniForm: no ipMasq, so that no iptables chain is made; nothing here leads outside.
const cniForm = `{
  "cniVersion": "0.4.0",
  "name": "refold-testbed",
  "plugins": [{
    "type": "bridge",
    "bridge": "BRIDGE_NAME",
    "isGateway": true,
    "hairpinMode": true,
    "ipMasq": false,
    "ipam": {
      "type": "host-local",
      "dataDir": "FOLDER/cni",
      "ranges": [[{"subnet": "POD_RANGE", "gateway": "BRIDGE_ADDRESS"}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}
`

// kubeletForm: images are loaded by hand and cannot be pulled again, so none is ever collected; the disk is the machine's
// own, so how full it is decides nothing.
const kubeletForm = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: BRIDGE_ADDRESS
port: KUBELET_PORT
healthzBindAddress: 127.0.0.1
healthzPort: KUBELET_HEALTH_PORT
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: PKI/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: PKI/kubelet.crt
tlsPrivateKeyFile: PKI/kubelet.key
clusterDomain: CLUSTER_DOMAIN
clusterDNS: [BRIDGE_ADDRESS]
resolvConf: FOLDER/etc/resolv.conf
containerRuntimeEndpoint: unix://SOCKET
podLogsDir: FOLDER/pod-logs
cgroupDriver: cgroupfs
cgroupRoot: /CGROUP_NAME
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
makeIPTablesUtilChains: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard:
  memory.available: 100Mi
  nodefs.available: 1%
  nodefs.inodesFree: 1%
  imagefs.available: 1%
  imagefs.inodesFree: 1%
registerNode: true
nodeStatusUpdateFrequency: 5s
shutdownGracePeriod: 0s
`

// proxyForm: masqueradeAll, because the answer of a pod to a pod crosses the bridge without passing the host's connection
// tracking, and would come from an address that the asker never spoke to. The machine's conntrack settings stay as they are.
const proxyForm = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: PKI/proxy.kubeconfig}
hostnameOverride: NODE_NAME
mode: nftables
nftables: {masqueradeAll: true, syncPeriod: 30s, minSyncPeriod: 0s}
clusterCIDR: POD_RANGE
bindAddress: BRIDGE_ADDRESS
healthzBindAddress: PROXY_HEALTH
metricsBindAddress: PROXY_METRICS
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`

// snapshotter is overlayfs wherever it can be: not when the folder is on an overlay itself, as inside a container.
func snapshotter(folder string) string {
	const overlayMagic = 0x794c7630
	var about syscall.Statfs_t
	if syscall.Statfs(folder, &about) == nil && about.Type == overlayMagic {
		return "native"
	}
	return "overlayfs"
}

func lookOr(program, otherwise string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	return otherwise
}
