package controllers

import (
	"context"
	"reflect"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// snapshot answers reads as the API server would have when it was taken.
type snapshot struct {
	projection *v1alpha1.Projection
	lists      map[reflect.Type]client.ObjectList
}

func (w *world) snapshotReads() *snapshot {
	w.t.Helper()
	s := &snapshot{lists: map[reflect.Type]client.ObjectList{}}
	for _, list := range w.lists() {
		w.Expect(w.client.List(w.ctx, list, client.InNamespace(w.namespace))).To(Succeed())
		s.lists[reflect.TypeOf(list)] = list
	}
	s.projection = &s.lists[reflect.TypeFor[*v1alpha1.ProjectionList]()].(*v1alpha1.ProjectionList).Items[0]
	return s
}

func (s *snapshot) get(_ context.Context, _ client.WithWatch, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	s.projection.DeepCopyInto(o.(*v1alpha1.Projection))
	return nil
}

func (s *snapshot) list(_ context.Context, _ client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
	old := s.lists[reflect.TypeOf(list)].DeepCopyObject()
	reflect.ValueOf(list).Elem().Set(reflect.ValueOf(old).Elem())
	return nil
}
