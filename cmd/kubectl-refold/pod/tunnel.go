package pod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/projector/inspect/api"
)

// Tunnel leads to the inspect API of one pod. Dial opens a connection, and the
// tunnel when it is the first; it may be called by several at once. Close ends
// them all. Reading from a connection gives errRefused where nobody listens.
type Tunnel interface {
	Dial(ctx context.Context) (net.Conn, error)
	Close() error
}

// errRefused says that nobody listens in the pod.
var errRefused = errors.New("connection refused")

// portForward is a tunnel through the API server, as kubectl port-forward opens
// one, but for the local port: nobody else on this machine gets in.
func portForward(c *cli.Cluster, pod *corev1.Pod) Tunnel {
	request := c.Clientset.CoreV1().RESTClient().Post().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("portforward")
	return &forward{config: c.Config(), url: request.URL()}
}

type forward struct {
	config *rest.Config
	url    *url.URL

	mu         sync.Mutex
	connection httpstream.Connection
	requests   int
	denied     error // the API server's words, which the dialers do not hand on
}

// watched keeps why the API server refuses.
type watched struct {
	http.RoundTripper
	forward *forward
}

// RoundTrip implements http.RoundTripper.
func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.RoundTripper.RoundTrip(r)
	if err == nil && (response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusUnauthorized) {
		w.forward.denied = apierrors.NewGenericServerResponse(response.StatusCode, r.Method, corev1.Resource("pods/portforward"), "", "", 0, false)
	}
	return response, err
}

// Dial implements Tunnel.
func (f *forward) Dial(ctx context.Context) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.connection == nil {
		if err := f.connect(ctx); err != nil {
			return nil, err
		}
	}
	f.requests++
	return newConnection(f.connection, f.requests)
}

// connect opens the tunnel. The dialers know no context: one that ends is left to
// close what it was too late to stop.
func (f *forward) connect(ctx context.Context) error {
	dialer, err := f.dialer()
	if err != nil {
		return err
	}
	type dialled struct {
		connection httpstream.Connection
		err        error
	}
	done := make(chan dialled, 1)
	go func() {
		connection, protocol, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		if err == nil && protocol != portforward.PortForwardProtocolV1Name {
			_ = connection.Close()
			err = fmt.Errorf("the API server speaks %q, and not %s", protocol, portforward.PortForwardProtocolV1Name)
		}
		done <- dialled{connection, err}
	}()
	select {
	case d := <-done:
		f.connection = d.connection
		if d.err != nil && f.denied != nil {
			return f.denied
		}
		return d.err
	case <-ctx.Done():
		go func() {
			if late := <-done; late.err == nil {
				_ = late.connection.Close()
			}
		}()
		return ctx.Err()
	}
}

// dialer speaks WebSocket, and SPDY where the API server or a proxy on the way
// knows nothing else.
func (f *forward) dialer() (httpstream.Dialer, error) {
	transport, upgrader, err := spdy.RoundTripperFor(f.config)
	if err != nil {
		return nil, err
	}
	second := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: &watched{transport, f}}, http.MethodPost, f.url)
	first, err := portforward.NewSPDYOverWebsocketDialerForStreaming(f.url, f.config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(first, second, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// Close implements Tunnel.
func (f *forward) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.connection == nil {
		return nil
	}
	return f.connection.Close()
}

// podConnection is one connection through the tunnel. Beside the stream of data there is
// one on which the node says why it could not connect, or lost the connection.
type podConnection struct {
	httpstream.Stream
	connection httpstream.Connection
	errors     httpstream.Stream
	said       chan struct{} // closed when nothing more will be said
	problem    error         // valid then
}

func newConnection(connection httpstream.Connection, request int) (*podConnection, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(api.Port))
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.Itoa(request))
	errorStream, err := connection.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("open a connection to the pod: %w", err)
	}
	_ = errorStream.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := connection.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("open a connection to the pod: %w", err)
	}
	s := &podConnection{Stream: data, connection: connection, errors: errorStream, said: make(chan struct{})}
	go s.listen()
	return s, nil
}

// listen waits for what the node says. Then there is nothing more to be read.
func (s *podConnection) listen() {
	defer close(s.said)
	message, _ := io.ReadAll(s.errors)
	if len(message) == 0 {
		return
	}
	s.problem = errors.New(string(message))
	if strings.Contains(s.problem.Error(), errRefused.Error()) {
		s.problem = fmt.Errorf("%w: %s", errRefused, message)
	}
	_ = s.Reset()
}

// saidWithin is how long after the end of the data its cause may come.
const saidWithin = time.Second

func (s *podConnection) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if n > 0 || err == nil {
		return n, err
	}
	select {
	case <-s.said:
		if s.problem != nil {
			return 0, s.problem
		}
	case <-time.After(saidWithin):
	}
	return 0, err
}

// Close ends both directions, so that the projector stops to work for nobody.
func (s *podConnection) Close() error {
	err := s.Reset()
	s.connection.RemoveStreams(s.Stream, s.errors)
	return err
}

type podAddr struct{}

func (podAddr) Network() string { return "portforward" }
func (podAddr) String() string  { return "127.0.0.1:" + strconv.Itoa(api.Port) }

func (s *podConnection) LocalAddr() net.Addr              { return podAddr{} }
func (s *podConnection) RemoteAddr() net.Addr             { return podAddr{} }
func (s *podConnection) SetDeadline(time.Time) error      { return nil } // requests end with their context
func (s *podConnection) SetReadDeadline(time.Time) error  { return nil }
func (s *podConnection) SetWriteDeadline(time.Time) error { return nil }
