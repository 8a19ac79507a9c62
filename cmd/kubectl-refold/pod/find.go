package pod

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/resources"
)

// target is the projector that is asked.
type target struct {
	*cli.Cluster
	projection *v1alpha1.Projection
	revision   string
	pod        *corev1.Pod
}

func (t *target) name() string { return t.projection.Name }

// command is one of kubectl refold about the same Projection.
func (t *target) command(verb string) string {
	return fmt.Sprintf("kubectl refold %s -n %s %s", verb, t.projection.Namespace, t.projection.Name)
}

// locate finds the projector of a revision; of the active one if none is named.
func (c *commands) locate(ctx context.Context, name, revision string) (*target, error) {
	in, p, err := c.find(ctx, c.Factory, name)
	if err != nil {
		return nil, err
	}
	t := &target{Cluster: in, projection: p, revision: revision}
	if err := t.choose(); err != nil {
		return nil, err
	}
	pods := &corev1.PodList{}
	err = in.Client.List(ctx, pods, client.InNamespace(p.Namespace), client.MatchingLabels(resources.SelectorLabels(p.Name, t.revision, resources.Projector)))
	if err != nil {
		return nil, in.Explain(cli.Request{Verb: "list", Resource: "pods", Namespace: p.Namespace}, err)
	}
	if t.pod = running(pods.Items); t.pod == nil {
		return nil, t.absent(pods.Items)
	}
	return t, nil
}

// choose decides whose projector is meant.
func (t *target) choose() error {
	status := &t.projection.Status
	var names []string
	for _, r := range status.Revisions {
		names = append(names, r.Name)
	}
	switch {
	case t.revision == "":
		if t.revision = status.ActiveRevision; t.revision != "" {
			return nil
		}
		err := cli.Failf("nothing of %s is published yet: %s", t.name(), t.standing())
		if len(names) > 0 {
			return err.WithHint("--revision %s asks the projector that builds it", names[0])
		}
		return err.WithHint("%s says more", t.command("status"))
	case t.revision == status.ActiveRevision, slices.Contains(names, t.revision):
		return nil
	}
	err := cli.Failf("%s has no revision %q", t.name(), t.revision)
	if len(names) == 0 {
		return err.WithHint("%s says how it stands", t.command("status"))
	}
	return err.WithHint("%s", cli.DidYouMean(cli.Close(t.revision, names), "there are: "+strings.Join(names, ", ")))
}

// standing is what the operator says about the Projection.
func (t *target) standing() string {
	if ready := meta.FindStatusCondition(t.projection.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return ready.Reason + ": " + ready.Message
	}
	return "the operator has not seen it yet"
}

// running is a pod that can be asked: one that is ready, else one that runs.
func running(pods []corev1.Pod) (found *corev1.Pod) {
	for i := range pods {
		pod := &pods[i]
		if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning || !isUp(pod) {
			continue
		}
		if found == nil || isReady(pod) && !isReady(found) {
			found = pod
		}
	}
	return found
}

func isUp(pod *corev1.Pod) bool {
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Running == nil {
			return false
		}
	}
	return true
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// absent says why there is nobody to ask, and what to do.
func (t *target) absent(pods []corev1.Pod) error {
	ready := meta.FindStatusCondition(t.projection.Status.Conditions, v1alpha1.ConditionReady)
	state := t.state()
	switch {
	case len(pods) > 0:
		pod := pods[0]
		return cli.Failf("the projector of revision %s does not run: pod %s is %s", t.revision, pod.Name, podState(&pod)).
			WithHint("%s says more, and kubectl logs -n %s %s what it said last", t.command("status"), pod.Namespace, pod.Name)
	case t.projection.Spec.Suspend:
		return cli.Failf("%s is suspended: no projector runs that could be asked", t.name()).
			WithHint("%s lets it run again", t.command("resume"))
	case ready != nil && ready.Reason == v1alpha1.ReasonCompleted:
		return cli.Failf("%s is complete, so its projector has ended: nobody is there to be asked", t.name()).
			WithHint("kubectl refold fold reads the log without a projector")
	case state != "":
		return cli.Failf("no projector of revision %s runs: it is %s", t.revision, state).WithHint("%s says more", t.command("status"))
	}
	return cli.Failf("no projector of revision %s runs: %s", t.revision, t.standing()).WithHint("%s says more", t.command("status"))
}

// state is that of a revision that is not active.
func (t *target) state() v1alpha1.RevisionState {
	for _, r := range t.projection.Status.Revisions {
		if r.Name == t.revision && r.State != v1alpha1.RevisionActive {
			return r.State
		}
	}
	return ""
}

// podState is why a pod cannot be asked, as kubectl get pods puts it.
func podState(pod *corev1.Pod) string {
	if pod.DeletionTimestamp != nil {
		return "Terminating"
	}
	for _, c := range pod.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil:
			return c.State.Waiting.Reason
		case c.State.Terminated != nil:
			return c.State.Terminated.Reason
		}
	}
	return string(pod.Status.Phase)
}

// knowsInspect tells whether the operator has asked the pod's projector to answer.
func knowsInspect(pod *corev1.Pod) bool {
	for _, c := range pod.Spec.Containers {
		for _, arg := range c.Args {
			if arg == "--inspect" || strings.HasPrefix(arg, "--inspect=") {
				return true
			}
		}
	}
	return false
}
