package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/refold-dev/refold/projector/contract"
)

// StatusReader asks the projector in a pod for its status. Read blocks for a few
// seconds at most, is safe for concurrent use and retries nothing. It fails when
// what answers is not a projector that speaks this version.
type StatusReader interface {
	Read(ctx context.Context, pod *corev1.Pod) (contract.Status, error)
}

const (
	statuszTimeout = 2 * time.Second
	statuszLimit   = 1 << 20
)

// HTTPStatusReader reads /statusz from the pod's own address.
type HTTPStatusReader struct{ client *http.Client }

// NewHTTPStatusReader returns a reader that follows no proxy and no redirect.
func NewHTTPStatusReader() *HTTPStatusReader {
	return &HTTPStatusReader{client: &http.Client{
		Timeout:       statuszTimeout,
		Transport:     &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Read implements StatusReader.
func (r *HTTPStatusReader) Read(ctx context.Context, pod *corev1.Pod) (contract.Status, error) {
	if pod.Status.PodIP == "" {
		return contract.Status{}, fmt.Errorf("the pod has no address yet")
	}
	return r.get(ctx, "http://"+net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(contract.Port))+contract.StatuszPath)
}

func (r *HTTPStatusReader) get(ctx context.Context, url string) (contract.Status, error) {
	var status contract.Status
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return status, fmt.Errorf("ask projector: %w", err)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return status, fmt.Errorf("ask projector: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return status, fmt.Errorf("ask projector: it answers %s", response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, statuszLimit)).Decode(&status); err != nil {
		return status, fmt.Errorf("decode the projector's status: %w", err)
	}
	if status.Version != contract.Version {
		return status, fmt.Errorf("the projector speaks version %d of the contract, not %d", status.Version, contract.Version)
	}
	return status, nil
}
