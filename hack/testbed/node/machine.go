package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/refold-dev/refold/hack/testbed/layout"
)

// tables are those of kube-proxy in nftables mode.
var tables = []string{"ip kube-proxy", "ip6 kube-proxy"}

// settings are the kernel settings that the kubelet, kube-proxy or the bridge plugin change.
var settings = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/route_localnet",
}

// machine is how this machine was before the testbed changed it.
type machine struct {
	Settings map[string]string `json:"settings"`
}

// ClaimMachine takes note of what will be changed, before anything is, and makes the bridge. It refuses a machine on which
// another testbed or another cluster's kube-proxy is at work.
func ClaimMachine(place layout.Layout) error {
	if _, err := os.Stat(notes(place)); errors.Is(err, os.ErrNotExist) {
		if foreign := Traces(); len(foreign) > 0 {
			return fmt.Errorf("another cluster is on this machine, which this one must not touch: %s", strings.Join(foreign, ", "))
		}
		if err := takeNotes(place); err != nil {
			return err
		}
	}
	return ensureBridge()
}

// ReleaseMachine undoes what the testbed changed. It touches nothing on a machine that was not claimed, unless the caller
// knows that the testbed ran: then the state folder was removed by hand, and only the settings' former values are lost.
func ReleaseMachine(place layout.Layout, ran bool) error {
	content, err := os.ReadFile(notes(place))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err != nil && !ran {
		return nil
	}
	problem := errors.Join(removeTables(), removeBridge(), RemoveCgroups())
	if err != nil {
		return problem
	}
	var before machine
	if err := json.Unmarshal(content, &before); err != nil {
		return errors.Join(problem, err)
	}
	return errors.Join(problem, before.restore())
}

// Traces lists what on this machine's network bears a name that the testbed uses.
func Traces() []string {
	var found []string
	if hasBridge() {
		found = append(found, "interface "+layout.BridgeName)
	}
	for _, table := range presentTables() {
		found = append(found, "nftables table "+table)
	}
	return found
}

func notes(place layout.Layout) string { return place.Path("machine.json") }

func takeNotes(place layout.Layout) error {
	now := machine{Settings: map[string]string{}}
	for _, setting := range settings {
		if content, err := os.ReadFile(filepath.Join("/proc/sys", setting)); err == nil {
			now.Settings[setting] = strings.TrimSpace(string(content))
		}
	}
	content, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		return err
	}
	partial := notes(place) + ".partial"
	if err := os.WriteFile(partial, content, 0o600); err != nil {
		return err
	}
	return os.Rename(partial, notes(place))
}

// restore writes only what differs: some settings reset others when written.
func (m machine) restore() error {
	var failed error
	for _, setting := range settings {
		path := filepath.Join("/proc/sys", setting)
		current, err := os.ReadFile(path)
		before, known := m.Settings[setting]
		if err != nil || !known || strings.TrimSpace(string(current)) == before {
			continue
		}
		failed = errors.Join(failed, os.WriteFile(path, []byte(before), 0o644))
	}
	return failed
}

// ensureBridge makes the bridge ahead of the first pod, since the API server listens on its address. Its hardware address is
// set so that it does not change with the pods that come and go.
func ensureBridge() error {
	if !hasBridge() {
		if err := run("ip", "link", "add", layout.BridgeName, "address", "02:52:45:46:4f:4c", "type", "bridge"); err != nil {
			return err
		}
	}
	if err := run("ip", "address", "replace", layout.BridgePrefix, "dev", layout.BridgeName); err != nil {
		return err
	}
	return run("ip", "link", "set", layout.BridgeName, "up")
}

// removeBridge removes the bridge and the pods' links to it, most of which have gone with the pods.
func removeBridge() error {
	if !hasBridge() {
		return nil
	}
	ports, _ := filepath.Glob(filepath.Join("/sys/class/net", layout.BridgeName, "brif", "*"))
	for _, port := range ports {
		_ = run("ip", "link", "delete", filepath.Base(port)) // may be going by itself at this moment
	}
	return run("ip", "link", "delete", layout.BridgeName)
}

func hasBridge() bool {
	_, err := net.InterfaceByName(layout.BridgeName)
	return err == nil
}

func removeTables() error {
	var failed error
	for _, table := range presentTables() {
		failed = errors.Join(failed, run("nft", append([]string{"delete", "table"}, strings.Fields(table)...)...))
	}
	return failed
}

func presentTables() []string {
	output, err := exec.Command("nft", "list", "tables").Output()
	if err != nil {
		return nil
	}
	var present []string
	for _, table := range tables {
		if strings.Contains(string(output), "table "+table+"\n") {
			present = append(present, table)
		}
	}
	return present
}

func run(program string, args ...string) error {
	output, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
