package cluster

import (
	"context"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// How often the API server is asked again: while it does not answer, and where
// it may not be watched.
const (
	againFirst = 500 * time.Millisecond
	againMost  = 5 * time.Second
	pollEvery  = 2 * time.Second
)

// picture is what is known of the Projections that are looked at. Err is why it
// may be old: the API server does not answer.
type picture struct {
	objects map[types.NamespacedName]*object
	Err     error
}

func (p picture) one() *object {
	for _, o := range p.objects {
		return o
	}
	return nil
}

func (p picture) sorted() []*object {
	var out []*object
	for _, o := range p.objects {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b *object) int { return strings.Compare(a.path(), b.path()) })
	return out
}

// watching hands on a picture at every change until the context ends. It goes on
// through watches that end and API servers that restart; where there is no right
// to watch it asks every few seconds.
func (s *session) watching(ctx context.Context, namespace string, names ...string) <-chan picture {
	out := make(chan picture)
	w := &watcher{session: s, namespace: namespace, names: names, out: out}
	go func() {
		defer close(out)
		w.run(ctx)
	}()
	return out
}

type watcher struct {
	*session
	namespace string
	names     []string // those that are looked at, all if empty
	out       chan<- picture
	objects   map[types.NamespacedName]*object
	odd       error // one is of a shape that this program does not know
}

func (w *watcher) run(ctx context.Context) {
	pause := againFirst
	for ctx.Err() == nil {
		began := time.Now()
		polled, err := w.turn(ctx)
		if err != nil {
			w.send(ctx, err)
		}
		if polled || time.Since(began) > againMost { // it has gone well for a while
			pause = againFirst
		}
		if polled {
			sleep(ctx, pollEvery)
			continue
		}
		sleep(ctx, pause)
		pause = min(2*pause, againMost)
	}
}

// turn reads what there is and follows it until the watch ends. polled tells that
// it was read, and may not be watched.
func (w *watcher) turn(ctx context.Context) (polled bool, err error) {
	version, err := w.read(ctx)
	if err != nil {
		return false, err
	}
	w.send(ctx, nil)
	if version == "" {
		return true, nil
	}
	err = w.follow(ctx, version)
	switch {
	case apierrors.IsForbidden(err):
		return true, nil
	case expired(err):
		return false, nil
	}
	return false, w.Explain(w.asking("watch"), err)
}

func expired(err error) bool { return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) }

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// send hands on a copy of the picture: the watcher's own goes on to change.
func (w *watcher) send(ctx context.Context, err error) {
	if err == nil {
		err, w.odd = w.odd, nil
	}
	objects := make(map[types.NamespacedName]*object, len(w.objects))
	for key, o := range w.objects {
		objects[key] = o
	}
	select {
	case <-ctx.Done():
	case w.out <- picture{objects, err}:
	}
}

// scope selects what is looked at. One name is selected by the server, so that
// who may see no other can watch it too.
func (w *watcher) scope(version string) []client.ListOption {
	options := []client.ListOption{client.InNamespace(w.namespace)}
	if len(w.names) == 1 {
		options = append(options, client.MatchingFields{metav1.ObjectNameField: w.names[0]})
	}
	if version != "" {
		options = append(options, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true}})
	}
	return options
}

// read takes the picture anew. Without a version it cannot be followed.
func (w *watcher) read(ctx context.Context) (version string, err error) {
	list := newUnstructuredList()
	err = w.Client.List(ctx, list, w.scope("")...)
	if apierrors.IsForbidden(err) && len(w.names) > 0 {
		return "", w.readEach(ctx)
	}
	if err != nil {
		return "", w.Explain(w.asking("list"), err)
	}
	w.objects = map[types.NamespacedName]*object{}
	for i := range list.Items {
		w.put(&list.Items[i])
	}
	return list.GetResourceVersion(), nil
}

// readEach is for who may get but not list. What was known stays until all of it
// is read anew.
func (w *watcher) readEach(ctx context.Context) error {
	var found []*unstructured.Unstructured
	for _, name := range w.names {
		u := newUnstructured()
		err := w.Client.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, u)
		switch {
		case err == nil:
			found = append(found, u)
		case !apierrors.IsNotFound(err):
			return w.Explain(w.asking("get"), err)
		}
	}
	w.objects = map[types.NamespacedName]*object{}
	for _, u := range found {
		w.put(u)
	}
	return nil
}

func (w *watcher) put(u *unstructured.Unstructured) {
	if len(w.names) > 0 && !slices.Contains(w.names, u.GetName()) {
		return
	}
	o, err := newObject(u)
	if err != nil {
		w.odd = err
		return
	}
	w.objects[client.ObjectKeyFromObject(u)] = o
}

// follow hands on every change until the watch ends.
func (w *watcher) follow(ctx context.Context, version string) error {
	found, err := w.Client.Watch(ctx, newUnstructuredList(), w.scope(version)...)
	if err != nil {
		return err
	}
	defer found.Stop()
	for event := range found.ResultChan() {
		u, ok := event.Object.(*unstructured.Unstructured)
		switch {
		case event.Type == watch.Error:
			return apierrors.FromObject(event.Object)
		case !ok || event.Type == watch.Bookmark:
			continue
		case event.Type == watch.Deleted:
			delete(w.objects, client.ObjectKeyFromObject(u))
		default:
			w.put(u)
		}
		w.send(ctx, nil)
	}
	return nil
}

func (p picture) has(path string) bool {
	for _, o := range p.objects {
		if o.path() == path {
			return true
		}
	}
	return false
}
