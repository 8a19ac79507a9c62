package controllers

import (
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// terms are what a revision runs by: its contract, decoded and as it stands in
// the ConfigMap.
type terms struct {
	contract contract.Document
	document []byte
	trigger  string // that the revision was made with, as far as it is known
}

// termsOf finds the contract of a revision, nil if nobody knows it. The spec's own
// is rendered; of another one the contract that it runs by is taken, and brought
// up to date in what is not part of the fold. The bytes of a contract that says
// the same are kept, so that a new operator that writes them differently rolls no pod.
func (s *scope) termsOf(revision string) *terms {
	if found, ok := s.terms[revision]; ok {
		return found
	}
	if s.terms == nil {
		s.terms = map[string]*terms{}
	}
	s.terms[revision] = s.findTerms(revision)
	return s.terms[revision]
}

func (s *scope) findTerms(revision string) *terms {
	current := s.contractOf(revision)
	running, err := contract.Decode(current)
	known := err == nil && running.Revision == revision
	next := s.desired
	if revision != s.desired.Revision {
		if !known {
			return nil
		}
		next = resources.CarryOver(running, s.desired)
	}
	if !known || !reflect.DeepEqual(running, next) {
		current = resources.Encode(next)
	}
	return &terms{next, current, s.triggerOf(revision)}
}

// triggerOf is the spec's own, or what is written beside the contract of another.
func (s *scope) triggerOf(revision string) string {
	if revision == s.desired.Revision {
		return s.projection.Spec.Replay.Trigger
	}
	if deployment := s.deployment(resources.DeploymentName(s.projection.Name, revision)); deployment != nil {
		return deployment.Annotations[resources.TriggerAnnotation]
	}
	if configMap := s.newestContract(revision); configMap != nil {
		return configMap.Annotations[resources.TriggerAnnotation]
	}
	return ""
}

// contractOf finds the contract that a revision runs by: in the ConfigMap that
// its Deployment mounts, in the copy on the Deployment, in any ConfigMap of the
// revision, or in memory.
func (s *scope) contractOf(revision string) []byte {
	deployment := s.deployment(resources.DeploymentName(s.projection.Name, revision))
	if deployment != nil {
		if configMap := s.configMap(mountedContract(deployment)); configMap != nil && s.genuine(configMap) {
			return []byte(configMap.Data[contract.FileName])
		}
		if text := deployment.Annotations[resources.ContractAnnotation]; text != "" {
			return []byte(text)
		}
	}
	if configMap := s.newestContract(revision); configMap != nil {
		return []byte(configMap.Data[contract.FileName])
	}
	return s.memory.documents[revision]
}

func (s *scope) newestContract(revision string) *corev1.ConfigMap {
	var newest *corev1.ConfigMap
	for i := range s.configMaps {
		configMap := &s.configMaps[i]
		if configMap.Labels[v1alpha1.RevisionLabel] == revision && s.genuine(configMap) &&
			(newest == nil || newest.CreationTimestamp.Before(&configMap.CreationTimestamp)) {
			newest = configMap
		}
	}
	return newest
}

// genuine tells a contract from one that somebody has put in its place: its name
// holds the hash of its content.
func (s *scope) genuine(configMap *corev1.ConfigMap) bool {
	return configMap.Name == resources.ConfigMapName(s.projection.Name,
		configMap.Labels[v1alpha1.RevisionLabel], []byte(configMap.Data[contract.FileName]))
}

// mountedContract is the name of the ConfigMap that a Deployment's pods mount.
func mountedContract(deployment *appsv1.Deployment) string {
	for _, volume := range deployment.Spec.Template.Spec.Volumes {
		if volume.ConfigMap != nil {
			return volume.ConfigMap.Name
		}
	}
	return ""
}
