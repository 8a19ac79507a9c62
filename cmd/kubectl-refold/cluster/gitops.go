package cluster

import (
	"fmt"
	"strings"
)

// gitOps is a tool that applies what stands in git, and so changes back what is
// edited by hand.
type gitOps struct {
	tool string // "Argo CD", "Flux"
	from string // what of the tool's holds the manifest
}

// Labels and annotations by which GitOps tools know what is theirs.
const (
	argoTracking  = "argocd.argoproj.io/tracking-id"
	argoInstance  = "app.kubernetes.io/instance"
	argoManager   = "argocd-controller"
	kustomizeName = "kustomize.toolkit.fluxcd.io/name"
	kustomizeIn   = "kustomize.toolkit.fluxcd.io/namespace"
	helmName      = "helm.toolkit.fluxcd.io/name"
	helmIn        = "helm.toolkit.fluxcd.io/namespace"
)

// gitOpsOf tells which GitOps tool manages an object, nil if none is seen to.
func gitOpsOf(o *object) *gitOps {
	labels := o.Labels
	switch id := o.Annotations[argoTracking]; {
	case id != "":
		name, _, _ := strings.Cut(id, ":")
		return &gitOps{"Argo CD", "application " + name}
	case o.managedBy(argoManager) && labels[argoInstance] != "":
		return &gitOps{"Argo CD", "application " + labels[argoInstance]}
	case o.managedBy(argoManager):
		return &gitOps{"Argo CD", "an application"}
	case labels[kustomizeName] != "":
		return &gitOps{"Flux", fmt.Sprintf("Kustomization %s/%s", labels[kustomizeIn], labels[kustomizeName])}
	case labels[helmName] != "":
		return &gitOps{"Flux", fmt.Sprintf("HelmRelease %s/%s", labels[helmIn], labels[helmName])}
	case o.managedBy("kustomize-controller"):
		return &gitOps{"Flux", "a Kustomization"}
	case o.managedBy("helm-controller"):
		return &gitOps{"Flux", "a HelmRelease"}
	}
	return nil
}

func (o *object) managedBy(manager string) bool {
	for _, entry := range o.ManagedFields {
		if entry.Manager == manager {
			return true
		}
	}
	return false
}

// warning says what will happen to an edit, and what to do that lasts.
func (g *gitOps) warning(inGit string) string {
	return fmt.Sprintf("%s (%s) manages this Projection and will revert the change when it syncs; to make it last, in git: %s", g.tool, g.from, inGit)
}
