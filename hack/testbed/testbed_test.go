package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/refold-dev/refold/hack/testbed/layout"
)

// These tests need root and the machine for themselves, so they run only when asked for: with REFOLD_TESTBED_TEST=cluster
// against the testbed that is up, with REFOLD_TESTBED_TEST=lifecycle against one that they make and remove.
const wanted = "REFOLD_TESTBED_TEST"

func TestClusterRunsRestrictedPods(t *testing.T) {
	if os.Getenv(wanted) != "cluster" {
		t.Skipf("%s is not cluster", wanted)
	}
	checkCluster(t, program(t))
}

func TestNothingIsLeftBehindWhateverCrashes(t *testing.T) {
	if os.Getenv(wanted) != "lifecycle" {
		t.Skipf("%s is not lifecycle", wanted)
	}
	bed := program(t)
	if state := runProgram(bed, "status"); state == nil {
		t.Fatal("a testbed is up; this test would remove it")
	}
	t.Cleanup(func() { _ = runProgram(bed, "down") })
	t.Run("down after a whole life", func(t *testing.T) {
		must(t, bed, "up")
		must(t, bed, "up")
		must(t, bed, "status")
		must(t, bed, "redis", "up")
		checkCluster(t, bed)
		expectGone(t, bed)
	})
	t.Run("up mends what was killed", func(t *testing.T) {
		must(t, bed, "up")
		killSome(t, 3)
		must(t, bed, "up")
		checkCluster(t, bed)
		expectGone(t, bed)
	})
	t.Run("down after parts were killed", func(t *testing.T) {
		must(t, bed, "up")
		checkCluster(t, bed)
		killSome(t, 4)
		expectGone(t, bed)
	})
	for _, after := range []time.Duration{100, 300, 700, 1500, 3000, 5000} {
		t.Run(fmt.Sprintf("down after up was killed at %d ms", after), func(t *testing.T) {
			command := exec.Command(bed, "up")
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(after * time.Millisecond)
			_ = command.Process.Kill()
			_ = command.Wait()
			expectGone(t, bed)
		})
	}
	t.Run("down twice", func(t *testing.T) { expectGone(t, bed) })
}

// killSome kills processes of the testbed at random, those inside the node's namespaces included.
func killSome(t *testing.T, count int) {
	t.Helper()
	strays := place().Processes().Strays()
	rand.Shuffle(len(strays), func(i, j int) { strays[i], strays[j] = strays[j], strays[i] })
	for _, stray := range strays[:min(count, len(strays))] {
		t.Logf("killing %s, %d", stray.Name, stray.PID)
		_ = syscall.Kill(stray.PID, syscall.SIGKILL)
	}
}

func expectGone(t *testing.T, bed string) {
	t.Helper()
	must(t, bed, "down")
	must(t, bed, "leaks")
}

// checkCluster runs two restricted pods, of which one reaches the other by the name of its Service, and looks at them in the
// ways that people do.
func checkCluster(t *testing.T, bed string) {
	t.Helper()
	loadProbe(t, bed)
	t.Cleanup(func() { _, _ = kubectl("delete", "namespace", "testbed-probe", "--ignore-not-found", "--wait=false") })
	expect(t, "", "apply", "-f", "testdata/probe.yaml")
	expect(t, "", "-n", "testbed-probe", "wait", "--for=condition=Ready", "pod/server", "--timeout=60s")
	expect(t, "", "-n", "testbed-probe", "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/client", "--timeout=60s")
	expect(t, "hello from the probe, /by-name", "-n", "testbed-probe", "logs", "client")
	expect(t, "hello from the probe, /own", "-n", "testbed-probe", "exec", "server", "--", "/probe", "get", "http://server.testbed-probe.svc.cluster.local/own")
	expect(t, "HTTP request to an HTTPS server", "-n", "testbed-probe", "exec", "server", "--", "/probe", "get", "http://kubernetes.default.svc.cluster.local:443/")
	checkHostReaches(t)
	checkPodReachesHost(t)
	checkPortForward(t)
}

func loadProbe(t *testing.T, bed string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "probe")
	build := exec.Command("go", "build", "-o", binary, "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	archive := binary + ".tar"
	must(t, bed, "image", "-o", archive, "-name", "refold.test/probe:testbed", binary)
	must(t, bed, "load", archive)
}

// checkHostReaches asks the pod and the Service from the host, as a test with a client of its own does.
func checkHostReaches(t *testing.T) {
	t.Helper()
	for _, query := range []string{"pod/server -o=jsonpath={.status.podIP}:8080", "service/server -o=jsonpath={.spec.clusterIP}:80"} {
		address, err := kubectl(append([]string{"-n", "testbed-probe", "get"}, strings.Fields(query)...)...)
		if err != nil {
			t.Fatalf("%v: %s", err, address)
		}
		expectHello(t, "http://"+address+"/from-host")
	}
}

// checkPodReachesHost gives a server on the host a name in the cluster, as the demo does with its Redis: by a Service without
// selector and an EndpointSlice.
func checkPodReachesHost(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", layout.OnBridge(0))
	if err != nil {
		t.Fatal(err)
	}
	host := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello from the host") })}
	go func() { _ = host.Serve(listener) }()
	defer func() { _ = host.Close() }()
	manifest := fmt.Sprintf(`{"apiVersion": "v1", "kind": "List", "items": [
		{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "host"}, "spec": {"ports": [{"port": 80, "targetPort": %[1]d}]}},
		{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
			"metadata": {"name": "host", "labels": {"kubernetes.io/service-name": "host"}},
			"endpoints": [{"addresses": [%[2]q]}], "ports": [{"port": %[1]d}]}
	]}`, listener.Addr().(*net.TCPAddr).Port, layout.BridgeAddress)
	file := filepath.Join(t.TempDir(), "host.json")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, "", "-n", "testbed-probe", "apply", "-f", file)
	expect(t, "hello from the host", "-n", "testbed-probe", "exec", "server", "--", "/probe", "get", "http://host/")
}

func checkPortForward(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	command := exec.CommandContext(ctx, kubectlPath(), "--kubeconfig", kubeconfig(), "-n", "testbed-probe", "port-forward", "pod/server", ":8080")
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(output).ReadString('\n')
	var port int
	if _, err := fmt.Sscanf(line, "Forwarding from 127.0.0.1:%d", &port); err != nil {
		t.Fatalf("port-forward said %q", line)
	}
	expectHello(t, fmt.Sprintf("http://127.0.0.1:%d/forwarded", port))
	cancel()
	_ = command.Wait()
}

func expectHello(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if body, _ := io.ReadAll(answer.Body); !strings.HasPrefix(string(body), "hello from the probe") {
		t.Errorf("%s answered %q", url, body)
	}
}

// expect runs kubectl and looks for a text in what it says.
func expect(t *testing.T, text string, args ...string) {
	t.Helper()
	output, err := kubectl(args...)
	if err != nil || !strings.Contains(output, text) {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, output)
	}
}

func kubectl(args ...string) (string, error) {
	output, err := exec.Command(kubectlPath(), append([]string{"--kubeconfig", kubeconfig()}, args...)...).CombinedOutput()
	return string(output), err
}

func kubeconfig() string { return place().AdminKubeconfig() }

func place() layout.Layout {
	folder, err := stateFolder()
	if err != nil {
		panic(err)
	}
	return layout.Layout{Folder: folder}
}

var kubectlPath = sync.OnceValue(func() string {
	assets, err := exec.Command("go", "run", ".", "assets").Output()
	if err != nil {
		return "kubectl"
	}
	return filepath.Join(strings.TrimSpace(string(assets)), "kubectl")
})

// program builds this command, as `go run` does.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "testbed")
	if output, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return path
}

func runProgram(bed string, args ...string) error {
	command := exec.Command(bed, args...)
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("testbed %s: %w: %s", strings.Join(args, " "), err, output)
	}
	return nil
}

func must(t *testing.T, bed string, args ...string) {
	t.Helper()
	began := time.Now()
	if err := runProgram(bed, args...); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %s", strings.Join(args, " "), time.Since(began).Round(10*time.Millisecond))
}
