package controllers

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

func waitingFor(reason string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: "projector", Image: "refold-projector:v1",
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "secret x not found"}}}
}

func ended(reason string, exit, restarts int32) corev1.ContainerStatus {
	status := waitingFor("CrashLoopBackOff")
	status.RestartCount = restarts
	status.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: reason, ExitCode: exit}
	return status
}

func TestAPodThatCannotStartIsExplained(t *testing.T) {
	tests := map[string]struct {
		condition    *corev1.PodCondition
		container    corev1.ContainerStatus
		kind, reason string
		want         string
	}{
		"no node": {condition: &corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
			Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes are available: 1 Insufficient memory."},
			kind: v1alpha1.ConditionReconciling, reason: v1alpha1.ReasonUnschedulable, want: "Insufficient memory"},
		"an image that is not there":   {container: waitingFor("ErrImagePull"), kind: v1alpha1.ConditionStalled, reason: v1alpha1.ReasonImagePullFailed, want: "imagePullSecrets"},
		"the same, between tries":      {container: waitingFor("ImagePullBackOff"), kind: v1alpha1.ConditionStalled, reason: v1alpha1.ReasonImagePullFailed, want: "image refold-projector:v1 cannot be pulled"},
		"a container that cannot be":   {container: waitingFor("CreateContainerConfigError"), kind: v1alpha1.ConditionStalled, reason: v1alpha1.ReasonContainerConfigFailed, want: "secret x not found"},
		"a projector killed once":      {container: ended("Error", 137, 1), kind: v1alpha1.ConditionReconciling, reason: v1alpha1.ReasonCrashLooping, want: "exit code 137"},
		"a projector that always ends": {container: ended("Error", 2, 5), kind: v1alpha1.ConditionStalled, reason: v1alpha1.ReasonCrashLooping, want: "kubectl logs --previous"},
		"a projector without memory":   {container: ended("OOMKilled", 137, 5), kind: v1alpha1.ConditionStalled, reason: v1alpha1.ReasonOutOfMemory, want: "limits.memory"},
		"a container on its way":       {container: waitingFor("ContainerCreating"), kind: v1alpha1.ConditionReconciling, reason: v1alpha1.ReasonStarting, want: "being started"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.cluster.podStatus = func(pod *corev1.Pod) {
				pod.Status.Phase = corev1.PodPending
				pod.Status.Conditions = nil
				if tc.condition != nil {
					pod.Status.Conditions = []corev1.PodCondition{*tc.condition}
				}
				pod.Status.ContainerStatuses = []corev1.ContainerStatus{tc.container}
			}
			p := w.create()
			w.settle(p)
			c := w.condition(p, tc.kind)
			w.Expect(c).NotTo(BeNil(), "conditions: %v", p.Status.Conditions)
			w.Expect(c.Reason).To(Equal(tc.reason))
			w.Expect(c.Message).To(ContainSubstring(tc.want))
			w.Expect(c.Message).NotTo(ContainSubstring(w.pods()[0].Name))

			w.cluster.podStatus = nil
			pod := w.pods()[0]
			w.cluster.delete(&pod)
			w.settle(p)
			w.expectReady(p)
		})
	}
}

func TestAPodThatMayNotBeCreatedIsExplained(t *testing.T) {
	for message, reason := range map[string]string{
		`pods "user-profile-7f3k2m9q-5d8f7c-" is forbidden: exceeded quota: small, requested: limits.memory=512Mi`: v1alpha1.ReasonQuotaExceeded,
		`pods "user-profile-7f3k2m9q-5d8f7c-x" is forbidden: error looking up service account shop/puller`:         v1alpha1.ReasonPodRefused,
	} {
		w := newWorld(t)
		w.cluster = newCluster(w, w.cluster.projectors)
		p := w.create()
		_, err := w.reconcile(p)
		w.Expect(err).NotTo(HaveOccurred())
		d := w.deployments()[0]
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: message}}
		w.Expect(w.client.Status().Update(w.ctx, &d)).To(Succeed())
		_, err = w.reconcile(p)
		w.Expect(err).NotTo(HaveOccurred())
		said := w.expectStalled(p, reason)
		w.Expect(said).To(HavePrefix("pods is forbidden"))
		w.Expect(said).NotTo(ContainSubstring("5d8f7c"))
	}
}

func TestProblemsOfAProjectorReachTheConditions(t *testing.T) {
	problems := map[string]struct {
		problem contract.Problem
		state   contract.State
		kind    string
		want    string
	}{
		"permanent": {contract.Problem{Reason: contract.ReasonAuthenticationFailed, Message: "redis refuses the password", Remedy: "Correct the Secret redis", Permanent: true},
			contract.StateHalted, v1alpha1.ConditionStalled, "redis refuses the password. What to do: Correct the Secret redis."},
		"an event": {contract.Problem{Reason: contract.ReasonEventFailed, Message: "no such field: email", EventID: "5-1", Permanent: true},
			contract.StateHalted, v1alpha1.ConditionStalled, "event 5-1: no such field: email"},
		"transient": {contract.Problem{Reason: contract.ReasonRedisLoading, Message: "Redis loads its data", Remedy: "Nothing is needed"},
			contract.StateBackingOff, v1alpha1.ConditionReconciling, "Redis loads its data. What to do: Nothing is needed."},
		"waiting": {contract.Problem{Reason: contract.ReasonSourceMissing, Message: "the stream user_events is not there yet"},
			contract.StateWaiting, v1alpha1.ConditionReconciling, "the stream user_events is not there yet"},
	}
	for name, tc := range problems {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.ready()
			w.projectors().change = func(p *contract.Partition) { p.State, p.Problem, p.CaughtUp = tc.state, &tc.problem, false }
			w.settle(p)
			c := w.condition(p, tc.kind)
			w.Expect(c).NotTo(BeNil(), "conditions: %v", p.Status.Conditions)
			w.Expect(c.Reason).To(Equal(tc.problem.Reason))
			w.Expect(c.Message).To(Equal(tc.want))
			ready := w.condition(p, v1alpha1.ConditionReady)
			w.Expect(string(ready.Status) + ready.Reason).To(Equal("False" + tc.problem.Reason))
			w.Expect(w.events()).To(ContainSubstring("Warning " + tc.problem.Reason))
			w.projectors().change = nil
			w.settle(p)
			w.expectReady(p)
		})
	}
}

func TestAMessageIsNeverTooLongForTheAPIServer(t *testing.T) {
	w := newWorld(t)
	w.projectors().change = func(p *contract.Partition) {
		p.Problem = &contract.Problem{Reason: contract.ReasonEventFailed, Message: strings.Repeat("ж", 50_000), Permanent: true}
	}
	p := w.create()
	w.settle(p)
	w.Expect([]rune(w.expectStalled(p, contract.ReasonEventFailed))).To(HaveLen(maxMessage))
}

func TestASilentProjectorIsPassedOverForAMomentOnly(t *testing.T) {
	w := newWorld(t)
	p := w.ready()
	w.projectors().silent = true
	_, err := w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.expectReady(p)
	w.clock.SetTime(w.clock.Now().Add(blipTolerance))
	_, err = w.reconcile(p)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(w.expectReconciling(p, v1alpha1.ReasonStatusUnavailable)).To(ContainSubstring("NetworkPolicy"))
	w.Expect(string(w.condition(p, v1alpha1.ConditionCaughtUp).Status)).To(Equal("Unknown"))
	w.projectors().silent = false
	w.settle(p)
	w.expectReady(p)
}
