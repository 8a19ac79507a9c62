package control

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/refold-dev/refold/hack/testbed/layout"
)

// clientSource makes a client when it is needed: the certificates may not exist before.
type clientSource func() (*http.Client, error)

func plain() clientSource {
	return func() (*http.Client, error) { return clientWith(nil), nil }
}

// trusting is for servers on loopback that made their certificate themselves and tell nothing but their health.
func trusting() clientSource {
	return func() (*http.Client, error) {
		return clientWith(&tls.Config{InsecureSkipVerify: true}), nil
	}
}

func clientOf(place layout.Layout, authority, identity string) clientSource {
	return func() (*http.Client, error) {
		pair, err := tls.LoadX509KeyPair(place.Cert(identity), place.Key(identity))
		if err != nil {
			return nil, err
		}
		content, err := os.ReadFile(place.Cert(authority))
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(content)
		return clientWith(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12}), nil
	}
}

// clientWith ignores the machine's proxy settings, since all it reaches is this machine.
func clientWith(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

// checkURL returns a check that is content with status 200.
func checkURL(url string, source clientSource) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := get(ctx, url, source)
		return err
	}
}

func get(ctx context.Context, url string, source clientSource) ([]byte, error) {
	client, err := source()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s: %.300s", url, answer.Status, body)
	}
	return body, nil
}

// NodeReady returns nil when the API server says that the node is ready.
func NodeReady(ctx context.Context, place layout.Layout) error {
	url := "https://" + layout.OnBridge(layout.APIPort) + "/api/v1/nodes/" + layout.NodeName
	body, err := get(ctx, url, clientOf(place, "ca", "admin"))
	if err != nil {
		return err
	}
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(body, &node); err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" {
			if condition.Status == "True" {
				return nil
			}
			return fmt.Errorf("the node is not ready: %s", condition.Message)
		}
	}
	return fmt.Errorf("the node has not reported yet")
}

// NamespaceUsable returns nil when a pod can be created in the namespace "default": its service account exists.
func NamespaceUsable(ctx context.Context, place layout.Layout) error {
	url := "https://" + layout.OnBridge(layout.APIPort) + "/api/v1/namespaces/default/serviceaccounts/default"
	_, err := get(ctx, url, clientOf(place, "ca", "admin"))
	return err
}
