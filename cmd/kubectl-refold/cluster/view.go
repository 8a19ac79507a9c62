package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// view is a Projection with what belongs to it.
type view struct {
	*object
	Pods     []corev1.Pod
	Events   []corev1.Event             // the oldest first
	Readings map[string]contract.Status // by pod
	Rates    map[string]float64         // events a second, by revision, as seen between two looks
	Missing  []string                   // what may not be read
	trouble  error                      // why all of it may be old
}

// reader asks the projector in a pod for its status.
type reader interface {
	read(ctx context.Context, pod *corev1.Pod) (contract.Status, error)
}

// proxyReader asks through the API server: who has no right to do so sees less.
type proxyReader struct{ clientset kubernetes.Interface }

const readingTimeout = time.Second

func (r proxyReader) read(ctx context.Context, pod *corev1.Pod) (contract.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, readingTimeout)
	defer cancel()
	data, err := r.clientset.CoreV1().Pods(pod.Namespace).
		ProxyGet("http", pod.Name, fmt.Sprint(contract.Port), contract.StatuszPath, nil).DoRaw(ctx)
	var out contract.Status
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	return out, err
}

// look reads all that belongs to a Projection. What may not be read is named in
// the view, and is no error.
func (s *session) look(ctx context.Context, o *object) *view {
	v := &view{object: o, Readings: map[string]contract.Status{}, Rates: map[string]float64{}}
	pods := &corev1.PodList{}
	labels := client.MatchingLabels(resources.ProjectionLabels(o.Name))
	if err := s.Client.List(ctx, pods, client.InNamespace(o.Namespace), labels); err != nil {
		v.miss(s, "pods", err)
	}
	v.Pods = byAge(pods.Items)
	v.Events = s.eventsOf(ctx, o, v)
	s.ask(ctx, v)
	return v
}

func (v *view) miss(s *session, what string, err error) {
	v.Missing = append(v.Missing, s.Explain(cli.Request{Verb: "list", Resource: what, Namespace: v.Namespace}, err).Error())
}

// byAge sorts pods, the oldest first.
func byAge(pods []corev1.Pod) []corev1.Pod {
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return pods
}

// eventsOf lists the events of a Projection, the oldest first.
func (s *session) eventsOf(ctx context.Context, o *object, v *view) []corev1.Event {
	events := &corev1.EventList{}
	about := client.MatchingFieldsSelector{Selector: fields.AndSelectors(
		fields.OneTermEqualSelector("involvedObject.kind", "Projection"),
		fields.OneTermEqualSelector("involvedObject.name", o.Name))}
	if err := s.Client.List(ctx, events, client.InNamespace(o.Namespace), about); err != nil {
		v.miss(s, "events", err)
		return nil
	}
	out := slices.DeleteFunc(events.Items, func(e corev1.Event) bool {
		return e.InvolvedObject.UID != "" && e.InvolvedObject.UID != o.UID
	})
	slices.SortStableFunc(out, func(a, b corev1.Event) int { return lastSeen(a).Compare(lastSeen(b)) })
	return out
}

// lastSeen is when an event happened, the last time if it did so again.
func lastSeen(e corev1.Event) time.Time {
	switch {
	case e.Series != nil && !e.Series.LastObservedTime.IsZero():
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

// ask asks all projectors at once. One that does not answer says nothing.
func (s *session) ask(ctx context.Context, v *view) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for i := range v.Pods {
		pod := &v.Pods[i]
		if !resources.IsProjector(pod.Labels) || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		all.Go(func() {
			if status, err := s.readings.read(ctx, pod); err == nil && len(status.Partitions) > 0 {
				mu.Lock()
				defer mu.Unlock()
				v.Readings[pod.Name] = status
			}
		})
	}
	all.Wait()
}

// podsOf are the pods of a revision: projectors and Jobs.
func (v *view) podsOf(revision string) (out []corev1.Pod) {
	for _, pod := range v.Pods {
		if pod.Labels[v1alpha1.RevisionLabel] == revision {
			out = append(out, pod)
		}
	}
	return out
}

// reading is what a projector of a revision says of its partition.
func (v *view) reading(revision string) *contract.Partition {
	for _, pod := range v.podsOf(revision) {
		if status, ok := v.Readings[pod.Name]; ok && status.Revision == revision {
			return &status.Partitions[0]
		}
	}
	return nil
}

// revisions are those of status, the one that readers read first. An operator of
// a release without them names the active one alone.
func (v *view) revisions() []v1alpha1.RevisionStatus {
	out := slices.Clone(v.Status.Revisions)
	if active := v.Status.ActiveRevision; active != "" && v.revision(active) == nil {
		out = append(out, v1alpha1.RevisionStatus{Name: active, State: v1alpha1.RevisionActive, LastAckedID: v.Status.LastAckedID})
	}
	slices.SortStableFunc(out, func(a, b v1alpha1.RevisionStatus) int { return rank(a.State) - rank(b.State) })
	return out
}

func rank(state v1alpha1.RevisionState) int {
	switch state {
	case v1alpha1.RevisionActive:
		return 0
	case v1alpha1.RevisionRetained:
		return 2
	case v1alpha1.RevisionRetiring, v1alpha1.RevisionFailed:
		return 3
	}
	return 1
}

const revisionLabel = v1alpha1.RevisionLabel

func componentOf(pod corev1.Pod) string { return string(resources.ComponentOf(pod.Labels)) }
