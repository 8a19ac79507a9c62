//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refold-dev/refold/hack/testbed/redis"
)

func secret(w *world, password string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: redis, namespace: %s}\nstringData: {password: %q}\n", w.namespace, password)
}

func TestASecretThatIsMissingThenWrongThenRightHealsTheProjector(t *testing.T) {
	w := newWorld(t, redis.Password("correct-horse"))
	w.orders(10, 1)
	w.project(options{extraSource: "credentialsSecretRef: {name: redis}"})
	message := w.awaitCondition("Stalled", "CredentialsMissing")
	if !strings.Contains(message, "redis") || !strings.Contains(message, "password") {
		t.Errorf("the message does not name Secret and key: %s", message)
	}
	w.apply(secret(w, "wrong"))
	t.Log(w.awaitCondition("Stalled", "AuthenticationFailed"))
	pods := w.pods()
	w.apply(secret(w, "correct-horse"))
	w.awaitReady()
	w.awaitHash("user:0", map[string]string{"orders": "10", "spent": "10"})
	if got := w.pods(); !slices.Equal(got, pods) {
		t.Errorf("it healed with another pod: %v, was %v", got, pods)
	}
	for _, out := range []string{w.kubectl("get", "projections", "-o", "yaml"), w.kubectl("get", "events", "-o", "yaml"), w.kubectl("get", "configmaps", "-o", "yaml")} {
		if strings.Contains(out, "correct-horse") {
			t.Error("the password is shown")
		}
	}
}

func TestAStreamThatIsNotThereYetIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.project(options{})
	w.await(60*time.Second, "SourceMissing", func() bool {
		return w.get("projection/users", `{.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].reason}`) == "False SourceMissing"
	})
	w.orders(10, 1)
	w.awaitReady()
	w.awaitHash("user:0", map[string]string{"orders": "10", "spent": "10"})
}

func TestAnEventThatCannotBeFoldedHaltsRightBeforeIt(t *testing.T) {
	w := newWorld(t)
	w.orders(10, 1)
	w.project(options{})
	w.awaitReady()
	bad := w.xadd("type", "OrderPlaced", "id", "0", "cents", "ten")
	w.orders(10, 1)
	message := w.awaitCondition("Stalled", "EventFailed")
	if !strings.Contains(message, bad) {
		t.Errorf("the message does not name event %s: %s", bad, message)
	}
	w.awaitHash("user:0", map[string]string{"orders": "10", "spent": "10"})
}

func TestHistoryThatIsTrimmedPastThePositionHalts(t *testing.T) {
	w := newWorld(t)
	w.orders(10, 1)
	w.project(options{})
	w.awaitReady()
	w.project(options{extraSpec: "suspend: true"})
	w.await(60*time.Second, "no pod is left", func() bool { return len(w.pods()) == 0 })
	w.orders(10, 1)
	w.client.XTrimMaxLen(context.Background(), "user_events", 5)
	w.project(options{})
	t.Log(w.awaitCondition("Stalled", "HistoryLost"))
	w.awaitHash("user:0", map[string]string{"orders": "10", "spent": "10"})
}

func TestAKeyThatIsNotOursIsNotTouched(t *testing.T) {
	w := newWorld(t)
	w.client.HSet(context.Background(), "user:0", "owner", "somebody else")
	w.orders(10, 1)
	w.project(options{})
	if message := w.awaitCondition("Stalled", "NotOwned"); !strings.Contains(message, "user:0") {
		t.Errorf("the message does not name the key: %s", message)
	}
	w.awaitHash("user:0", map[string]string{"owner": "somebody else"})
	w.client.Del(context.Background(), "user:0")
	w.awaitReady()
	w.awaitHash("user:0", map[string]string{"orders": "10", "spent": "10"})
}

func TestChildrenThatAreDeletedByHandComeBack(t *testing.T) {
	w := newWorld(t)
	w.orders(10, 1)
	w.project(options{})
	w.awaitReady()
	revision := w.get("projection/users", "{.status.activeRevision}")
	w.kubectl("delete", "deployments,configmaps", "-l", "refold.dev/projection=users")
	w.client.XGroupDestroy(context.Background(), "user_events", "refold:"+w.namespace+"/users:"+revision)
	w.await(60*time.Second, "a Deployment", func() bool { return w.get("deployments", "{.items[*].metadata.name}") != "" })
	w.orders(10, 1)
	w.awaitHash("user:0", map[string]string{"orders": "20", "spent": "20"})
	w.awaitReady()
	w.await(30*time.Second, "the group is back", func() bool { return len(w.groups()) == 1 })
}

func TestTheOperatorKilledAtAnyTimeConverges(t *testing.T) {
	w := newWorldAlone(t)
	w.orders(100, 1)
	for i, spec := range []string{"", "suspend: true", "", "projector: {podLabels: {a: b}}"} {
		w.project(options{extraSpec: spec})
		time.Sleep(time.Duration(i*300) * time.Millisecond)
		if _, err := cluster.Kubectl(context.Background(), "", "-n", "refold-system", "delete", "pod", "--all", "--force", "--grace-period=0"); err != nil {
			t.Fatal(err)
		}
	}
	w.orders(100, 1)
	w.awaitHash("user:0", map[string]string{"orders": "200", "spent": "200"})
	w.awaitReady()
}

func TestDeletionEndsWithRedisAway(t *testing.T) {
	w := newWorld(t)
	w.orders(10, 1)
	w.project(options{policy: "Delete"})
	w.awaitReady()
	w.server.Kill()
	w.kubectl("delete", "projection", "users", "--wait=false")
	w.await(150*time.Second, "the finalizer says that Redis is away", func() bool {
		out, err := w.try("get", "projection", "users", "-o", "jsonpath={.status.conditions}")
		return err == nil && strings.Contains(out, "refold.dev/abandon")
	})
	w.kubectl("annotate", "projection", "users", "refold.dev/abandon=true")
	w.await(60*time.Second, "the Projection is gone", func() bool {
		out, err := w.try("get", "projections", "-o", "name")
		return err == nil && out == ""
	})
	if events := w.kubectl("get", "events"); !strings.Contains(events, "left behind") {
		t.Errorf("no event lists what was left behind:\n%s", events)
	}
}

func TestANamespaceIsDeletedWithRedisAway(t *testing.T) {
	w := newWorld(t)
	w.orders(10, 1)
	w.project(options{policy: "Delete"})
	w.awaitReady()
	w.server.Kill()
	// The world's own clean-up deletes the namespace and fails if it does not go.
}

func TestBadManifestsAreAnsweredBeforeAnyPodStarts(t *testing.T) {
	w := newWorld(t)
	t.Run("refused at admission", func(t *testing.T) {
		bad := strings.Replace(w.manifest(options{}), "redis://redis", "redis://user:secret@redis", 1)
		_, err := cluster.Apply(context.Background(), bad)
		if err == nil || !strings.Contains(err.Error(), "credentialsSecretRef") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a rule that does not compile", func(t *testing.T) {
		w.project(options{rules: "\n    - on: [UserCreated]\n      set: {email: evnt.email}"})
		message := w.awaitCondition("Stalled", "InvalidReducer")
		if !strings.Contains(message, "rules[0]") || !strings.Contains(message, "evnt") {
			t.Errorf("got %s", message)
		}
		if pods := w.pods(); len(pods) != 0 {
			t.Errorf("pods: %v", pods)
		}
		w.xadd("type", "UserCreated", "id", "0", "email", "a@example.com")
		w.project(options{})
		w.awaitReady()
	})
}
