package pod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/inspect/api"
)

func TestWhatAProducerWritesDoesNothingToATerminal(t *testing.T) {
	w := newWorld(t)
	w.projection.Spec.Reducer.Rules[0].On = append(w.projection.Spec.Reducer.Rules[0].On, v1alpha1.EventType(escape))
	w.projection.Status.ActiveRevision = "hostile1"
	w.projection.Status.Revisions = []v1alpha1.RevisionStatus{{Name: "hostile1", State: v1alpha1.RevisionActive}}
	w.pods = []client.Object{w.pod("hostile1", nil)}
	w.add(0, escape, "id", escape, "name", escape, "email", "\xff"+escape, escape, escape)
	w.add(1, "UserCreated", "id", "42", "name", strings.Repeat("\x1b[31m", 500), "email", "\r\n")
	w.add(2, "EmailUpdated", "id", escape, "email", " plain ")
	w.add(3, escape+"other", "id", "42")
	for _, w.columns = range []int{0, 40, 80, 200} {
		for _, args := range [][]string{
			{"log", "user-profile"}, {"log", "user-profile", "--full"}, {"log", "user-profile", "--key", escape},
			{"explain", "user-profile", escape}, {"explain", "user-profile", escape, "--full"}, {"explain", "user-profile", "42"},
			{"explain", "user-profile", "\x1b[2Jnobody"}, {"explain", "user-profile", "42", "--field", "\x1b[2J"},
			{"at", "user-profile", "--time", "0s", "--key", escape}, {"at", "user-profile", "--time", "0s", "--key", "\x1b"},
		} {
			got := w.run(args...)
			if !isHarmless(got.out) || !isHarmless(got.err) {
				t.Errorf("%q at %d columns:\n%q\n%q", args, w.columns, got.out, got.err)
			}
			for _, line := range strings.Split(got.out+got.err, "\n") {
				if strings.HasPrefix(line, "error: feigned") {
					t.Errorf("%q feigns a line", args)
				}
			}
		}
	}
	w.columns = 80
	got := w.run("explain", "user-profile", escape).out
	if want := `\x1b[31mred\x1b[2J\x1b]0;t\a\u009b1m\u202egnp.exe\u2066\r\nerror: feigned\x7f`; !strings.Contains(got, want) {
		t.Errorf("it is not seen what it is:\n%s", got)
	}
}

func TestFormatsForProgramsAreHarmlessOnATerminal(t *testing.T) {
	var out bytes.Buffer
	g := &guard{out: &out}
	for i := range len(escape) { // characters come in pieces
		if _, err := g.Write([]byte(escape[i : i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if want := `\u001b[31mred\u001b[2J\u001b]0;t\u0007\u009b1m\u202egnp.exe\u2066\u000d` + "\n" + `error: feigned\u007f`; out.String() != want {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	if _, err := g.Write([]byte("\U000e0041é😀")); err != nil || out.String() != `\udb40\udc41é😀` {
		t.Errorf("%q %v", out.String(), err)
	}
}

func TestValuesAreCutAndSaidToBe(t *testing.T) {
	long := strings.Repeat("é", 5000)
	for name, test := range map[string]struct {
		text string
		room int
		want string
	}{
		"what fits is whole":                      {"abc", 3, "abc"},
		"what does not ends in a mark":            {"abcd", 3, "ab…"},
		"large text is cut between characters":    {long, 4, "ééé…"},
		"nothing is seen to be that":              {"", 10, `""`},
		"spaces at an end are seen":               {"a ", 10, `"a "`},
		"bytes are shown as such":                 {"\x00\xff", 40, "(binary, 2 bytes) 00 ff"},
		"many bytes are cut, and counted":         {strings.Repeat("\xff", 3000), 30, "(binary, 3,000 bytes) ff ff f…"},
		"what looks like a remark is in quotes":   {"(binary, 2 bytes) 00", 40, `"(binary, 2 bytes) 00"`},
		"a document is left as it is":             {`{"a": 1}`, 40, `{"a": 1}`},
		"other letters than Latin are text":       {"日本 Ж", 40, "日本 Ж"},
		"marks that are not seen are shown":       {"a\u200bb", 40, `"a\u200bb"`},
		"a text that is cut within escapes":       {"\x1b\x1b\x1b\x1b", 6, `"\x1b…`},
		"the replacement character is text":       {"a\ufffd", 10, "a\ufffd"},
		"a character cut at its end is no binary": {strings.Repeat("x", 15) + "😀😀", 4, "xxx…"},
	} {
		tt := &texts{columns: 80}
		if got := tt.value(api.Text(test.text), test.room); got != test.want {
			t.Errorf("%s: %q, not %q", name, got, test.want)
		}
		if (tt.cut == 1) != strings.HasSuffix(test.want, "…") {
			t.Errorf("%s: %d are said to be cut", name, tt.cut)
		}
	}
}

func TestWithNobodyToAskItIsSaidWhatToDo(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "user-profile-x", errors.New("no"))
	for name, test := range map[string]struct {
		change func(w *world)
		args   []string
		want   string
	}{
		"suspended": {func(w *world) { w.pods = nil; w.projection.Spec.Suspend = true }, nil,
			"error: user-profile is suspended: no projector runs that could be asked\nkubectl refold resume -n shop user-profile lets it run again\n"},
		"complete": {func(w *world) { w.pods = nil; w.says("Completed", "folded up to source.until") }, nil,
			"error: user-profile is complete, so its projector has ended: nobody is there to be asked\nkubectl refold fold reads the log without a projector\n"},
		"no pod": {func(w *world) { w.pods = nil; w.says("Progressing", "starting") }, nil,
			"error: no projector of revision ld36f2k5 runs: Progressing: starting\nkubectl refold status -n shop user-profile says more\n"},
		"a pod that does not start": {func(w *world) {
			w.pods = []client.Object{w.pod("ld36f2k5", func(p *corev1.Pod) {
				p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}
			})}
		}, nil,
			"error: the projector of revision ld36f2k5 does not run: pod user-profile-ld36f2k5-x2x4k is ImagePullBackOff\nkubectl refold status -n shop user-profile says more, and kubectl logs -n shop user-profile-ld36f2k5-x2x4k what it said last\n"},
		"nothing published": {func(w *world) {
			w.projection.Status.ActiveRevision = ""
			w.projection.Status.Revisions[0].State = v1alpha1.RevisionBuilding
			w.says("Replaying", "is built")
		}, nil,
			"error: nothing of user-profile is published yet: Replaying: is built\n--revision ld36f2k5 asks the projector that builds it\n"},
		"another revision": {func(*world) {}, []string{"--revision", "ld36f2k6"},
			"error: user-profile has no revision \"ld36f2k6\"\ndid you mean ld36f2k5?\n"},
		"a retired revision": {func(w *world) {
			w.projection.Status.Revisions = append(w.projection.Status.Revisions, v1alpha1.RevisionStatus{Name: "old22222", State: v1alpha1.RevisionRetiring})
		}, []string{"--revision", "old22222"},
			"error: no projector of revision old22222 runs: it is Retiring\nkubectl refold status -n shop user-profile says more\n"},
		"no right to list pods": {func(w *world) { w.listErr = forbidden }, nil,
			"error: you may not list pods in namespace shop\nask for the verb \"list\" on pods; kubectl auth can-i list pods -n shop says whether you have it\n"},
		"no right to port-forward": {func(w *world) { w.refuse = forbidden }, nil,
			"error: you may not create pods/portforward in namespace shop\nask for the verb \"create\" on pods/portforward; kubectl auth can-i create pods/portforward -n shop says whether you have it\n"},
		"an older projector": {func(w *world) {
			w.refuse = fmt.Errorf("%w: to 8081", errRefused)
			w.pods = []client.Object{w.pod("ld36f2k5", func(p *corev1.Pod) { p.Spec.Containers[0].Args = []string{"run"} })}
		}, nil,
			"error: the projector in pod user-profile-ld36f2k5-x2x4k is older than this program, and cannot be asked\nbring Refold up to v1.0.0 (docs/install.md); its operator then starts projectors that can\n"},
		"a projector that is not up yet": {func(w *world) { w.refuse = errRefused }, nil,
			"error: the projector in pod user-profile-ld36f2k5-x2x4k does not answer on 127.0.0.1:8081\nask again if it has only just started; else kubectl logs -n shop user-profile-ld36f2k5-x2x4k says why\n"},
		"a tunnel that breaks": {func(w *world) { w.refuse = errors.New("lost\x1b[2J") }, nil,
			"error: the connection to the projector in pod user-profile-ld36f2k5-x2x4k was lost: lost\\x1b[2J\nask again; kubectl refold status -n shop user-profile says whether it runs\n"},
		"another release": {func(w *world) { w.handler = http.NotFoundHandler() }, nil,
			"error: the projector in pod user-profile-ld36f2k5-x2x4k answers 404 Not Found, and does not say why\nit is of another release than this program, kubectl-refold v1.0.0\n"},
		"no log": {func(*world) {}, nil,
			"error: the stream \"user_events\" does not exist: it is not there yet; … (SourceMissing)\n"},
		"an answer that ends early": {func(w *world) {
			w.handler = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
				if r.URL.Path == api.InfoPath {
					fmt.Fprint(out, "{}")
					return
				}
				fmt.Fprintln(out, `{"progress":{}}`)
			})
		}, nil,
			"error: the connection to the projector in pod user-profile-ld36f2k5-x2x4k was lost: the answer ended before it was complete: ask again\nask again; kubectl refold status -n shop user-profile says whether it runs\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			test.change(w)
			got := w.run(append([]string{"explain", "user-profile", "42"}, test.args...)...)
			if name == "no log" { // the projector's own words
				if !strings.Contains(got.err, "(SourceMissing)\n") || got.code != 1 {
					t.Error(got)
				}
				return
			}
			if got.code != 1 || got.err != test.want || got.out != "" {
				t.Errorf("%s\nwant %s", got, test.want)
			}
		})
	}
}

func (w *world) says(reason, message string) {
	w.projection.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "False", Reason: reason, Message: message}}
}

func TestUsage(t *testing.T) {
	w := newWorld(t)
	for _, args := range [][]string{
		{"at", "x"}, {"at", "x", "--time", "yesterday"}, {"at", "x", "--id", "1-2-3"}, {"at", "x", "--id", "1", "--time", "1h"}, {"at", "--time", "1h"},
		{"at", "x", "--time", "1h", "--file", "users.txt"}, {"at", "x", "--time", "1h", "-o", "name"}, {"at", "x", "--time", "1h", "--key", "a", "--prefix", "a"},
		{"explain", "x"}, {"log", "x", "--limit", "0"}, {"log", "x", "--since", "tuesday"}, {"diff", "x", "y"}, {"diff", "x", "--key", "1", "--all"},
	} {
		if got := w.run(args...); got.code != 3 || !strings.HasPrefix(got.err, "error: ") {
			t.Errorf("%v: %s", args, got)
		}
	}
}

// waiter is a projector whose scans last until the client goes.
type waiter struct {
	http.Handler
	came, gone chan struct{}
}

func (h waiter) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if r.URL.Path == api.InfoPath {
		h.Handler.ServeHTTP(out, r)
		return
	}
	for i := 1; ; i++ {
		fmt.Fprintf(out, `{"progress":{"position":"1-0","last":"2-0","entries":%d,"of":100000}}`+"\n", i*100)
		_ = http.NewResponseController(out).Flush()
		select {
		case h.came <- struct{}{}:
		case <-r.Context().Done():
			close(h.gone)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestAnInterruptEndsTheScanInTheProjector(t *testing.T) {
	w := story(t)
	w.serve()
	h := waiter{w.handler, make(chan struct{}), make(chan struct{})}
	w.handler = h
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		<-h.came
		interrupt()
	}()
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	if code := w.runOn(ctx, streams, "explain", "user-profile", "42"); code != 1 || errOut.String() != "error: interrupted\n" {
		t.Errorf("%d %s", code, errOut)
	}
	select {
	case <-h.gone:
	case <-time.After(10 * time.Second):
		t.Error("the projector goes on")
	}
}

func TestALongScanShowsHowFarItIs(t *testing.T) {
	w := story(t)
	w.serve()
	h := waiter{w.handler, make(chan struct{}), make(chan struct{})}
	w.handler = h
	control, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = control.Close() })
	if err := pty.Setsize(control, &pty.Winsize{Rows: 10, Cols: 60}); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.runOn(ctx, genericiooptions.IOStreams{In: terminal, Out: &bytes.Buffer{}, ErrOut: terminal}, "explain", "user-profile", "42")
	}()
	seen := readUntil(t, control, "░   ")
	if !strings.Contains(seen, "\r█") && !strings.Contains(seen, "\r░") || !strings.Contains(seen, "/s") {
		t.Errorf("%q", seen)
	}
	interrupt()
	if rest := readUntil(t, control, "interrupted"); !strings.Contains(rest, "\r\x1b[Kerror: interrupted") {
		t.Errorf("the bar stays: %q", rest)
	}
	<-done
}

func readUntil(t *testing.T, from *os.File, want string) string {
	t.Helper()
	all, piece := "", make([]byte, 4096)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		n, err := from.Read(piece)
		if err != nil {
			t.Fatal(err)
		}
		if all += string(piece[:n]); strings.Contains(all, want) {
			return all
		}
	}
	t.Fatalf("never %q: %q", want, all)
	return ""
}

// lockedBuffer is written by the program while the test reads.
type lockedBuffer struct{ lines chan string }

func (b lockedBuffer) Write(p []byte) (int, error) {
	b.lines <- string(p)
	return len(p), nil
}

func TestFollowingPrintsWhatComesAndEndsWell(t *testing.T) {
	w := story(t)
	ctx, interrupt := context.WithCancel(t.Context())
	out := lockedBuffer{make(chan string, 100)}
	code := make(chan int, 1)
	go func() {
		code <- w.runOn(ctx, genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: out, ErrOut: &bytes.Buffer{}}, "log", "user-profile", "-f", "--key", "42", "--limit", "2")
	}()
	next := func() string {
		select {
		case line := <-out.lines:
			return line
		case <-time.After(20 * time.Second):
			t.Fatal("nothing comes")
		}
		return ""
	}
	for _, want := range []string{"cents=799", "analytical"} {
		if got := next(); !strings.Contains(got, want) {
			t.Errorf("%s has no %s", got, want)
		}
	}
	w.add(500, "OrderPlaced", "id", "7", "cents", "1")
	w.add(501, "OrderPlaced", "id", "42", "cents", "2")
	if got := next(); !strings.Contains(got, "cents=2") {
		t.Error(got)
	}
	interrupt()
	if got := <-code; got != 0 {
		t.Errorf("it ends with %d", got)
	}
}
