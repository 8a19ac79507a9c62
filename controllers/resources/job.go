package resources

import (
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/refold-dev/refold/api/v1alpha1"
)

const (
	dropRetries         = 2
	dropDeadlineSeconds = 300
	jobTTLSeconds       = 3600
	// jobDeadlineSeconds is time enough to compare, to publish or to remove the
	// largest read model, each entity by itself.
	jobDeadlineSeconds = 3600
)

// DropJob removes what Refold made on the servers, once; with in.Keep the read
// model stays for its readers.
func DropJob(p *v1alpha1.Projection, in Input) *batchv1.Job {
	template := podTemplate(p, in, Drop, "drop", contractFlag(), "--keep="+strconv.FormatBool(in.Keep))
	object := job(p, in, Drop, DropJobName(p.Name, in.Attempt), template)
	object.Spec.BackoffLimit = ptr.To[int32](dropRetries)
	object.Spec.ActiveDeadlineSeconds = ptr.To[int64](dropDeadlineSeconds)
	object.Annotations = map[string]string{AttemptAnnotation: strconv.Itoa(in.Attempt)}
	return object
}

// VerifyJob compares the contract's revision with in.Against, which readers read.
func VerifyJob(p *v1alpha1.Projection, in Input) *batchv1.Job {
	return revisionJob(p, in, Verify, "verify", contractFlag(), "--active="+in.Against)
}

// CutoverJob publishes the contract's revision in the place of in.Against.
func CutoverJob(p *v1alpha1.Projection, in Input) *batchv1.Job {
	return revisionJob(p, in, Cutover, "cutover", contractFlag())
}

// RetireJob removes the contract's revision from the servers; with in.Published
// also if readers read it.
func RetireJob(p *v1alpha1.Projection, in Input) *batchv1.Job {
	args := []string{"drop", contractFlag(), "--revision-only"}
	if in.Published {
		args = append(args, "--published")
	}
	return revisionJob(p, in, Retire, args...)
}

// revisionJob is tried once: the operator tries again, for it knows whether that
// is still wanted.
func revisionJob(p *v1alpha1.Projection, in Input, component Component, args ...string) *batchv1.Job {
	revision := in.Contract.Revision
	name := RevisionJobName(p.Name, component, revision, in.Attempt)
	object := job(p, in, component, name, podTemplate(p, in, component, args...))
	object.Spec.BackoffLimit = ptr.To[int32](0)
	object.Spec.ActiveDeadlineSeconds = ptr.To[int64](jobDeadlineSeconds)
	object.Annotations = map[string]string{
		AttemptAnnotation: strconv.Itoa(in.Attempt),
		KindAnnotation:    string(component),
	}
	if in.Against != "" {
		object.Annotations[AgainstAnnotation] = in.Against
	}
	return object
}

func job(p *v1alpha1.Projection, in Input, component Component, name string, template corev1.PodTemplateSpec) *batchv1.Job {
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	object := &batchv1.Job{
		ObjectMeta: objectMeta(p, name, in.Contract.Revision, component),
		Spec:       batchv1.JobSpec{TTLSecondsAfterFinished: ptr.To[int32](jobTTLSeconds), Template: template},
	}
	object.SetGroupVersionKind(batchv1.SchemeGroupVersion.WithKind("Job"))
	return object
}
