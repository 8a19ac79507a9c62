// Package v1alpha1 is the Projection type with its conditions and reasons. It
// holds no logic and does no I/O: what the API server can refuse is said in
// markers, what a spec means is said in controllers/plan.
//
// +kubebuilder:object:generate=true
// +groupName=refold.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of this package.
var GroupVersion = schema.GroupVersion{Group: "refold.dev", Version: "v1alpha1"}

// AddToScheme adds the types of this package to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Projection{}, &ProjectionList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
