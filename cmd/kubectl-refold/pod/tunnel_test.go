package pod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// node is what stands behind the API server's port-forward, which here speaks
// SPDY alone.
type node struct {
	backend string // "" where nobody listens in the pod
	mu      sync.Mutex
	asked   []string // method, path and user of each request
	status  int      // in place of a tunnel
	open    sync.WaitGroup
}

func (n *node) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.asked = append(n.asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
	n.mu.Unlock()
	switch {
	case n.status != 0:
		out.Header().Set("Content-Type", "application/json")
		out.WriteHeader(n.status)
		_ = json.NewEncoder(out).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: int32(n.status), Reason: metav1.StatusReasonForbidden, Message: "no"})
		return
	case r.Method != http.MethodPost:
		http.Error(out, "no WebSocket here", http.StatusBadRequest)
		return
	}
	if _, err := httpstream.Handshake(r, out, []string{portforward.PortForwardProtocolV1Name}); err != nil {
		return
	}
	streams := make(chan httpstream.Stream, 10)
	connection := spdy.NewResponseUpgrader().UpgradeResponse(out, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		streams <- s
		return nil
	})
	if connection == nil {
		return
	}
	defer connection.Close()
	pairs := map[string]map[string]httpstream.Stream{} // they come in any order
	for {
		select {
		case s := <-streams:
			request := s.Headers().Get(corev1.PortForwardRequestIDHeader)
			if pairs[request] == nil {
				pairs[request] = map[string]httpstream.Stream{}
			}
			pair := pairs[request]
			if pair[s.Headers().Get(corev1.StreamType)] = s; len(pair) == 2 {
				n.open.Go(func() { n.forward(pair[corev1.StreamTypeError], pair[corev1.StreamTypeData]) })
			}
		case <-connection.CloseChan():
			return
		}
	}
}

// forward is what a node does for a pair of streams.
func (n *node) forward(errorStream, data httpstream.Stream) {
	defer data.Close()
	defer errorStream.Close()
	if port := data.Headers().Get(corev1.PortHeader); port != "8081" || n.backend == "" {
		fmt.Fprintf(errorStream, "error forwarding port %s to pod: dial tcp4 127.0.0.1:%s: connect: connection refused", port, port)
		return
	}
	conn, err := net.Dial("tcp", n.backend)
	if err != nil {
		return
	}
	defer conn.Close()
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]io.ReadWriter{{conn, data}, {data, conn}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}

// through is a client whose connections go through a real port-forward.
func through(t *testing.T, n *node) (*http.Client, Tunnel) {
	t.Helper()
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL, BearerToken: "secret"}
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	request := clientset.CoreV1().RESTClient().Post().Namespace("shop").Resource("pods").Name("p").SubResource("portforward")
	tunnel := &forward{config: config, url: request.URL()}
	t.Cleanup(func() { _ = tunnel.Close() })
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return tunnel.Dial(ctx) },
	}}, tunnel
}

func get(ctx context.Context, client *http.Client) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:8081/v1/info", http.NoBody)
	if err != nil {
		return nil, err
	}
	return client.Do(request)
}

func TestRequestsGoThroughOnePortForward(t *testing.T) {
	gone := make(chan struct{})
	pod := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(out, strings.Repeat(r.Host, 100_000))
		if r.Header.Get("Wait") != "" {
			_ = http.NewResponseController(out).Flush()
			<-r.Context().Done()
			close(gone)
		}
	}))
	defer pod.Close()
	n := &node{backend: pod.Listener.Addr().String()}
	client, tunnel := through(t, n)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			response, err := get(t.Context(), client)
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || len(body) != 100_000*len("127.0.0.1:8081")+1 {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		})
	}
	all.Wait()
	const path = "/api/v1/namespaces/shop/pods/p/portforward Bearer secret"
	if len(n.asked) != 2 || n.asked[0] != "GET "+path || n.asked[1] != "POST "+path {
		t.Errorf("WebSocket is tried once, then SPDY: %q", n.asked)
	}

	ctx, cancel := context.WithCancel(t.Context())
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:8081/", http.NoBody)
	request.Header.Set("Wait", "yes")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = response.Body.Close()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the pod is not told that nobody waits any more")
	}
	if err := tunnel.Close(); err != nil {
		t.Error(err)
	}
	n.open.Wait()
}

func TestWhereNobodyListensThatIsKnown(t *testing.T) {
	client, _ := through(t, &node{})
	response, err := get(t.Context(), client)
	if err == nil {
		_ = response.Body.Close()
	}
	if !errors.Is(err, errRefused) {
		t.Errorf("%v", err)
	}
}

func TestWhoMayNotPortForwardIsTold(t *testing.T) {
	client, _ := through(t, &node{status: http.StatusForbidden})
	response, err := get(t.Context(), client)
	if err == nil {
		_ = response.Body.Close()
	}
	if !apierrors.IsForbidden(rootOf(err)) {
		t.Errorf("%v", err)
	}
}

func TestATunnelThatDoesNotOpenIsGivenUp(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	config := &rest.Config{Host: "http://" + silent.Addr().String()}
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	tunnel := &forward{config: config, url: clientset.CoreV1().RESTClient().Post().URL()}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := tunnel.Dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
