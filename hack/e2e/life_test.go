//go:build e2e

package e2e

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAProjectionIsKeptUpAndThenAtRest(t *testing.T) {
	w := newWorld(t)
	w.xadd("type", "UserCreated", "id", "1", "email", "a@example.com")
	w.orders(1000, 1)
	w.project(options{})
	w.awaitReady()
	w.awaitHash("user:0", map[string]string{"orders": "1000", "spent": "1000"})
	w.awaitHash("user:1", map[string]string{"id": "1", "email": "a@example.com"})

	last := w.xadd("type", "EmailUpdated", "id", "1", "email", "b@example.com")
	w.awaitHash("user:1", map[string]string{"id": "1", "email": "b@example.com"})
	w.await(30*time.Second, "status shows the last ID", func() bool {
		return w.get("projection/users", "{.status.lastAckedID} {.status.lagEvents} {.status.lagSeconds} {.status.events}") == last+" 0 0 1002"
	})

	t.Run("the consumer group shows no lag", func(t *testing.T) {
		revision := w.get("projection/users", "{.status.activeRevision}")
		w.await(10*time.Second, "acked", func() bool {
			groups := w.groups()
			return len(groups) == 1 && groups[0].Name == "refold:"+w.namespace+"/users:"+revision && groups[0].Lag == 0 && groups[0].LastDeliveredID == last
		})
	})
	t.Run("in steady state nothing is written and nothing restarts", func(t *testing.T) {
		versions := func() string {
			return w.get("projections,deployments,configmaps,pods", `{range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
		}
		time.Sleep(12 * time.Second) // the last write of lag and position
		before := versions()
		time.Sleep(25 * time.Second)
		if after := versions(); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	})
	t.Run("kubectl get tells the story in a line", func(t *testing.T) {
		out := w.kubectl("get", "projections", "-o", "wide")
		for _, want := range []string{"READY", "LAST-ACKED", "LAG", "STREAM", "user_events", last, "True"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in:\n%s", want, out)
			}
		}
		t.Logf("\n%s\n%s", out, w.kubectl("describe", "projection", "users"))
	})
}

func TestAForceDeletedProjectorIsReplacedAndNothingIsFoldedTwice(t *testing.T) {
	w := newWorld(t)
	w.orders(2000, 4)
	w.project(options{})
	w.awaitReady()
	for range 3 {
		w.orders(2000, 4)
		w.kubectl("delete", "pod", "-l", "refold.dev/projection=users", "--force", "--grace-period=0")
		w.orders(2000, 4)
	}
	for i := range 4 {
		w.awaitHash("user:"+strconv.Itoa(i), map[string]string{"orders": "3500", "spent": "3500"})
	}
}

func TestSuspendKeepsThePosition(t *testing.T) {
	w := newWorld(t)
	w.orders(100, 1)
	w.project(options{})
	w.awaitReady()
	position := w.get("projection/users", "{.status.lastAckedID}")
	w.project(options{extraSpec: "suspend: true"})
	w.await(60*time.Second, "no pod is left", func() bool { return len(w.pods()) == 0 })
	w.orders(100, 1)
	if got := w.get("projection/users", "{.status.lastAckedID}"); got != position {
		t.Errorf("lastAckedID is %s, was %s", got, position)
	}
	w.project(options{})
	w.awaitHash("user:0", map[string]string{"orders": "200", "spent": "200"})
	w.awaitReady()
}

func TestAChangeOfLabelsRollsThePodAndFoldsNothingTwice(t *testing.T) {
	w := newWorld(t)
	w.orders(500, 1)
	w.project(options{})
	w.awaitReady()
	before := w.pods()
	w.project(options{extraSpec: "projector: {podLabels: {team: shop}, resources: {limits: {memory: 300Mi}}}"})
	w.await(60*time.Second, "another pod", func() bool {
		pods := w.pods()
		return len(pods) == 1 && !slices.Equal(pods, before)
	})
	w.awaitReady()
	w.orders(500, 1)
	w.awaitHash("user:0", map[string]string{"orders": "1000", "spent": "1000"})
}

func TestDeletionFollowsItsPolicy(t *testing.T) {
	tests := map[string]struct {
		policy string
		kept   bool
	}{
		"Retain leaves the read model and takes the rest": {"Retain", true},
		"Delete takes all": {"Delete", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.client.HSet(context.Background(), "user:foreign", "owner", "somebody else")
			w.orders(300, 3)
			w.project(options{policy: tc.policy})
			w.awaitReady()
			w.kubectl("delete", "projection", "users", "--timeout=90s")
			hash := w.client.HGetAll(context.Background(), "user:1").Val()
			if tc.kept != (hash["orders"] == "100") {
				t.Errorf("user:1 is %v", hash)
			}
			if keys := w.keys(); !tc.kept && !slices.Equal(keys, []string{"user:foreign"}) {
				t.Errorf("left behind: %v", keys)
			}
			if groups := w.groups(); len(groups) != 0 {
				t.Errorf("left behind: %v", groups)
			}
			w.await(60*time.Second, "no child is left", func() bool {
				return strings.TrimSpace(w.get("deployments,pods,jobs", "{.items[*].metadata.name}")) == ""
			})
			if tc.kept {
				w.orders(300, 3)
				w.project(options{policy: tc.policy})
				w.awaitReady()
				w.awaitHash("user:1", map[string]string{"orders": "200", "spent": "200"})
			}
		})
	}
}
