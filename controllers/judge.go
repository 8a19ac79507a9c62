package controllers

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// judge says what the pass comes to, if no phase before has: from the Deployment
// over the pod to the projector, the first that is not as it should be speaks.
func (r *Reconciler) judge(_ context.Context, s *scope) (ctrl.Result, error) {
	if s.verdict != nil {
		return ctrl.Result{}, nil
	}
	deployment := s.deployment(resources.DeploymentName(s.projection.Name, s.decision.Run))
	pod := newestPod(s.projectorPods(s.decision.Run))
	s.judgeDeployment(deployment)
	if pod == nil {
		s.progress(s.startReason(), "the projector's pod is being started")
		return ctrl.Result{}, nil
	}
	r.judgePod(s, pod)
	s.judgeRollout(deployment)
	s.judgeProjector()
	return ctrl.Result{}, nil
}

// startReason tells a first start from the replacement of a pod.
func (s *scope) startReason() string {
	if s.stateOf(s.decision.Run) == v1alpha1.RevisionActive {
		return v1alpha1.ReasonRollingProjectors
	}
	return v1alpha1.ReasonStarting
}

func (s *scope) judgeDeployment(deployment *appsv1.Deployment) {
	if deployment == nil {
		s.progress(s.startReason(), "the projector's Deployment is being made")
		return
	}
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			s.say(podRefused(condition.Message))
		}
	}
}

// judgePod speaks where the pod explains why its projector does not.
func (r *Reconciler) judgePod(s *scope, pod *corev1.Pod) {
	_, answers := s.readings[s.decision.Run]
	if answers {
		return
	}
	if problem := podProblem(pod); problem != nil {
		s.say(*problem)
		return
	}
	if !containerRuns(pod) {
		s.progress(s.startReason(), "the projector's container is being started")
		return
	}
	if r.blip(s, pod) {
		s.say(lastVerdict(s.before))
		return
	}
	v := verdict{Type: v1alpha1.ConditionReconciling, Reason: v1alpha1.ReasonStatusUnavailable, Fault: !young(r, pod),
		Message: "the projector runs but does not answer on /statusz. If this stays, see whether a NetworkPolicy keeps the operator from port 8080 of the pod, and the pod's log."}
	s.say(v)
}

const (
	blipTolerance = 30 * time.Second
	startup       = 30 * time.Second
)

// blip tells whether an unanswered question may be passed over: the projector was
// well a moment ago, and the kubelet finds it ready still.
func (r *Reconciler) blip(s *scope, pod *corev1.Pod) bool {
	ready := meta.FindStatusCondition(s.before.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != "True" || ready.ObservedGeneration != s.projection.Generation || !podReady(pod) {
		return false
	}
	if s.memory.lastRead.IsZero() {
		s.memory.lastRead = r.Clock.Now()
	}
	return r.Clock.Since(s.memory.lastRead) < blipTolerance
}

// judgeRollout waits until the pod that answers is the one that was asked for.
func (s *scope) judgeRollout(deployment *appsv1.Deployment) {
	_, current := s.current()
	observed := deployment != nil && deployment.Status.ObservedGeneration >= deployment.Generation &&
		deployment.Status.UpdatedReplicas > 0
	if !current || !observed {
		s.progress(s.startReason(), "the projector's pod is being replaced; no event is folded twice")
	}
}

// judgeProjector hands through what the projector says of itself.
func (s *scope) judgeProjector() {
	found, _ := s.current()
	p := found.partition()
	if p.Problem != nil {
		s.say(problemVerdict(*p.Problem))
		return
	}
	switch p.State {
	case contract.StateLive, contract.StateCatchingUp:
		s.judgeFolding()
	default:
		s.progress(v1alpha1.ReasonClaiming, "the projector takes over the read model")
	}
}

func (s *scope) judgeFolding() {
	if s.stateOf(s.running.Revision) != v1alpha1.RevisionActive {
		s.progress(v1alpha1.ReasonBuilding, fmt.Sprintf("history is folded from %s on; status.lagEvents says how much is left", s.running.Source.From))
		return
	}
	s.say(verdict{Type: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonFolding, Message: fmt.Sprintf(
		"revision %s folds stream %s", s.running.Revision, s.running.Source.Stream)})
}

// sentence ends in a full stop.
func sentence(text string) string {
	if text == "" || strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}

// problemVerdict is the verdict of a projector's problem, in its own words.
func problemVerdict(p contract.Problem) verdict {
	message := p.Message
	if p.EventID != "" {
		message = fmt.Sprintf("event %s: %s", p.EventID, message)
	}
	if p.Remedy != "" {
		message = sentence(message) + " What to do: " + sentence(p.Remedy)
	}
	kind := v1alpha1.ConditionReconciling
	if p.Permanent {
		kind = v1alpha1.ConditionStalled
	}
	return verdict{Type: kind, Reason: p.Reason, Message: message, Fault: true}
}
