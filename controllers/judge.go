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

// judge says what the pass comes to, if no phase before has.
func (r *Reconciler) judge(_ context.Context, s *scope) (ctrl.Result, error) {
	if s.verdict == nil {
		r.judgePhase(s)
	}
	return ctrl.Result{}, nil
}

// judgeRevision looks from the Deployment over the pod to the projector: the first
// that is not as it should be speaks.
func (r *Reconciler) judgeRevision(s *scope, revision string) {
	deployment := s.deployment(resources.DeploymentName(s.projection.Name, revision))
	pod := newestPod(s.projectorPods(revision))
	s.judgeDeployment(revision, deployment)
	if pod == nil {
		s.progress(s.startReason(revision), "the projector's pod is being started")
		return
	}
	r.judgePod(s, revision, pod)
	s.judgeRollout(revision, deployment)
	s.judgeProjector(revision)
}

// startReason tells a first start from the replacement of a pod.
func (s *scope) startReason(revision string) string {
	step := s.step(revision)
	if step != nil && step.State == v1alpha1.RevisionActive {
		return v1alpha1.ReasonRollingProjectors
	}
	return v1alpha1.ReasonStarting
}

func (s *scope) judgeDeployment(revision string, deployment *appsv1.Deployment) {
	if deployment == nil {
		s.progress(s.startReason(revision), "the projector's Deployment is being made")
		return
	}
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			s.say(podRefused(condition.Message))
		}
	}
}

// judgePod speaks where the pod explains why its projector does not.
func (r *Reconciler) judgePod(s *scope, revision string, pod *corev1.Pod) {
	_, answers := s.readings[revision]
	if answers {
		return
	}
	if problem := podProblem(pod); problem != nil {
		s.say(*problem)
		return
	}
	if !containerRuns(pod) {
		s.progress(s.startReason(revision), "the projector's container is being started")
		return
	}
	if r.blip(s, revision, pod) {
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
func (r *Reconciler) blip(s *scope, revision string, pod *corev1.Pod) bool {
	ready := meta.FindStatusCondition(s.before.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != "True" || ready.ObservedGeneration != s.projection.Generation || !podReady(pod) {
		return false
	}
	if s.memory.lastRead[revision].IsZero() {
		s.memory.lastRead[revision] = r.Clock.Now()
	}
	return r.Clock.Since(s.memory.lastRead[revision]) < blipTolerance
}

// judgeRollout waits until the pod that answers is the one that was asked for.
func (s *scope) judgeRollout(revision string, deployment *appsv1.Deployment) {
	observed := deployment != nil && deployment.Status.ObservedGeneration >= deployment.Generation &&
		deployment.Status.UpdatedReplicas > 0
	if !s.upToDate(revision) || !observed {
		s.progress(s.startReason(revision), "the projector's pod is being replaced; no event is folded twice")
	}
}

// judgeProjector hands through what the projector says of itself.
func (s *scope) judgeProjector(revision string) {
	p := s.readings[revision].partition()
	if p.Problem != nil {
		s.say(problemVerdict(*p.Problem))
		return
	}
	switch p.State {
	case contract.StateLive, contract.StateCatchingUp, contract.StateHolding, contract.StateCompleted:
		s.judgeFolding(revision, p)
	default:
		s.progress(v1alpha1.ReasonClaiming, "the projector takes over the read model")
	}
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
