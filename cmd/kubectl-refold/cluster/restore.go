package cluster

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/controllers/plan"
	"github.com/refold-dev/refold/controllers/resources"
	"github.com/refold-dev/refold/projector/contract"
)

// restore returns a change that gives a spec back the fold of a revision. The
// operator keeps the contract of every revision that there is in a ConfigMap
// whose name holds the hash of its content; the contract has all of the fold.
// What was made of it is believed only if it has the revision's name, which is a
// hash of the fold too: so the spec is restored exactly, or not at all.
func (s *session) restore(ctx context.Context, o *object, revision string) (func(*v1alpha1.ProjectionSpec), error) {
	if err := knowsFold(o); err != nil {
		return nil, err
	}
	document, trigger, err := s.contractOf(ctx, o, revision)
	if err != nil {
		return nil, err
	}
	for _, trigger := range triggersOf(o, trigger) {
		spec := foldOf(o.Projection, document)
		spec.Replay.Trigger = trigger
		if plan.Revision(spec) == revision {
			return func(to *v1alpha1.ProjectionSpec) {
				to.Source, to.Reducer, to.ReadModel, to.Replay.Trigger = spec.Source, spec.Reducer, spec.ReadModel, spec.Replay.Trigger
			}, nil
		}
	}
	return nil, cli.Failf("the spec of revision %s cannot be made again from what the cluster holds: its spec.replay.trigger is not known, or the operator is of another release", revision).
		WithHint("put the old manifest back by hand or from git; kubectl get configmaps -l %s=%s has the revision's contract", v1alpha1.RevisionLabel, revision)
}

// knowsFold refuses a spec with something in it that this program does not know and
// that may be part of a fold: it would stay where it is.
func knowsFold(o *object) error {
	for _, field := range o.Unknown {
		for _, part := range []string{"spec.source", "spec.reducer", "spec.readModel", "spec.replay"} {
			if strings.HasPrefix(field, part) {
				return cli.Failf("%s is a field that this program does not know: it cannot tell which fold the spec names", field).
					WithHint("take the kubectl-refold of the operator's release; or put the old manifest back by hand or from git")
			}
		}
	}
	return nil
}

// triggersOf are the values that spec.replay.trigger may have had. An older
// operator did not write it down.
func triggersOf(o *object, written string) []string {
	out := []string{written, o.Spec.Replay.Trigger}
	var applied v1alpha1.Projection
	if json.Unmarshal([]byte(o.Annotations[corev1.LastAppliedConfigAnnotation]), &applied) == nil {
		out = append(out, applied.Spec.Replay.Trigger)
	}
	return out
}

// contractOf finds the contract of a revision, and the trigger written beside it: in
// the newest genuine ConfigMap of it, else in the copy on its Deployment.
func (s *session) contractOf(ctx context.Context, o *object, revision string) (d contract.Document, trigger string, err error) {
	labels := client.MatchingLabels(resources.SelectorLabels(o.Name, revision, resources.Projector))
	configMaps := &corev1.ConfigMapList{}
	if err := s.Client.List(ctx, configMaps, client.InNamespace(o.Namespace), labels); err != nil {
		return d, "", s.Explain(cli.Request{Verb: "list", Resource: "configmaps", Namespace: o.Namespace}, err)
	}
	var newest *corev1.ConfigMap
	for i := range configMaps.Items {
		c := &configMaps.Items[i]
		genuine := c.Name == resources.ConfigMapName(o.Name, revision, []byte(c.Data[contract.FileName]))
		if genuine && (newest == nil || newest.CreationTimestamp.Before(&c.CreationTimestamp)) {
			newest = c
		}
	}
	if newest != nil {
		d, err = decoded(newest.Data[contract.FileName], o, revision)
		return d, newest.Annotations[resources.TriggerAnnotation], err
	}
	deployment := &appsv1.Deployment{}
	key := client.ObjectKey{Namespace: o.Namespace, Name: resources.DeploymentName(o.Name, revision)}
	if err := s.Client.Get(ctx, key, deployment); err == nil {
		d, err = decoded(deployment.Annotations[resources.ContractAnnotation], o, revision)
		return d, deployment.Annotations[resources.TriggerAnnotation], err
	}
	return d, "", cli.Failf("the contract of revision %s is in no ConfigMap of namespace %s", revision, o.Namespace).
		WithHint("put the old manifest back by hand or from git")
}

func decoded(text string, o *object, revision string) (contract.Document, error) {
	document, err := contract.Decode([]byte(text))
	if err == nil && document.Revision == revision && document.UID == string(o.UID) {
		return document, nil
	}
	return contract.Document{}, cli.Failf("the contract of revision %s is not one that this program reads", revision).
		WithHint("take the kubectl-refold of the operator's release; or put the old manifest back by hand or from git")
}

// foldOf is a Projection's spec with the fold of a contract. What says the same
// stays as it is written, and credentials stay with the servers they are for.
func foldOf(p *v1alpha1.Projection, d contract.Document) v1alpha1.ProjectionSpec {
	out := *p.Spec.DeepCopy()
	now := resources.Document(p)
	restoreSource(&out.Source, now.Source, d.Source)
	if !reflect.DeepEqual(now.Reducer, d.Reducer) {
		out.Reducer = reducerOf(d.Reducer)
	}
	if !reflect.DeepEqual(now.ReadModel.Fields, d.ReadModel.Fields) {
		out.ReadModel.Fields = nil
		for _, f := range d.ReadModel.Fields {
			out.ReadModel.Fields = append(out.ReadModel.Fields, v1alpha1.Field{Name: v1alpha1.FieldName(f.Name), Type: v1alpha1.FieldType(f.Type)})
		}
	}
	if d.ReadModel.RedisHash != nil {
		restoreHash(&out.ReadModel.RedisHash, *now.ReadModel.RedisHash, *d.ReadModel.RedisHash, d.Source.Redis)
	}
	return out
}

func restoreSource(out *v1alpha1.Source, now, d contract.Source) {
	if now.Redis.URL != d.Redis.URL {
		out.Redis = redisOf(d.Redis)
	}
	if now.From != d.From {
		out.From = d.From
	}
	if now.Until != d.Until {
		out.Until = d.Until
	}
	out.Stream, out.Format, out.TypeField = d.Stream, v1alpha1.Format(d.Format), d.TypeField
	if now.PayloadField != d.PayloadField {
		out.PayloadField = d.PayloadField
	}
}

// restoreHash leaves a server unnamed that is the source's, by the same user.
func restoreHash(out *v1alpha1.RedisHash, now, d contract.RedisHash, source contract.Redis) {
	out.KeyPrefix = d.KeyPrefix
	if now.Cutover != d.Cutover {
		out.Cutover = v1alpha1.Cutover(d.Cutover)
		if d.Cutover == "" {
			out.Cutover = v1alpha1.CutoverRename
		}
	}
	if now.Redis.URL == d.Redis.URL && (out.URL != "" || d.Redis.URL == source.URL) {
		return
	}
	out.URL, out.CredentialsSecretRef, out.TLS = "", nil, nil
	if d.Redis.URL != source.URL {
		found := redisOf(d.Redis)
		out.URL, out.CredentialsSecretRef, out.TLS = found.URL, found.CredentialsSecretRef, found.TLS
		return
	}
	found, theirs := redisOf(d.Redis), redisOf(source)
	if !reflect.DeepEqual(found.TLS, theirs.TLS) {
		out.TLS = found.TLS
	}
	if d.Redis.Credentials != nil && (source.Credentials == nil || source.Credentials.SecretName != d.Redis.Credentials.SecretName) {
		out.CredentialsSecretRef = secretOf(d.Redis.Credentials.SecretName)
	}
}

func redisOf(d contract.Redis) v1alpha1.Redis {
	out := v1alpha1.Redis{URL: v1alpha1.URL(d.URL)}
	if d.Credentials != nil {
		out.CredentialsSecretRef = secretOf(d.Credentials.SecretName)
	}
	if d.TLS != nil {
		out.TLS = &v1alpha1.TLS{CASecretRef: secretOf(d.TLS.CASecretName), CertSecretRef: secretOf(d.TLS.CertSecretName), ServerName: d.TLS.ServerName}
	}
	return out
}

func secretOf(name string) *v1alpha1.SecretReference {
	if name == "" {
		return nil
	}
	return &v1alpha1.SecretReference{Name: name}
}

func reducerOf(d contract.Reducer) v1alpha1.Reducer {
	out := v1alpha1.Reducer{Type: v1alpha1.ReducerType(d.Type), Key: v1alpha1.Expression(d.Key)}
	for _, r := range d.Rules {
		out.Rules = append(out.Rules, v1alpha1.Rule{
			On: typed[v1alpha1.EventType](r.On), When: v1alpha1.Expression(r.When),
			Set: expressions(r.Set), Add: expressions(r.Add),
			Unset: typed[v1alpha1.FieldName](r.Unset), Delete: r.Delete,
		})
	}
	return out
}

func typed[T ~string](in []string) (out []T) {
	for _, text := range in {
		out = append(out, T(text))
	}
	return out
}

func expressions(in map[string]string) map[string]v1alpha1.Expression {
	if len(in) == 0 {
		return nil
	}
	out := map[string]v1alpha1.Expression{}
	for name, text := range in {
		out[name] = v1alpha1.Expression(text)
	}
	return out
}
