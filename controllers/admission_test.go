package controllers

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
)

type change = func(*v1alpha1.Projection)

func sourceURL(url string) change {
	return func(p *v1alpha1.Projection) { p.Spec.Source.Redis.URL = v1alpha1.URL(url) }
}
func from(s string) change      { return func(p *v1alpha1.Projection) { p.Spec.Source.From = s } }
func keyPrefix(s string) change { return named("user-profile", s) }
func rule(r v1alpha1.Rule) change {
	return func(p *v1alpha1.Projection) {
		if r.On == nil && r.OnUnquoted == nil {
			r.On = []v1alpha1.EventType{"UserCreated"}
		}
		p.Spec.Reducer.Rules[0] = r
	}
}
func podLabel(key string, value v1alpha1.LabelValue) change {
	return func(p *v1alpha1.Projection) {
		p.Spec.Projector.PodLabels = map[string]v1alpha1.LabelValue{key: value}
	}
}

const manyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" // 64

// refused are specs that the API server answers by itself, and with which words.
var refused = map[string]struct {
	change change
	want   string
}{
	"a scheme that is not Redis": {sourceURL("http://redis:6379/0"), "must begin with redis:// or, for TLS, rediss://"},
	"no scheme":                  {sourceURL("redis:6379"), "must begin with redis://"},
	"a URL with a password":      {sourceURL("redis://:secret@redis:6379/0"), "put them into a Secret and name it in credentialsSecretRef"},
	"a URL with a user":          {sourceURL("redis://me@redis"), "credentialsSecretRef"},
	"a URL without a host":       {sourceURL("redis://:6379/0"), "must be redis://host:port/database"},
	"a port that is none":        {sourceURL("redis://redis:70000/0"), "must be redis://host:port/database"},
	"a database that is none":    {sourceURL("redis://redis:6379/zero"), "must be redis://host:port/database"},
	"a URL with a query":         {sourceURL("redis://redis:6379/0?db=3"), "must be redis://host:port/database"},
	"a URL with a line break":    {sourceURL("redis://redis:6379/0\nx"), "must be redis://host:port/database"},
	"an empty URL":               {sourceURL(""), "spec.source.redis.url"},
	"TLS without rediss":         {func(p *v1alpha1.Projection) { p.Spec.Source.Redis.TLS = &v1alpha1.TLS{} }, "tls needs a rediss:// URL"},
	"a Secret's name that is none": {func(p *v1alpha1.Projection) {
		p.Spec.Source.Redis.CredentialsSecretRef = &v1alpha1.SecretReference{Name: "A_b"}
	}, "credentialsSecretRef.name"},
	"no stream":                       {func(p *v1alpha1.Projection) { p.Spec.Source.Stream = "" }, "spec.source.stream"},
	"a stream of Refold's own":        {func(p *v1alpha1.Projection) { p.Spec.Source.Stream = "refold:{a/b}" }, "Refold's own"},
	"from as a word":                  {from("yesterday"), "must be a stream ID, as in 1795412031120-0, or an RFC 3339 time"},
	"from as $":                       {from("$"), "must be a stream ID"},
	"from without a zone":             {from("2026-11-23T00:00:00"), "RFC 3339"},
	"from in month 13":                {from("2026-13-01T00:00:00Z"), "RFC 3339"},
	"from before 1970":                {from("1969-12-31T23:59:59Z"), "RFC 3339"},
	"a negative ID":                   {from("-1"), "must be a stream ID"},
	"a format that is none":           {func(p *v1alpha1.Projection) { p.Spec.Source.Format = "Avro" }, "Unsupported value"},
	"payloadField with Fields":        {func(p *v1alpha1.Projection) { p.Spec.Source.PayloadField = "data" }, "the format Fields has no payload"},
	"a reducer that is none":          {func(p *v1alpha1.Projection) { p.Spec.Reducer.Type = "Wasm" }, "Unsupported value"},
	"no key":                          {func(p *v1alpha1.Projection) { p.Spec.Reducer.Key = "" }, "spec.reducer.key"},
	"a key that is too long":          {func(p *v1alpha1.Projection) { p.Spec.Reducer.Key = v1alpha1.Expression(strings.Repeat("a", 4097)) }, "spec.reducer.key: Too long"},
	"no rules":                        {func(p *v1alpha1.Projection) { p.Spec.Reducer.Rules = []v1alpha1.Rule{} }, "spec.reducer.rules"},
	"too many rules":                  {func(p *v1alpha1.Projection) { p.Spec.Reducer.Rules = slices.Repeat(p.Spec.Reducer.Rules, 20) }, "spec.reducer.rules: Too many"},
	"a rule for no type":              {rule(v1alpha1.Rule{On: []v1alpha1.EventType{}, Delete: true}), "names in on, once, the types"},
	"a rule with on twice":            {rule(v1alpha1.Rule{On: []v1alpha1.EventType{"A"}, OnUnquoted: []v1alpha1.EventType{"B"}, Delete: true}), "names in on, once"},
	"a type named twice":              {rule(v1alpha1.Rule{On: []v1alpha1.EventType{"A", "A"}, Delete: true}), "Duplicate value"},
	"a rule that does nothing":        {rule(v1alpha1.Rule{}), "a rule needs at least one of set, add, unset and delete"},
	"delete with set":                 {rule(v1alpha1.Rule{Delete: true, Set: map[string]v1alpha1.Expression{"id": "event.id"}}), "goes without set, add and unset"},
	"set of an undeclared field":      {rule(v1alpha1.Rule{Set: map[string]v1alpha1.Expression{"nick": "event.id"}}), "every field in a rule's set must be declared in readModel.fields"},
	"add to an undeclared field":      {rule(v1alpha1.Rule{Add: map[string]v1alpha1.Expression{"nick": "1"}}), "every field in a rule's add must be declared"},
	"unset of an undeclared field":    {rule(v1alpha1.Rule{Unset: []v1alpha1.FieldName{"nick"}}), "every field in a rule's unset must be declared"},
	"an empty expression":             {rule(v1alpha1.Rule{Set: map[string]v1alpha1.Expression{"id": ""}}), "spec.reducer.rules[0].set.id"},
	"an expression that is too long":  {rule(v1alpha1.Rule{Set: map[string]v1alpha1.Expression{"id": v1alpha1.Expression(strings.Repeat("a", 4097))}}), "Too long"},
	"no fields":                       {func(p *v1alpha1.Projection) { p.Spec.ReadModel.Fields = []v1alpha1.Field{} }, "spec.readModel.fields"},
	"a field declared twice":          {func(p *v1alpha1.Projection) { p.Spec.ReadModel.Fields[1].Name = "id" }, "Duplicate value"},
	"a field's name that is none":     {func(p *v1alpha1.Projection) { p.Spec.ReadModel.Fields[1].Name = "first name" }, "spec.readModel.fields[1].name"},
	"a field's name that is too long": {func(p *v1alpha1.Projection) { p.Spec.ReadModel.Fields[1].Name = manyA }, "Too long"},
	"a field's type that is none":     {func(p *v1alpha1.Projection) { p.Spec.ReadModel.Fields[1].Type = "Decimal" }, "Unsupported value"},
	"no prefix":                       {keyPrefix(""), "keyPrefix"},
	"a prefix with a space":           {keyPrefix("user :"), "no white space"},
	"a prefix with NUL":               {keyPrefix("user\x00:"), "no white space and no control character"},
	"a prefix of Refold's own":        {keyPrefix("refold:x"), "Refold's own"},
	"a prefix of Refold's prefix":     {keyPrefix("ref"), "choose a prefix that none of them begins with"},
	"a prefix of hidden revisions":    {keyPrefix("~user:"), "keys that begin with ~"},
	"the read model's URL":            {func(p *v1alpha1.Projection) { p.Spec.ReadModel.RedisHash.URL = "redis://a:b@c" }, "credentialsSecretRef"},
	"the read model's TLS": {func(p *v1alpha1.Projection) { p.Spec.ReadModel.RedisHash.TLS = &v1alpha1.TLS{} },
		"tls needs a rediss:// URL, and this one is the source's"},
	"the read model's TLS with its own URL": {func(p *v1alpha1.Projection) {
		p.Spec.ReadModel.RedisHash.URL, p.Spec.ReadModel.RedisHash.TLS = "redis://other", &v1alpha1.TLS{}
	}, "tls needs a rediss:// URL"},
	"an error policy of a later release": {func(p *v1alpha1.Projection) { p.Spec.ErrorPolicy.OnError = "Skip" }, "Unsupported value"},
	"a deletion policy that is none":     {func(p *v1alpha1.Projection) { p.Spec.DeletionPolicy = "Orphan" }, "Unsupported value"},
	"a label of the operator's":          {podLabel("refold.dev/revision", "x"), "labels of refold.dev and app.kubernetes.io are the operator's"},
	"a label's name that is none":        {podLabel("not a name", "x"), "a label's name is at most 63"},
	"a label's value that is none":       {podLabel("team", "a b"), "podLabels"},
	"a label's value that is too long":   {podLabel("team", manyA), "podLabels"},
	"an annotation of the operator's": {func(p *v1alpha1.Projection) {
		p.Spec.Projector.PodAnnotations = map[string]v1alpha1.AnnotationValue{"refold.dev/x": ""}
	}, "annotations of refold.dev"},
	"a pull secret named twice": {func(p *v1alpha1.Projection) {
		p.Spec.Projector.ImagePullSecrets = []v1alpha1.SecretReference{{Name: "a"}, {Name: "a"}}
	}, "Duplicate value"},
}

var accepted = map[string]change{
	"the sample":                  func(*v1alpha1.Projection) {},
	"a host alone":                sourceURL("redis://redis"),
	"an IPv6 address":             sourceURL("redis://[2001:db8::1]:6379/15"),
	"TLS by the system's roots":   sourceURL("rediss://redis.example.com:6380"),
	"an ID":                       from("1795412031120-356"),
	"an ID without sequence":      from("1795412031120"),
	"a time":                      from("2026-11-23T00:00:00Z"),
	"a time with fraction":        from("2026-11-23T00:00:00.123456789+05:30"),
	"a braced prefix":             keyPrefix("{shop}user:"),
	"a prefix in another script":  keyPrefix("пользователь:"),
	"on, read as YAML 1.1 does":   rule(v1alpha1.Rule{OnUnquoted: []v1alpha1.EventType{"A"}, Delete: true}),
	"unset":                       rule(v1alpha1.Rule{Unset: []v1alpha1.FieldName{"city"}}),
	"JSON with a payload":         func(p *v1alpha1.Projection) { p.Spec.Source.Format, p.Spec.Source.PayloadField = "JSON", "doc" },
	"CloudEvents without payload": func(p *v1alpha1.Projection) { p.Spec.Source.Format = "CloudEvents" },
	"TLS with everything": func(p *v1alpha1.Projection) {
		p.Spec.Source.Redis.URL = "rediss://redis:6379"
		p.Spec.Source.Redis.TLS = &v1alpha1.TLS{CASecretRef: &v1alpha1.SecretReference{Name: "ca"},
			CertSecretRef: &v1alpha1.SecretReference{Name: "client.cert"}, ServerName: "redis.shop"}
		p.Spec.ReadModel.RedisHash.TLS = &v1alpha1.TLS{ServerName: "other"}
	},
	"pod settings": func(p *v1alpha1.Projection) {
		p.Spec.Projector = v1alpha1.ProjectorSpec{
			Resources:          v1alpha1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse("1Gi"), "cpu": resource.MustParse("0.5")}},
			NodeSelector:       map[string]string{"disk": "fast"},
			Tolerations:        []corev1.Toleration{{Key: "dedicated", Operator: "Exists"}},
			Affinity:           &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}},
			PriorityClassName:  "high",
			ServiceAccountName: "puller",
			ImagePullSecrets:   []v1alpha1.SecretReference{{Name: "registry"}},
			PodLabels:          map[string]v1alpha1.LabelValue{"example.com/team": "shop"},
			PodAnnotations:     map[string]v1alpha1.AnnotationValue{"note": "any text"},
		}
	},
	"as much as there may be": func(p *v1alpha1.Projection) {
		p.Spec.ReadModel.Fields = nil
		set := map[string]v1alpha1.Expression{}
		for i := range 128 {
			name := v1alpha1.FieldName("f" + strings.Repeat("x", i%60) + string(rune('a'+i/60)))
			p.Spec.ReadModel.Fields = append(p.Spec.ReadModel.Fields, v1alpha1.Field{Name: name, Type: "String"})
			if i >= 64 {
				set[string(name)] = "event.a"
			}
		}
		p.Spec.Reducer.Rules = slices.Repeat([]v1alpha1.Rule{{On: []v1alpha1.EventType{"A"}, Set: set}}, 64)
	},
}

func TestAdmissionRefusesEveryInvalidFieldWithWordsThatHelp(t *testing.T) {
	w := newWorld(t)
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		t.Run(name, func(t *testing.T) {
			g, tc := NewWithT(t), refused[name]
			err := w.client.Create(w.ctx, w.sample(tc.change), client.DryRunAll)
			g.Expect(err).To(HaveOccurred())
			g.Expect(err.Error()).To(ContainSubstring(tc.want))
			g.Expect(err.Error()).NotTo(ContainSubstring("secret@"), "a message never shows a password")
		})
	}
}

func TestAdmissionAcceptsEveryValidField(t *testing.T) {
	w := newWorld(t)
	for _, name := range slices.Sorted(maps.Keys(accepted)) {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(w.client.Create(w.ctx, w.sample(accepted[name]), client.DryRunAll)).To(Succeed())
		})
	}
}

func TestFieldsOfLaterReleasesAreNotInTheSchema(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"spec.source.partitions", "spec.reducer.wasm",
		"spec.reducer.image", "spec.readModel.sqlTable", "spec.projector.workers", "spec.errorPolicy.maxRetries"} {
		u := &unstructured.Unstructured{}
		data, err := yaml.Marshal(w.sample())
		w.Expect(err).NotTo(HaveOccurred())
		w.Expect(yaml.Unmarshal(data, &u.Object)).To(Succeed())
		u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Projection"))
		w.Expect(unstructured.SetNestedField(u.Object, "x", strings.Split(path, ".")...)).To(Succeed())
		err = w.client.Create(w.ctx, u, client.DryRunAll, client.FieldValidation("Strict"))
		w.Expect(err).To(MatchError(ContainSubstring("unknown field")), path)
	}
}

func TestSamplesAreAccepted(t *testing.T) {
	files, err := filepath.Glob("../config/samples/*-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	w := newWorld(t)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.yaml") {
			continue // cases, not a manifest
		}
		data, err := os.ReadFile(file)
		w.Expect(err).NotTo(HaveOccurred())
		u := &unstructured.Unstructured{}
		w.Expect(yaml.Unmarshal(data, &u.Object)).To(Succeed())
		u.SetNamespace(w.namespace)
		w.Expect(w.client.Create(w.ctx, u, client.DryRunAll, client.FieldValidation("Strict"))).To(Succeed(), file)
	}
}

// kubectl decodes manifests like this; a bare on comes out as the key true.
func TestAnUnquotedOnReachesTheRule(t *testing.T) {
	w := newWorld(t)
	data, err := os.ReadFile("../config/samples/user-profile.yaml")
	w.Expect(err).NotTo(HaveOccurred())
	bare := strings.ReplaceAll(string(data), `"on":`, "on:")
	u := &unstructured.Unstructured{}
	w.Expect(utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(bare), 4096).Decode(&u.Object)).To(Succeed())
	u.SetNamespace(w.namespace)
	u.SetName("unquoted")
	w.Expect(unstructured.SetNestedField(u.Object, "redis://redis."+w.namespace+".svc", "spec", "source", "redis", "url")).To(Succeed())
	w.Expect(w.client.Create(w.ctx, u, client.FieldValidation("Strict"))).To(Succeed())

	p := &v1alpha1.Projection{}
	p.Namespace, p.Name = w.namespace, "unquoted"
	w.settle(p)
	w.expectReady(p)
	w.Expect(w.mounted().Reducer.Rules[0].On).To(Equal([]string{"UserCreated"}))
	w.Expect(plan.Revision(p.Spec)).To(Equal(plan.Revision(w.sample().Spec)), "quoted or not, it is one fold")
}
