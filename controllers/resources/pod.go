package resources

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/projector/contract"
)

// Input is what a pod is built from besides the Projection.
type Input struct {
	Document []byte            // the contract as it stands in the ConfigMap
	Contract contract.Document // the same, decoded
	Trigger  string            // that the revision was made with
	Image    string
	Replicas int32

	Attempt   int    // Jobs: counts from 1
	Keep      bool   // drop: leave the read model for its readers
	Against   string // verify, cutover: the revision that readers read
	Published bool   // retire: also though readers read it
}

const (
	containerName = "projector"
	userID        = 65532
	graceSeconds  = 30
)

func podTemplate(p *v1alpha1.Projection, in Input, component Component, args ...string) corev1.PodTemplateSpec {
	options := p.Spec.Projector
	labels := SelectorLabels(p.Name, in.Contract.Revision, component)
	labels["app.kubernetes.io/name"] = "refold"
	labels["app.kubernetes.io/instance"] = Shorten(p.Name, maxName)
	volumes, mounts := mountAll(p, in, component)
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Labels:      merged(plain(options.PodLabels), labels),
			Annotations: plain(options.PodAnnotations),
		},
		Spec: corev1.PodSpec{
			Containers:                    []corev1.Container{container(options, in.Image, mounts, args)},
			Volumes:                       volumes,
			NodeSelector:                  options.NodeSelector,
			Tolerations:                   options.Tolerations,
			Affinity:                      options.Affinity,
			PriorityClassName:             options.PriorityClassName,
			ServiceAccountName:            options.ServiceAccountName,
			DeprecatedServiceAccount:      options.ServiceAccountName, // else it brings back a name that was taken away
			ImagePullSecrets:              pullSecrets(options.ImagePullSecrets),
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To[int64](graceSeconds),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   ptr.To(true),
				RunAsUser:      ptr.To[int64](userID),
				RunAsGroup:     ptr.To[int64](userID),
				FSGroup:        ptr.To[int64](userID),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
		},
	}
}

func plain[V ~string](in map[string]V) map[string]string {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, len(in))
	for k, v := range in {
		out[k] = string(v)
	}
	return out
}

func container(options v1alpha1.ProjectorSpec, image string, mounts []corev1.VolumeMount, args []string) corev1.Container {
	resources := Resources(options)
	return corev1.Container{
		Name:      containerName,
		Image:     image,
		Args:      args,
		Resources: resources,
		Env: []corev1.EnvVar{
			{Name: "GOMEMLIMIT", Value: goMemLimit(resources.Limits[corev1.ResourceMemory])},
		},
		VolumeMounts:             mounts,
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false),
			ReadOnlyRootFilesystem:   ptr.To(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

// Resources are the spec's with defaults: requests of 100m and 128Mi, a memory
// limit of 512Mi. A default never contradicts what is set: a request stays
// below its limit, and the default limit is at least the request.
func Resources(options v1alpha1.ProjectorSpec) corev1.ResourceRequirements {
	out := corev1.ResourceRequirements{
		Limits:   options.Resources.Limits.DeepCopy(),
		Requests: options.Resources.Requests.DeepCopy(),
	}
	if out.Limits == nil {
		out.Limits = corev1.ResourceList{}
	}
	if out.Requests == nil {
		out.Requests = corev1.ResourceList{}
	}
	if _, set := out.Limits[corev1.ResourceMemory]; !set {
		out.Limits[corev1.ResourceMemory] = larger(resource.MustParse("512Mi"), out.Requests[corev1.ResourceMemory])
	}
	defaultRequest(out, corev1.ResourceCPU, resource.MustParse("100m"))
	defaultRequest(out, corev1.ResourceMemory, resource.MustParse("128Mi"))
	roundUp(out.Limits)
	roundUp(out.Requests)
	return out
}

// roundUp leaves no fraction of a thousandth, as the API server does: else what
// is wanted would never be there.
func roundUp(list corev1.ResourceList) {
	for name, quantity := range list {
		quantity.RoundUp(resource.Milli)
		list[name] = quantity
	}
}

func defaultRequest(out corev1.ResourceRequirements, name corev1.ResourceName, value resource.Quantity) {
	if _, set := out.Requests[name]; set {
		return
	}
	if limit, set := out.Limits[name]; set && limit.Cmp(value) < 0 {
		value = limit
	}
	out.Requests[name] = value
}

func larger(a, b resource.Quantity) resource.Quantity {
	if a.Cmp(b) >= 0 {
		return a
	}
	return b
}

// CheckMemory says why no projector would work within the memory limit. The API
// server refuses such a spec; one that is older than that it lets stand.
func CheckMemory(options v1alpha1.ProjectorSpec) error {
	limit := options.Resources.Limits[corev1.ResourceMemory]
	if least := resource.NewQuantity(contract.LeastMemoryBytes, resource.BinarySI); !limit.IsZero() && limit.Cmp(*least) < 0 {
		return fmt.Errorf("projector.resources.limits.memory: %s is too little; a projector needs %s or more", limit.String(), least)
	}
	return nil
}

// goMemLimit leaves something to what Go's collector does not count.
func goMemLimit(limit resource.Quantity) string {
	if limit.IsZero() { // to Kubernetes: no limit; to Go: collect without pause
		return "off"
	}
	return strconv.FormatInt(contract.GoMemoryBytes(limit.Value()), 10)
}

func pullSecrets(refs []v1alpha1.SecretReference) []corev1.LocalObjectReference {
	var out []corev1.LocalObjectReference
	for _, ref := range refs {
		out = append(out, corev1.LocalObjectReference{Name: ref.Name})
	}
	return out
}

// mountAll mounts the contract and, by reference, the keys of Secrets that the
// contract points at. They are optional: a missing Secret is then reported by
// the projector, in words, and heals without a restart. What compares or publishes
// has nothing to do with the log.
func mountAll(p *v1alpha1.Projection, in Input, component Component) ([]corev1.Volume, []corev1.VolumeMount) {
	set := volumeSet{}
	set.add("contract", contractDir, corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: ConfigMapName(p.Name, in.Contract.Revision, in.Document)},
		DefaultMode:          ptr.To[int32](0o440),
	}})
	if component != Verify && component != Cutover {
		set.addRedis("source", in.Contract.Source.Redis)
	}
	if hash := in.Contract.ReadModel.RedisHash; hash != nil {
		set.addRedis("readmodel", hash.Redis)
	}
	return set.volumes, set.mounts
}

type volumeSet struct {
	volumes []corev1.Volume
	mounts  []corev1.VolumeMount
}

func (s *volumeSet) addRedis(name string, redis contract.Redis) {
	if redis.Credentials != nil {
		s.addSecret(name, redis.Credentials.Dir, redis.Credentials.SecretName, "username", "password")
	}
	if redis.TLS != nil && redis.TLS.CASecretName != "" {
		s.addSecret(name+"-ca", redis.TLS.CADir, redis.TLS.CASecretName, "ca.crt")
	}
	if redis.TLS != nil && redis.TLS.CertSecretName != "" {
		s.addSecret(name+"-cert", redis.TLS.CertDir, redis.TLS.CertSecretName, "tls.crt", "tls.key")
	}
}

func (s *volumeSet) addSecret(name, dir, secret string, keys ...string) {
	var sources []corev1.VolumeProjection
	for _, key := range keys {
		sources = append(sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: secret},
			Items:                []corev1.KeyToPath{{Key: key, Path: key}},
			Optional:             ptr.To(true),
		}})
	}
	s.add(name, dir, corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources:     sources,
		DefaultMode: ptr.To[int32](0o440),
	}})
}

func (s *volumeSet) add(name, dir string, source corev1.VolumeSource) {
	s.volumes = append(s.volumes, corev1.Volume{Name: name, VolumeSource: source})
	s.mounts = append(s.mounts, corev1.VolumeMount{Name: name, MountPath: dir, ReadOnly: true})
}

func contractFlag() string { return fmt.Sprintf("--contract=%s/%s", contractDir, contract.FileName) }
