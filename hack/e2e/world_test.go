//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/testbed/redis"
)

// world is one test's namespace, its Redis and a client to it.
type world struct {
	t         *testing.T
	namespace string
	server    *redis.Server
	client    *goredis.Client
}

// newWorld is newWorldAlone for a test that leaves the others in peace and runs
// beside them.
func newWorld(t *testing.T, options ...redis.Option) *world {
	t.Helper()
	t.Parallel()
	return newWorldAlone(t, options...)
}

// newWorldAlone makes a namespace under restricted Pod Security in which a real
// Redis of its own is reached as redis:6379. Both go with the test.
func newWorldAlone(t *testing.T, options ...redis.Option) *world {
	t.Helper()
	server := redis.Start(t, append([]redis.Option{redis.Bind(hostAddress)}, options...)...)
	w := &world{
		t:         t,
		namespace: "e2e-" + strconv.FormatInt(time.Now().UnixNano()%1e12, 36),
		server:    server,
		client:    goredis.NewClient(&goredis.Options{Addr: server.Addr(), Password: server.Password(), TLSConfig: server.TLSConfig()}),
	}
	t.Cleanup(w.remove)
	w.apply(fmt.Sprintf(namespaceManifest, w.namespace, w.namespace, server.Port(), w.namespace, server.Port(), server.Host()))
	return w
}

const namespaceManifest = `
apiVersion: v1
kind: Namespace
metadata:
  name: %s
  labels: {pod-security.kubernetes.io/enforce: restricted}
---
apiVersion: v1
kind: Service
metadata: {name: redis, namespace: %s}
spec:
  ports: [{name: redis, port: 6379, targetPort: %d}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: redis
  namespace: %s
  labels: {kubernetes.io/service-name: redis}
addressType: IPv4
ports: [{name: redis, port: %d}]
endpoints: [{addresses: ["%s"]}]
`

// remove deletes the namespace; a failed test first says what it saw.
func (w *world) remove() {
	if w.t.Failed() {
		for _, args := range [][]string{{"describe", "projections"}, {"get", "all,cm"}, {"logs", "-l", "refold.dev/projection", "--tail=40"}} {
			out, err := w.try(args...)
			w.t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		out, err := cluster.Kubectl(context.Background(), "", "-n", "refold-system", "logs", "deployment/refold-manager", "--tail=60")
		w.t.Logf("manager: %v\n%s", err, out)
	}
	if out, err := cluster.Kubectl(context.Background(), "", "delete", "namespace", w.namespace, "--timeout=120s"); err != nil {
		w.t.Errorf("the namespace does not go: %v\n%s", err, out)
	}
	_ = w.client.Close()
}

// options vary the manifest of a Projection.
type options struct {
	name, prefix, policy, extraSource, extraSpec, rules string
}

const defaultRules = `
    - on: [UserCreated]
      set: {id: event.id, email: event.email}
    - on: [EmailUpdated]
      set: {email: event.email}
    - on: [OrderPlaced]
      add: {orders: "1", spent: int(event.cents)}
    - on: [UserDeleted]
      delete: true`

func (w *world) project(o options) {
	w.t.Helper()
	w.apply(w.manifest(o))
}

func (w *world) manifest(o options) string {
	def := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return value
	}
	return fmt.Sprintf(`
apiVersion: refold.dev/v1alpha1
kind: Projection
metadata: {name: %s, namespace: %s}
spec:
  deletionPolicy: %s
  source:
    redis:
      url: redis://redis.%s.svc:6379/0
      %s
    stream: user_events
  reducer:
    type: Rules
    key: event.id
    rules:%s
  readModel:
    fields:
    - {name: id, type: String}
    - {name: email, type: String}
    - {name: orders, type: Integer}
    - {name: spent, type: Integer}
    redisHash: {keyPrefix: "%s"}
  %s
`, def(o.name, "users"), w.namespace, def(o.policy, "Retain"), w.namespace, o.extraSource, def(o.rules, defaultRules), def(o.prefix, "user:"), o.extraSpec)
}

func (w *world) apply(manifest string) {
	w.t.Helper()
	if _, err := cluster.Apply(context.Background(), manifest); err != nil {
		w.t.Fatal(err)
	}
}

// try is kubectl in the world's namespace.
func (w *world) try(args ...string) (string, error) {
	return cluster.Kubectl(context.Background(), "", append([]string{"-n", w.namespace}, args...)...)
}

func (w *world) kubectl(args ...string) string {
	w.t.Helper()
	out, err := w.try(args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// get is one jsonpath of an object.
func (w *world) get(object, jsonpath string) string {
	w.t.Helper()
	return w.kubectl("get", object, "-o", "jsonpath="+jsonpath)
}

func (w *world) awaitReady() {
	w.t.Helper()
	w.kubectl("wait", "--for=condition=Ready", "projection/users", "--timeout=150s")
}

// awaitCondition waits until a condition of projection users is True with that reason.
func (w *world) awaitCondition(condition, reason string) (message string) {
	w.t.Helper()
	w.await(150*time.Second, condition+"="+reason, func() bool {
		out := w.get("projection/users", fmt.Sprintf(`{.status.conditions[?(@.type=="%s")].status} {.status.conditions[?(@.type=="%s")].reason}`, condition, condition))
		return out == "True "+reason
	})
	return w.get("projection/users", fmt.Sprintf(`{.status.conditions[?(@.type=="%s")].message}`, condition))
}

func (w *world) await(limit time.Duration, what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(300 * time.Millisecond) {
		if holds() {
			return
		}
	}
	w.t.Fatalf("not within %s: %s", limit, what)
}

// xadd appends one event and returns its ID.
func (w *world) xadd(values ...any) string {
	w.t.Helper()
	id, err := w.client.XAdd(context.Background(), &goredis.XAddArgs{Stream: "user_events", Values: values}).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// orders appends n OrderPlaced events of one cent for each of the users.
func (w *world) orders(n, users int) {
	w.t.Helper()
	ctx := context.Background()
	_, err := w.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i := range n {
			p.XAdd(ctx, &goredis.XAddArgs{Stream: "user_events", Values: []any{"type", "OrderPlaced", "id", strconv.Itoa(i % users), "cents", "1"}})
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// awaitHash waits until a hash is exactly want.
func (w *world) awaitHash(key string, want map[string]string) {
	w.t.Helper()
	var got map[string]string
	for deadline := time.Now().Add(120 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		got = w.client.HGetAll(context.Background(), key).Val()
		if maps.Equal(got, want) {
			return
		}
	}
	w.t.Fatalf("%s is %v, want %v", key, got, want)
}

// pods are the UIDs of the projector's pods that are not on their way out.
func (w *world) pods() []string {
	w.t.Helper()
	return strings.Fields(w.get("pods", `{range .items[*]}{.metadata.uid}{" "}{end}`))
}

// keys are all of Redis' keys but the stream.
func (w *world) keys() []string {
	w.t.Helper()
	all, err := w.client.Keys(context.Background(), "*").Result()
	if err != nil {
		w.t.Fatal(err)
	}
	var rest []string
	for _, key := range all {
		if key != "user_events" {
			rest = append(rest, key)
		}
	}
	return rest
}

func (w *world) groups() []goredis.XInfoGroup {
	w.t.Helper()
	groups, err := w.client.XInfoGroups(context.Background(), "user_events").Result()
	if err != nil {
		w.t.Fatal(err)
	}
	return groups
}
