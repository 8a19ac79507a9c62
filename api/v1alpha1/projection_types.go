package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Projection keeps a read model in step with an event log.
//
// Refold reads the stream that spec.source names, folds its events with
// spec.reducer and keeps the result in spec.readModel, exactly: the read model
// is always the fold of every event up to status.lastAckedID.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rf,categories=refold
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Active",type=string,JSONPath=`.status.activeRevision`
// +kubebuilder:printcolumn:name="Last-Acked",type=string,JSONPath=`.status.lastAckedID`
// +kubebuilder:printcolumn:name="Lag",type=integer,JSONPath=`.status.lagEvents`
// +kubebuilder:printcolumn:name="Replay%",type=integer,JSONPath=`.status.revisions[?(@.progress.percent>=0)].progress.percent`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Stream",type=string,priority=1,JSONPath=`.spec.source.stream`
// +kubebuilder:printcolumn:name="Reducer",type=string,priority=1,JSONPath=`.spec.reducer.type`
// +kubebuilder:printcolumn:name="Read-Model",type=string,priority=1,JSONPath=`.spec.readModel.redisHash.keyPrefix`
type Projection struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What is to be kept: the log, the fold and the read model.
	// +required
	Spec ProjectionSpec `json:"spec"`

	// What is true now, as the operator and the projector see it.
	// +optional
	Status ProjectionStatus `json:"status,omitempty"`
}

// ProjectionList is a list of Projections.
//
// +kubebuilder:object:root=true
type ProjectionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Projection `json:"items"`
}

// ProjectionSpec says what is to be kept.
//
// +kubebuilder:validation:XValidation:rule="[self.readModel.fields.map(f, f.name)].all(declared, self.reducer.rules.all(r, !has(r.set) || r.set.all(name, name in declared)))",message="every field in a rule's set must be declared in readModel.fields",fieldPath=".reducer.rules"
// +kubebuilder:validation:XValidation:rule="[self.readModel.fields.map(f, f.name)].all(declared, self.reducer.rules.all(r, !has(r.add) || r.add.all(name, name in declared)))",message="every field in a rule's add must be declared in readModel.fields",fieldPath=".reducer.rules"
// +kubebuilder:validation:XValidation:rule="[self.readModel.fields.map(f, f.name)].all(declared, self.reducer.rules.all(r, !has(r.unset) || r.unset.all(name, name in declared)))",message="every field in a rule's unset must be declared in readModel.fields",fieldPath=".reducer.rules"
// +kubebuilder:validation:XValidation:rule="!has(self.readModel.redisHash.tls) || has(self.readModel.redisHash.url) || self.source.redis.url.startsWith('rediss://')",message="tls needs a rediss:// URL, and this one is the source's redis:// URL",fieldPath=".readModel.redisHash.tls"
type ProjectionSpec struct {
	// Stops the projector and keeps its position. Nothing is lost: when set back
	// to false, folding goes on where it stopped.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// The event log that is folded.
	// +required
	Source Source `json:"source"`

	// The fold: how an event changes an entity.
	// +required
	Reducer Reducer `json:"reducer"`

	// Where the result is kept, and with which fields.
	// +required
	ReadModel ReadModel `json:"readModel"`

	// How a change of source, reducer or readModel is rebuilt, compared with what
	// readers read, and published.
	// +optional
	Replay Replay `json:"replay,omitzero"`

	// What happens to an event that cannot be folded.
	// +optional
	// +kubebuilder:default={onError: "Halt"}
	ErrorPolicy ErrorPolicy `json:"errorPolicy,omitzero"`

	// How the projector's pod is run. A change rolls the pod and folds no event twice.
	// +optional
	Projector ProjectorSpec `json:"projector,omitzero"`

	// What becomes of the read model when the Projection is deleted: Retain
	// leaves it for its readers, Delete removes it. Refold's own keys are removed
	// in both cases.
	// +optional
	// +kubebuilder:default=Retain
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// DeletionPolicy says what becomes of the read model of a deleted Projection.
// +kubebuilder:validation:Enum=Retain;Delete
type DeletionPolicy string

// Values of DeletionPolicy.
const (
	DeletionRetain DeletionPolicy = "Retain"
	DeletionDelete DeletionPolicy = "Delete"
)

// OnError says what happens to an event that cannot be folded.
// +kubebuilder:validation:Enum=Halt
type OnError string

// OnErrorHalt stops at the event.
const OnErrorHalt OnError = "Halt"

// ErrorPolicy says what happens to an event that cannot be folded.
type ErrorPolicy struct {
	// Halt stops at the event, loses nothing, and names the event in the
	// Projection's conditions.
	// +optional
	// +kubebuilder:default=Halt
	OnError OnError `json:"onError,omitempty"`
}

// ProjectorSpec says how the projector's pod is run.
type ProjectorSpec struct {
	// CPU and memory of the projector's container. Requests default to 100m and
	// 128Mi, the memory limit to 512Mi; the projector sizes its caches by that limit.
	// It needs 64Mi or more.
	// +optional
	Resources ResourceRequirements `json:"resources,omitzero"`

	// Labels a node must have to run the projector.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Taints that the projector's pod tolerates.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// Rules that attract the projector's pod to nodes or keep it away from them.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// The name of a PriorityClass for the projector's pod.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// The name of a ServiceAccount for the projector's pod, e.g. one that holds
	// image pull secrets. No token of it is ever mounted.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// Secrets with which the projector's image is pulled.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []SecretReference `json:"imagePullSecrets,omitempty"`

	// Labels that are added to the projector's pod.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('refold.dev/') && !k.startsWith('app.kubernetes.io/'))",message="labels of refold.dev and app.kubernetes.io are the operator's"
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="a label's name is at most 63 letters, digits, '-', '_' or '.', optionally after a DNS name and '/'"
	PodLabels map[string]LabelValue `json:"podLabels,omitempty"`

	// Annotations that are added to the projector's pod.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('refold.dev/'))",message="annotations of refold.dev are the operator's"
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="an annotation's name is at most 63 letters, digits, '-', '_' or '.', optionally after a DNS name and '/'"
	PodAnnotations map[string]AnnotationValue `json:"podAnnotations,omitempty"`
}

// ResourceRequirements are CPU and memory of one container. What the schema of a
// quantity takes and Go does not read, as 1e1.5, would keep the operator from
// reading any Projection at all; 1e2147483647 would take its memory, and the API
// server's time: only what has no exponent is compared.
type ResourceRequirements struct {
	// The most the container may use.
	// +optional
	// +kubebuilder:validation:MaxProperties=8
	// +kubebuilder:validation:XValidation:rule="self.all(name, type(self[name]) == int ? self[name] >= 0 : self[name].size() <= 32 && !self[name].matches('[-eE][^i]'))",message="must be quantities that are not negative and have no exponent, as 100m, 0.5 or 512Mi"
	// +kubebuilder:validation:XValidation:rule="!('memory' in self) ? true : type(self['memory']) == int ? self['memory'] == 0 || self['memory'] >= 67108864 : self['memory'].size() > 32 || self['memory'].matches('[-eE][^i]') ? true : quantity(self['memory']).compareTo(quantity('0')) == 0 || !quantity(self['memory']).isLessThan(quantity('64Mi'))",message="a projector needs 64Mi of memory or more; 0 is no limit"
	Limits corev1.ResourceList `json:"limits,omitempty"`

	// What is set aside for the container.
	// +optional
	// +kubebuilder:validation:MaxProperties=8
	// +kubebuilder:validation:XValidation:rule="self.all(name, type(self[name]) == int ? self[name] >= 0 : self[name].size() <= 32 && !self[name].matches('[-eE][^i]'))",message="must be quantities that are not negative and have no exponent, as 100m, 0.5 or 512Mi"
	Requests corev1.ResourceList `json:"requests,omitempty"`
}

// LabelValue is the value of a label.
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`
type LabelValue string

// AnnotationValue is the value of an annotation.
// +kubebuilder:validation:MaxLength=4096
type AnnotationValue string

// SecretReference names a Secret in the Projection's namespace.
type SecretReference struct {
	// The Secret's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
}
