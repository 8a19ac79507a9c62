package resources

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/projector/contract"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sample(t *testing.T) *v1alpha1.Projection {
	t.Helper()
	data, err := os.ReadFile("../../config/samples/user-profile.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := &v1alpha1.Projection{}
	if err := yaml.UnmarshalStrict(data, p); err != nil {
		t.Fatal(err)
	}
	p.UID = "2b1e7a52-0000-4000-8000-000000000000"
	return p
}

// full has everything that a Projection may have.
func full(t *testing.T) *v1alpha1.Projection {
	t.Helper()
	p := sample(t)
	p.Spec.Source.Redis = v1alpha1.Redis{
		URL: "rediss://redis.shop.svc", CredentialsSecretRef: &v1alpha1.SecretReference{Name: "redis"},
		TLS: &v1alpha1.TLS{CASecretRef: &v1alpha1.SecretReference{Name: "ca"},
			CertSecretRef: &v1alpha1.SecretReference{Name: "client"}, ServerName: "redis.shop"},
	}
	p.Spec.ReadModel.RedisHash.URL = "rediss://cache.shop.svc:6380/2"
	p.Spec.ReadModel.RedisHash.CredentialsSecretRef = &v1alpha1.SecretReference{Name: "cache"}
	p.Spec.ReadModel.RedisHash.TLS = &v1alpha1.TLS{CASecretRef: &v1alpha1.SecretReference{Name: "cache-ca"}}
	p.Spec.Projector = v1alpha1.ProjectorSpec{
		Resources: v1alpha1.ResourceRequirements{
			Limits:   corev1.ResourceList{"memory": resource.MustParse("1Gi"), "cpu": resource.MustParse("2")},
			Requests: corev1.ResourceList{"cpu": resource.MustParse("0.5")}},
		NodeSelector:       map[string]string{"disk": "fast"},
		Tolerations:        []corev1.Toleration{{Key: "dedicated", Operator: "Exists"}},
		PriorityClassName:  "high",
		ServiceAccountName: "puller",
		ImagePullSecrets:   []v1alpha1.SecretReference{{Name: "registry"}},
		PodLabels:          map[string]v1alpha1.LabelValue{"team": "shop"},
		PodAnnotations:     map[string]v1alpha1.AnnotationValue{"note": "any"},
	}
	return p
}

// replayed has all that came with replays.
func replayed(t *testing.T) *v1alpha1.Projection {
	t.Helper()
	p := full(t)
	p.Spec.Source.Until = "2026-11-23T00:00:00Z"
	p.Spec.ReadModel.RedisHash.Cutover = v1alpha1.CutoverPointer
	p.Spec.Replay = v1alpha1.Replay{Trigger: "once", MaxEventsPerSecond: 5000, History: v1alpha1.HistoryAvailable}
	return p
}

func input(p *v1alpha1.Projection) Input {
	d := Document(p)
	return Input{Document: Encode(d), Contract: d, Image: "refold-projector:dev", Replicas: 1, Keep: true, Attempt: 1, Trigger: p.Spec.Replay.Trigger,
		Against: "7f3k2m2q", Published: true}
}

// The contracts of sample and full are those of the release before there were
// replays: an upgrade of the operator rolls no pod.
func TestJobsOfReplays(t *testing.T) {
	p := replayed(t)
	in := input(p)
	for kind, object := range map[string]any{
		"configmap":  ConfigMap(p, in.Contract.Revision, in.Trigger, in.Document),
		"verify-job": VerifyJob(p, in), "cutover-job": CutoverJob(p, in), "retire-job": RetireJob(p, in),
	} {
		t.Run(kind, func(t *testing.T) {
			got, err := yaml.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "replayed-"+kind, got)
		})
	}
}

func TestOnlyWhatADefaultIsNotIsInTheContract(t *testing.T) {
	plain, defaults := sample(t), sample(t)
	defaults.Spec.ReadModel.RedisHash.Cutover = v1alpha1.CutoverRename
	defaults.Spec.Replay = v1alpha1.Replay{Strategy: v1alpha1.ReplayShadow, History: v1alpha1.HistoryRequired,
		Promotion: v1alpha1.Promotion{Mode: v1alpha1.PromotionManual}}
	if diff := cmp.Diff(string(Encode(Document(plain))), string(Encode(Document(defaults)))); diff != "" {
		t.Error(diff)
	}
}

func TestUntilIsInclusive(t *testing.T) {
	for until, want := range map[string]string{"": "", "5-3": "5-3", "2026-11-23T00:00:00Z": "1795392000000-18446744073709551615"} {
		p := sample(t)
		p.Spec.Source.Until = until
		if got := Document(p).Source.Until; got != want {
			t.Errorf("%q: got %s, want %s", until, got, want)
		}
	}
}

func TestObjects(t *testing.T) {
	for name, p := range map[string]*v1alpha1.Projection{"sample": sample(t), "full": full(t)} {
		in := input(p)
		for kind, object := range map[string]any{
			"configmap":  ConfigMap(p, in.Contract.Revision, in.Trigger, in.Document),
			"deployment": Deployment(p, in),
			"job":        DropJob(p, in),
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				got, err := yaml.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, name+"-"+kind, got)
			})
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden.yaml")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// Every field of the spec is in one of these classes; docs/api.md says which.
func TestWhatAChangeDoes(t *testing.T) {
	type change = func(*v1alpha1.ProjectionSpec)
	secret := &v1alpha1.SecretReference{Name: "other"}
	classes := map[string]map[string]change{
		"a new revision": {
			"source.redis.url":              func(s *v1alpha1.ProjectionSpec) { s.Source.Redis.URL = "rediss://other" },
			"source.stream":                 func(s *v1alpha1.ProjectionSpec) { s.Source.Stream = "other" },
			"source.from":                   func(s *v1alpha1.ProjectionSpec) { s.Source.From = "5-0" },
			"source.format":                 func(s *v1alpha1.ProjectionSpec) { s.Source.Format = "JSON" },
			"source.payloadField":           func(s *v1alpha1.ProjectionSpec) { s.Source.Format, s.Source.PayloadField = "JSON", "x" },
			"source.typeField":              func(s *v1alpha1.ProjectionSpec) { s.Source.TypeField = "kind" },
			"reducer.key":                   func(s *v1alpha1.ProjectionSpec) { s.Reducer.Key = "event.other" },
			"reducer.rules.on":              func(s *v1alpha1.ProjectionSpec) { s.Reducer.Rules[0].On = []v1alpha1.EventType{"Other"} },
			"reducer.rules.when":            func(s *v1alpha1.ProjectionSpec) { s.Reducer.Rules[0].When = "true" },
			"reducer.rules.set":             func(s *v1alpha1.ProjectionSpec) { s.Reducer.Rules[0].Set["name"] = "'x'" },
			"reducer.rules.add":             func(s *v1alpha1.ProjectionSpec) { s.Reducer.Rules[3].Add["orders"] = "2" },
			"reducer.rules.unset":           func(s *v1alpha1.ProjectionSpec) { s.Reducer.Rules[0].Unset = []v1alpha1.FieldName{"city"} },
			"reducer.rules.delete":          func(s *v1alpha1.ProjectionSpec) { s.Reducer.Rules[4].Delete = false },
			"the order of rules":            func(s *v1alpha1.ProjectionSpec) { r := s.Reducer.Rules; r[0], r[1] = r[1], r[0] },
			"readModel.fields":              func(s *v1alpha1.ProjectionSpec) { s.ReadModel.Fields[0].Type = "JSON" },
			"readModel.redisHash.keyPrefix": func(s *v1alpha1.ProjectionSpec) { s.ReadModel.RedisHash.KeyPrefix = "other:" },
			"source.until":                  func(s *v1alpha1.ProjectionSpec) { s.Source.Until = "9-0" },
			"readModel.redisHash.cutover":   func(s *v1alpha1.ProjectionSpec) { s.ReadModel.RedisHash.Cutover = "Pointer" },
			"replay.trigger":                func(s *v1alpha1.ProjectionSpec) { s.Replay.Trigger = "once" },
			"readModel.redisHash.url":       func(s *v1alpha1.ProjectionSpec) { s.ReadModel.RedisHash.URL = "rediss://other" },
		},
		"rolls the pod": {
			"source credentials":        func(s *v1alpha1.ProjectionSpec) { s.Source.Redis.CredentialsSecretRef = secret },
			"source TLS":                func(s *v1alpha1.ProjectionSpec) { s.Source.Redis.TLS.ServerName = "other" },
			"model credentials":         func(s *v1alpha1.ProjectionSpec) { s.ReadModel.RedisHash.CredentialsSecretRef = secret },
			"model TLS":                 func(s *v1alpha1.ProjectionSpec) { s.ReadModel.RedisHash.TLS.CASecretRef = secret },
			"replay.maxEventsPerSecond": func(s *v1alpha1.ProjectionSpec) { s.Replay.MaxEventsPerSecond = 5 },
			"replay.history":            func(s *v1alpha1.ProjectionSpec) { s.Replay.History = "Available" },
			"resources":                 func(s *v1alpha1.ProjectionSpec) { s.Projector.Resources.Limits["memory"] = resource.MustParse("2Gi") },
			"nodeSelector":              func(s *v1alpha1.ProjectionSpec) { s.Projector.NodeSelector = nil },
			"tolerations":               func(s *v1alpha1.ProjectionSpec) { s.Projector.Tolerations = nil },
			"affinity": func(s *v1alpha1.ProjectionSpec) {
				s.Projector.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{}}
			},
			"priorityClassName":  func(s *v1alpha1.ProjectionSpec) { s.Projector.PriorityClassName = "" },
			"serviceAccountName": func(s *v1alpha1.ProjectionSpec) { s.Projector.ServiceAccountName = "" },
			"imagePullSecrets":   func(s *v1alpha1.ProjectionSpec) { s.Projector.ImagePullSecrets = nil },
			"podLabels":          func(s *v1alpha1.ProjectionSpec) { s.Projector.PodLabels = nil },
			"podAnnotations":     func(s *v1alpha1.ProjectionSpec) { s.Projector.PodAnnotations = nil },
		},
		"nothing restarts": {
			"nothing":                      func(*v1alpha1.ProjectionSpec) {},
			"suspend":                      func(s *v1alpha1.ProjectionSpec) { s.Suspend = true },
			"deletionPolicy":               func(s *v1alpha1.ProjectionSpec) { s.DeletionPolicy = "Delete" },
			"replay.strategy":              func(s *v1alpha1.ProjectionSpec) { s.Replay.Strategy = "InPlace" },
			"replay.promotion":             func(s *v1alpha1.ProjectionSpec) { s.Replay.Promotion.Mode = "Manual" },
			"replay.rollbackWindowSeconds": func(s *v1alpha1.ProjectionSpec) { s.Replay.RollbackWindowSeconds = new(int64) },
			"spelling of from":             func(s *v1alpha1.ProjectionSpec) { s.Source.From = "0-0" },
			"spelling of URLs":             func(s *v1alpha1.ProjectionSpec) { s.Source.Redis.URL = "rediss://REDIS.shop.svc:6379/0" },
			"errorPolicy":                  func(s *v1alpha1.ProjectionSpec) { s.ErrorPolicy.OnError = "Halt" },
			"order of fields":              func(s *v1alpha1.ProjectionSpec) { f := s.ReadModel.Fields; f[0], f[1] = f[1], f[0] },
			"cpu as a decimal":             func(s *v1alpha1.ProjectionSpec) { s.Projector.Resources.Requests["cpu"] = resource.MustParse("500m") },
		},
	}
	for want, changes := range classes {
		for name, change := range changes {
			t.Run(want+": "+name, func(t *testing.T) {
				before, after := full(t), full(t)
				change(&after.Spec)
				if got := classOf(before, after); got != want {
					t.Errorf("got %q", got)
				}
			})
		}
	}
}

func classOf(before, after *v1alpha1.Projection) string {
	template := func(p *v1alpha1.Projection) string { return Deployment(p, input(p)).Annotations[TemplateAnnotation] }
	switch {
	case plan.Revision(before.Spec) != plan.Revision(after.Spec):
		return "a new revision"
	case template(before) != template(after):
		return "rolls the pod"
	}
	return "nothing restarts"
}

func TestAContractSurvivesTheWay(t *testing.T) {
	for name, p := range map[string]*v1alpha1.Projection{"sample": sample(t), "full": full(t)} {
		want := Document(p)
		got, err := contract.Decode(Encode(want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n%s", name, err, cmp.Diff(want, got))
		}
	}
}

func TestCarryOverTakesCredentialsOnlyToTheServerTheyAreFor(t *testing.T) {
	running, next := Document(full(t)), full(t)
	next.Spec.Source.Redis.CredentialsSecretRef.Name = "new"
	next.Spec.ReadModel.RedisHash.URL = "rediss://elsewhere"
	next.Spec.ReadModel.RedisHash.CredentialsSecretRef.Name = "elsewhere"
	got := CarryOver(running, Document(next))
	if got.Source.Redis.Credentials.SecretName != "new" || got.ReadModel.RedisHash.Redis.Credentials.SecretName != "cache" {
		t.Errorf("got %+v", got)
	}
	if got.Revision != running.Revision || !reflect.DeepEqual(got.Reducer, running.Reducer) {
		t.Error("the fold has changed")
	}
	if running.Source.Redis.Credentials.SecretName != "redis" {
		t.Error("the running contract was written to")
	}
}

func TestLongNamesAreShortenedAndStayApart(t *testing.T) {
	long := strings.Repeat("n", 200)
	a, b := sample(t), sample(t)
	a.Name, b.Name = long+".a", long+".b"
	for _, name := range []func(*v1alpha1.Projection) string{
		func(p *v1alpha1.Projection) string { return DeploymentName(p.Name, "7f3k2m9q") },
		func(p *v1alpha1.Projection) string { return ConfigMapName(p.Name, "7f3k2m9q", nil) },
		func(p *v1alpha1.Projection) string { return DropJobName(p.Name, 12) },
		func(p *v1alpha1.Projection) string { return RevisionJobName(p.Name, Cutover, "7f3k2m9q", 1234567) },
		func(p *v1alpha1.Projection) string { return ProjectionLabels(p.Name)[v1alpha1.ProjectionLabel] },
	} {
		if x, y := name(a), name(b); len(x) > 63 || x == y {
			t.Errorf("%s and %s", x, y)
		}
	}
	if got := Shorten("abc.------------", 12); strings.Contains(got, ".-") {
		t.Errorf("got %s", got)
	}
}

func TestResourcesHaveDefaultsThatContradictNothing(t *testing.T) {
	list := func(memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}
	}
	tests := map[string]struct {
		in             v1alpha1.ResourceRequirements
		request, limit string
	}{
		"nothing is set":                  {v1alpha1.ResourceRequirements{}, "128Mi", "512Mi"},
		"a low limit lowers the request":  {v1alpha1.ResourceRequirements{Limits: list("64Mi")}, "64Mi", "64Mi"},
		"a high request raises the limit": {v1alpha1.ResourceRequirements{Requests: list("2Gi")}, "2Gi", "2Gi"},
		"what is set is kept":             {v1alpha1.ResourceRequirements{Requests: list("1Gi"), Limits: list("3Gi")}, "1Gi", "3Gi"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := Resources(v1alpha1.ProjectorSpec{Resources: tc.in})
			if got.Requests.Memory().String() != tc.request || got.Limits.Memory().String() != tc.limit || got.Requests.Cpu().String() != "100m" {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestTheCollectorIsBoundByTheMemoryLimit(t *testing.T) {
	for limit, want := range map[string]string{"512Mi": "483183819", "1G": "900000000", "0": "off", "64Mi": "41943040"} {
		if got := goMemLimit(resource.MustParse(limit)); got != want {
			t.Errorf("limit %s: GOMEMLIMIT=%s, want %s", limit, got, want)
		}
	}
}

func TestTooLittleMemoryIsRefused(t *testing.T) {
	for limit, refused := range map[string]bool{"": false, "0": false, "64Mi": false, "1Gi": false, "63Mi": true, "64M": true, "100m": true} {
		options := v1alpha1.ProjectorSpec{}
		if limit != "" {
			options.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)}
		}
		if err := CheckMemory(options); (err != nil) != refused {
			t.Errorf("limit %q: %v", limit, err)
		}
	}
}
