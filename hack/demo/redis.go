package main

import (
	"bufio"
	"context"
	_ "embed"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"text/template"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/install"
)

//go:embed redis-outside.yaml
var redisOutside string

//go:embed redis-inside.yaml
var redisInside string

// startRedis starts the demo's Redis and gives it the name redis.shop.svc:
// beside the testbed, where a Service without a selector leads to it, or
// inside a cluster of the caller's, as a Deployment.
func (d *demo) startRedis(ctx context.Context) error {
	addr, manifests := "", redisInside
	if d.cluster.Context == "" {
		out, err := exec.CommandContext(ctx, install.Testbed, "redis", "up").Output()
		if err != nil {
			return fmt.Errorf("start Redis: %w", err)
		}
		addr = strings.TrimSpace(string(out))
		if manifests, err = outsideManifests(addr); err != nil {
			return err
		}
	}
	if _, err := d.cluster.Apply(ctx, manifests); err != nil {
		return err
	}
	if d.cluster.Context != "" {
		var err error
		if addr, err = d.forwardRedis(ctx); err != nil {
			return err
		}
	}
	d.redis = redis.NewClient(&redis.Options{Addr: addr})
	return d.redis.Ping(ctx).Err()
}

func outsideManifests(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("`testbed redis up` said %q, not host:port: %w", addr, err)
	}
	var out strings.Builder
	err = template.Must(template.New("redis").Parse(redisOutside)).Execute(&out, map[string]string{"Host": host, "Port": port})
	return out.String(), err
}

var forwarded = regexp.MustCompile(`Forwarding from (127\.0\.0\.1:\d+)`)

// forwardRedis opens a port-forward that lives until d.stop.
func (d *demo) forwardRedis(ctx context.Context) (string, error) {
	if _, err := d.kubectl(ctx, "rollout", "status", "deployment/redis", "--timeout=120s"); err != nil {
		return "", err
	}
	cmd := d.cluster.KubectlCommand(ctx, "-n", namespace, "port-forward", "service/redis", ":6379")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	d.stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if m := forwarded.FindStringSubmatch(lines.Text()); m != nil {
			return m[1], nil
		}
	}
	return "", fmt.Errorf("port-forward to service/redis said nothing of an address")
}

func splitAddr(addr string) (host, port string) {
	host, port, _ = net.SplitHostPort(addr)
	return host, port
}
