package cluster

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// planted stand wherever somebody may have written something; none may be in a
// bundle.
const (
	password = "hunter2-swordfish"
	value    = "ada@example.com"
	entity   = "4711-lovelace"
)

// words are of operators and projectors as they may be.
var words = []string{
	fmt.Sprintf("the key %q exists and was not made by this Projection", "user:"+entity),
	"cannot log in to redis://admin:" + password + "@redis:6379/0: refused",
	"password=" + password + " is refused, as is Authorization: Bearer " + password,
	fmt.Sprintf("value %q is cut off: \"%s and more", value, value),
	"~7f3k2m4q:user:" + entity + " is there already",
}

func spoiltStatus(problem string) contract.Status {
	return contract.Status{Version: 1, Revision: "x", Build: "v1.0.0", Partitions: []contract.Partition{{
		Stream: "user_events", State: contract.StateHalted, Claimed: true, Position: "5-0",
		Problem: &contract.Problem{Reason: contract.ReasonNotOwned, Message: problem, Remedy: "rename " + fmt.Sprintf("%q", "user:"+entity)}}}}
}

type fakeReader struct{ status contract.Status }

func (r fakeReader) read(context.Context, *corev1.Pod) (contract.Status, error) { return r.status, nil }

// spoil writes what is planted into all that belongs to a Projection.
func (w *world) spoil(p *v1alpha1.Projection) {
	w.t.Helper()
	revision := w.keepContract(p)
	labels := resources.SelectorLabels(p.Name, revision, resources.Projector)
	labelled := metav1.ObjectMeta{Namespace: w.namespace, Name: p.Name + "-other", Labels: labels, Annotations: map[string]string{"note": password}}
	w.Expect(w.client.Create(w.ctx, &corev1.Secret{ObjectMeta: labelled, StringData: map[string]string{"password": password}})).To(Succeed())
	w.Expect(w.client.Create(w.ctx, &corev1.ConfigMap{ObjectMeta: labelled, Data: map[string]string{contract.FileName: `{"version":1,"revision":"` + password + `"}`, "x": value}})).To(Succeed())
	container := corev1.Container{Name: "projector", Image: "refold-projector:v1", Args: []string{"--password=" + password},
		Env: []corev1.EnvVar{{Name: "REDIS_PASSWORD", Value: password}, {Name: "GOMEMLIMIT", Value: "123"}}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: p.Name + "-pod", Labels: labels, Annotations: map[string]string{"token": password}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{container}}}
	w.Expect(w.client.Create(w.ctx, pod)).To(Succeed())
	pod.Status = running(true, 1)
	pod.Status.Message = password
	pod.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: password + value}
	w.Expect(w.client.Status().Update(w.ctx, pod)).To(Succeed())
	job := pod.DeepCopy()
	job.ResourceVersion, job.UID, job.Name, job.Labels = "", "", p.Name+"-verify", resources.SelectorLabels(p.Name, revision, resources.Verify)
	w.Expect(w.client.Create(w.ctx, job)).To(Succeed())
	job.Status = corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{Name: "projector", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		Message: `{"version":1,"done":true,"message":"compared \"` + value + `\"","diff":{"atID":"9-0","same":1,"digest":"abc","sample":[{"key":"` + entity + `","change":"Changed"}]}}`}}}}}
	w.Expect(w.client.Status().Update(w.ctx, job)).To(Succeed())
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{container}}}
	w.Expect(w.client.Create(w.ctx, &appsv1.Deployment{ObjectMeta: labelled, Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template}})).To(Succeed())
	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.ActiveRevision = revision
		s.Conditions = conditions("Stalled", "EventFailed", "event 5-1: rule 3 (OrderPlaced): add.spent_cents: "+value+" is not an int, password "+password)
		for i, text := range words {
			s.Conditions = append(s.Conditions, metav1.Condition{Type: fmt.Sprintf("Other%d", i), Status: "True", Reason: "NotOwned", Message: text})
			w.event(p, "Warning", "NotOwned", text, 0)
		}
		s.Revisions = []v1alpha1.RevisionStatus{{Name: revision, State: "Active", Diff: &v1alpha1.RevisionDiff{AtID: "9-0", Changed: 1,
			Sample: []v1alpha1.DiffSample{{Key: entity, Change: "Changed", Fields: []string{"email"}}}}}}
	})
}

func spoiltLog() []byte {
	lines := []string{
		`{"time":"2026-11-23T12:00:00Z","level":"INFO","msg":"Starting","projection":"shop/user-profile","build":"v1.0.0"}`,
		`{"level":"ERROR","msg":"Stopped","reason":"EventFailed","error":"EventFailed: event 5-1: rule 3 (OrderPlaced): add.spent_cents: ` + value + ` is not an int"}`,
		`{"level":"INFO","msg":"of a reducer in Go","user":"` + entity + `","email":"` + value + `","nested":{"password":"` + password + `"}}`,
		`{"level":"WARN","msg":"Trying again","error":{"x":"` + value + `"}}`,
		"AUTH " + password,
		"panic: no such user " + entity,
		"goroutine 1 [running]:",
		"main.main()",
		"\t/src/cmd/projector/main.go:16 +0x1d",
	}
	for _, text := range words {
		lines = append(lines, fmt.Sprintf(`{"level":"WARN","msg":"Trying again","error":%q}`, text))
	}
	return []byte(strings.Join(lines, "\n"))
}

// unpack reads a tar.gz.
func unpack(t *testing.T, data []byte) map[string]string {
	t.Helper()
	plain, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(header.Name, "/")
		out[name] = string(content)
	}
}

func TestAReportHoldsNoSecretAndNoEntity(t *testing.T) {
	for _, problem := range words {
		w := newWorld(t)
		p := w.create(func(p *v1alpha1.Projection) {
			p.Annotations = map[string]string{lastApplied: `{"spec":"` + password + `"}`, "team/token": password}
			p.Labels = map[string]string{"owner": "4711-lovelace"}
			p.Spec.Projector.PodAnnotations = map[string]v1alpha1.AnnotationValue{"vault": password}
			p.Spec.Source.Redis.CredentialsSecretRef = &v1alpha1.SecretReference{Name: "redis"}
		})
		w.spoil(p)
		s := w.session()
		s.readings = fakeReader{spoiltStatus(problem)}
		s.readLog = func(context.Context, string, string, string, bool) ([]byte, error) { return spoiltLog(), nil }
		o, err := s.get(w.ctx, p.Name)
		w.Expect(err).NotTo(HaveOccurred())
		var packed bytes.Buffer
		w.Expect(s.gather(w.ctx, o).write(&packed)).To(Succeed())
		files := unpack(t, packed.Bytes())
		for name, text := range files {
			for _, bad := range []string{password, "swordfish", value, entity, "lovelace", "example.com"} {
				if at := strings.Index(text, bad); at >= 0 {
					t.Errorf("%s holds %q: %s", name, bad, text[max(0, at-100):min(len(text), at+100)])
				}
			}
		}
		w.Expect(files).To(HaveKey("README.txt"))
		w.Expect(files["projection.yaml"]).To(And(ContainSubstring("event.email"), ContainSubstring("name: redis"), ContainSubstring("rule 3 (OrderPlaced): add.spent_cents: …")))
		w.Expect(files["contracts.yaml"]).To(ContainSubstring("stream: user_events"))
		w.Expect(files["pods.yaml"]).To(And(ContainSubstring(`GOMEMLIMIT: "123"`), ContainSubstring("REDIS_PASSWORD: …"), ContainSubstring("ended with 1, Error")))
		w.Expect(files["logs/user-profile-pod.log"]).To(And(ContainSubstring("Starting"), ContainSubstring("main.go:16"), ContainSubstring("panic: …")))
		w.Expect(files).To(HaveKey("logs/user-profile-pod.previous.log"))
		w.Expect(files["statusz/user-profile-pod.yaml"]).To(ContainSubstring("NotOwned"))
		w.Expect(files["status.txt"]).To(ContainSubstring("Stalled: EventFailed"))
		w.Expect(files["events.yaml"]).To(ContainSubstring("reason: NotOwned"))
		w.Expect(files["versions.yaml"]).To(ContainSubstring("kubectl-refold: v1.0.0"))
		w.Expect(files["deployments.yaml"]).To(ContainSubstring("refold-projector:v1"))
		if t.Failed() {
			return
		}
	}
}

func (w *world) session() *session {
	w.t.Helper()
	f := w.factory(genericiooptions.NewTestIOStreamsDiscard())
	root := cli.New(f)
	w.Expect(root.PersistentFlags().Set("kubeconfig", apiServer.kubeconfig)).To(Succeed())
	w.Expect(root.PersistentFlags().Set("namespace", w.namespace)).To(Succeed())
	s, err := newSession(f)
	w.Expect(err).NotTo(HaveOccurred())
	return s
}

func TestAReportIsAFileThatNamesWhatIsNotInIt(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	w.pod(p, plan.Revision(p.Spec), "user-profile-pod", resources.Projector, running(true, 0))
	path := filepath.Join(t.TempDir(), "report.tar.gz")
	got := w.run("report", p.Name, "-f", path)
	w.Expect(got.code).To(Equal(0), got.err)
	w.Expect(got.out).To(Equal(path + "\n"))
	w.Expect(got.err).To(ContainSubstring("not in it: logs/user-profile-pod.log: "))
	data, err := os.ReadFile(path)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(w.plain(unpack(t, data)["README.txt"])).To(And(HavePrefix("A report of the Projection shop/user-profile, made by kubectl-refold v1.0.0 at 2026-11-23T12:00:00Z."),
		ContainSubstring("Not in it, because it could not be read:\n")))
	info, err := os.Stat(path)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))

	w.Expect(w.run("report", p.Name, "-f", path).err).To(HavePrefix("error: " + path + " exists\n"))
	got = w.run("report", p.Name, "-f", "-")
	w.Expect(unpack(t, []byte(got.out))).To(HaveKey("projection.yaml"))
	w.Expect(got.err).To(ContainSubstring("not in it: logs/user-profile-pod.log: "), "what goes through a pipe lacks it too")

	w.Expect(w.client.Get(w.ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
}

func TestRedactionLeavesWhatHelps(t *testing.T) {
	o := &object{Projection: readSample(t)}
	r := newRedactor(o)
	for in, want := range map[string]string{
		`Secret redis has no key password, or is not there`:            `Secret redis has no key password, or is not there`,
		`dial tcp 10.0.0.1:6379: connection refused`:                   `dial tcp 10.0.0.1:6379: connection refused`,
		`field "email" of "user_events" is "x"`:                        `field "email" of "user_events" is "…"`,
		`rediss://u:p@h:6379/0 and redis://:p@h`:                       `rediss://h:6379/0 and redis://h`,
		`the key 'it\'s' and ` + "`raw`":                               `the key '…' and ` + "`…`",
		`a replay from 0-0 on would miss entries: 5 of the 9 are gone`: `a replay from 0-0 on would miss entries: 5 of the 9 are gone`,
	} {
		if got := r.text(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestURLsAreShownWithoutWhoLogsIn(t *testing.T) {
	o := &object{Projection: readSample(t)} // as a resource definition of another release may have taken it
	o.Spec.Source.Redis.URL = "redis://admin:hunter2@redis.shop.svc:6379/0?password=hunter2"
	o.Spec.ReadModel.RedisHash.URL = "rediss://:hunt/er@2@other:6379/1"
	shown := newRedactor(o).projection(o)
	g := NewWithT(t)
	g.Expect(shown.Spec.Source.Redis.URL).To(BeEquivalentTo("redis://redis.shop.svc:6379/0"))
	g.Expect(shown.Spec.ReadModel.RedisHash.URL).To(BeEquivalentTo("rediss://other:6379/1"))
	g.Expect(drawing{now: now}.draw(&view{object: o})).NotTo(ContainSubstring("hunt"))
}
