package resources

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/projector/contract"
)

// Where a projector finds its contract and its Secrets.
const (
	contractDir      = "/etc/refold/contract"
	sourceDir        = "/etc/refold/source"
	sourceCADir      = "/etc/refold/source-ca"
	sourceCertDir    = "/etc/refold/source-cert"
	readModelDir     = "/etc/refold/readmodel"
	readModelCADir   = "/etc/refold/readmodel-ca"
	readModelCertDir = "/etc/refold/readmodel-cert"
)

// Document renders the contract of the revision that the spec names.
func Document(p *v1alpha1.Projection) contract.Document {
	spec := plan.Defaulted(p.Spec)
	hash := spec.ReadModel.RedisHash
	target := v1alpha1.Redis{URL: hash.URL, CredentialsSecretRef: hash.CredentialsSecretRef, TLS: hash.TLS}
	return contract.Document{
		Version:    contract.Version,
		Projection: p.Namespace + "/" + p.Name,
		UID:        string(p.UID),
		Revision:   plan.Revision(p.Spec),
		Source: contract.Source{
			Redis:        redis(spec.Source.Redis, sourceDir, sourceCADir, sourceCertDir),
			Stream:       spec.Source.Stream,
			From:         plan.StartID(spec.Source.From),
			Until:        plan.EndID(spec.Source.Until),
			Format:       string(spec.Source.Format),
			PayloadField: spec.Source.PayloadField,
			TypeField:    spec.Source.TypeField,
		},
		Reducer: reducer(spec.Reducer),
		ReadModel: contract.ReadModel{
			Fields: fields(spec.ReadModel.Fields),
			RedisHash: &contract.RedisHash{
				Redis:     redis(target, readModelDir, readModelCADir, readModelCertDir),
				KeyPrefix: hash.KeyPrefix,
				Cutover:   unless(string(hash.Cutover), contract.CutoverRename),
			},
		},
		ErrorPolicy: contract.ErrorPolicy{OnError: string(spec.ErrorPolicy.OnError)},
		Replay: contract.Replay{
			MaxEventsPerSecond: spec.Replay.MaxEventsPerSecond,
			History:            unless(string(spec.Replay.History), contract.HistoryRequired),
		},
	}
}

// unless leaves a default out: a contract that does not use a field is, byte for
// byte, the one of the time before there was such a field, and rolls no pod.
func unless(value, def string) string {
	if value == def {
		return ""
	}
	return value
}

func redis(in v1alpha1.Redis, dir, caDir, certDir string) contract.Redis {
	out := contract.Redis{URL: string(in.URL)}
	if in.CredentialsSecretRef != nil {
		out.Credentials = &contract.Credentials{SecretName: in.CredentialsSecretRef.Name, Dir: dir}
	}
	if in.TLS == nil {
		return out
	}
	out.TLS = &contract.TLS{ServerName: in.TLS.ServerName}
	if ref := in.TLS.CASecretRef; ref != nil {
		out.TLS.CASecretName, out.TLS.CADir = ref.Name, caDir
	}
	if ref := in.TLS.CertSecretRef; ref != nil {
		out.TLS.CertSecretName, out.TLS.CertDir = ref.Name, certDir
	}
	return out
}

func reducer(in v1alpha1.Reducer) contract.Reducer {
	out := contract.Reducer{Type: string(in.Type), Key: string(in.Key)}
	for _, rule := range in.Rules {
		out.Rules = append(out.Rules, contract.Rule{
			On:     texts(rule.On),
			When:   string(rule.When),
			Set:    plan.Expressions(rule.Set),
			Add:    plan.Expressions(rule.Add),
			Unset:  texts(rule.Unset),
			Delete: rule.Delete,
		})
	}
	return out
}

func texts[T ~string](in []T) []string {
	if len(in) == 0 {
		return nil
	}
	out := make([]string, 0, len(in))
	for _, s := range in {
		out = append(out, string(s))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// fields are sorted: their order means nothing, so it must not roll a pod.
func fields(in []v1alpha1.Field) []contract.Field {
	types := map[string]string{}
	for _, field := range in {
		types[string(field.Name)] = string(field.Type)
	}
	out := make([]contract.Field, 0, len(types))
	for _, name := range slices.Sorted(maps.Keys(types)) {
		out = append(out, contract.Field{Name: name, Type: types[name]})
	}
	return out
}

// CarryOver is the contract of a revision that goes on although the spec names
// another: its fold is untouched, and it takes from the spec what is not part of
// the fold. Credentials and certificates follow only to the server they are for.
func CarryOver(running, desired contract.Document) contract.Document {
	out := running
	out.ErrorPolicy, out.Replay = desired.ErrorPolicy, desired.Replay
	carryRedis(&out.Source.Redis, desired.Source.Redis)
	if running.ReadModel.RedisHash != nil && desired.ReadModel.RedisHash != nil {
		hash := *running.ReadModel.RedisHash
		carryRedis(&hash.Redis, desired.ReadModel.RedisHash.Redis)
		out.ReadModel.RedisHash = &hash
	}
	return out
}

func carryRedis(to *contract.Redis, from contract.Redis) {
	if to.URL == from.URL {
		*to = from
	}
}

// TriggerAnnotation is the spec.replay.trigger that a revision was made with. It is
// part of the revision's name and concerns no projector; with it the spec can be
// told from the contract.
const TriggerAnnotation = "refold.dev/trigger"

// ConfigMap holds a contract, immutable and named by its content.
func ConfigMap(p *v1alpha1.Projection, revision, trigger string, document []byte) *corev1.ConfigMap {
	object := &corev1.ConfigMap{
		ObjectMeta: objectMeta(p, ConfigMapName(p.Name, revision, document), revision, Projector),
		Immutable:  ptr.To(true),
		Data:       map[string]string{contract.FileName: string(document)},
	}
	if trigger != "" {
		object.Annotations = map[string]string{TriggerAnnotation: trigger}
	}
	object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	return object
}

// Encode renders a contract. It cannot fail: a Document is strings and numbers.
func Encode(document contract.Document) []byte {
	out, err := contract.Encode(document)
	if err != nil {
		panic(fmt.Sprintf("resources: a contract always encodes: %v", err))
	}
	return out
}
