package controllers

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// crashes is how often a projector may end before a person should look: a node
// that is drained or a kill by hand is no reason to call for one.
const crashes = 3

func newestPod(pods []*corev1.Pod) *corev1.Pod {
	var newest *corev1.Pod
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		if newest == nil || newest.CreationTimestamp.Before(&pod.CreationTimestamp) {
			newest = pod
		}
	}
	return newest
}

func podReady(pod *corev1.Pod) bool {
	return podCondition(pod, corev1.PodReady).Status == corev1.ConditionTrue
}

func podCondition(pod *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == kind {
			return condition
		}
	}
	return corev1.PodCondition{}
}

// containerOf is the state of the pod's one container; sidecars that somebody
// has added don't speak for it.
func containerOf(pod *corev1.Pod) corev1.ContainerStatus {
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == "projector" {
			return status
		}
	}
	return corev1.ContainerStatus{}
}

func containerRuns(pod *corev1.Pod) bool { return containerOf(pod).State.Running != nil }

// young tells whether the container may still be on its way to its first answer.
func young(r *Reconciler, pod *corev1.Pod) bool {
	running := containerOf(pod).State.Running
	return running != nil && r.Clock.Since(running.StartedAt.Time) < startup
}

// podProblem says why a pod does not run, nil if nothing is known to be wrong.
// Messages hold no name of a pod and nothing that alternates between tries.
func podProblem(pod *corev1.Pod) *verdict {
	for _, check := range []func(*corev1.Pod) *verdict{unschedulable, waiting, ending} {
		if problem := check(pod); problem != nil {
			return problem
		}
	}
	return nil
}

func unschedulable(pod *corev1.Pod) *verdict {
	condition := podCondition(pod, corev1.PodScheduled)
	if condition.Status != corev1.ConditionFalse || condition.Reason != corev1.PodReasonUnschedulable {
		return nil
	}
	return &verdict{Type: v1alpha1.ConditionReconciling, Reason: v1alpha1.ReasonUnschedulable, Fault: true,
		Message: "no node takes the projector's pod: " + condition.Message +
			" Add room, or change spec.projector (resources, nodeSelector, tolerations, affinity)."}
}

func waiting(pod *corev1.Pod) *verdict {
	status := containerOf(pod)
	if status.State.Waiting == nil {
		return nil
	}
	switch status.State.Waiting.Reason {
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable":
		return stalledPod(v1alpha1.ReasonImagePullFailed, fmt.Sprintf(
			"image %s cannot be pulled. See whether it exists and the node reaches its registry; if it needs credentials, name them in spec.projector.imagePullSecrets.", status.Image))
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return stalledPod(v1alpha1.ReasonContainerConfigFailed,
			"the projector's container cannot be created: "+status.State.Waiting.Message)
	}
	return nil
}

// ending speaks of a projector that has ended, also while it waits for its next
// start or has just been started again.
func ending(pod *corev1.Pod) *verdict {
	status := containerOf(pod)
	last := status.LastTerminationState.Terminated
	if status.State.Terminated != nil {
		last = status.State.Terminated
	}
	if last == nil || last.ExitCode == 0 && status.RestartCount < crashes {
		return nil
	}
	problem := stalledPod(v1alpha1.ReasonCrashLooping, fmt.Sprintf(
		"the projector ends again and again, with exit code %d. Its log says why: kubectl logs --previous.", last.ExitCode))
	if last.Reason == "OOMKilled" {
		problem = stalledPod(v1alpha1.ReasonOutOfMemory,
			"the projector was killed for using more memory than its limit. Raise spec.projector.resources.limits.memory.")
	}
	if status.RestartCount < crashes {
		problem.Type = v1alpha1.ConditionReconciling
	}
	return problem
}

func stalledPod(reason, message string) *verdict {
	return &verdict{Type: v1alpha1.ConditionStalled, Reason: reason, Message: message, Fault: true}
}

var podName = regexp.MustCompile(`^(?:Error creating: )?(pods) "[^"]*"`)

// podRefused is the verdict of a ReplicaSet that may not create its pod.
func podRefused(message string) verdict {
	message = podName.ReplaceAllString(message, "$1")
	if strings.Contains(message, "exceeded quota") {
		return *stalledPod(v1alpha1.ReasonQuotaExceeded, message+
			". Raise the quota, or lower spec.projector.resources.")
	}
	return *stalledPod(v1alpha1.ReasonPodRefused, message)
}
