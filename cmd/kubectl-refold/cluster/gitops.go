package cluster

import (
	"encoding/json"
	"fmt"
	"strings"
)

// gitOps is a tool that applies what stands in git, and so changes back what is
// edited by hand.
type gitOps struct {
	tool string // "Argo CD", "Flux"
	from string // what of the tool's holds the manifest

	manager string // by which name it writes
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

	kustomizeManager = "kustomize-controller"
	helmManager      = "helm-controller"
)

// gitOpsOf tells which GitOps tool manages an object, nil if none is seen to.
func gitOpsOf(o *object) *gitOps {
	labels := o.Labels
	switch id := o.Annotations[argoTracking]; {
	case id != "":
		name, _, _ := strings.Cut(id, ":")
		return &gitOps{"Argo CD", "application " + name, argoManager}
	case o.managedBy(argoManager) && labels[argoInstance] != "":
		return &gitOps{"Argo CD", "application " + labels[argoInstance], argoManager}
	case o.managedBy(argoManager):
		return &gitOps{"Argo CD", "an application", argoManager}
	case labels[kustomizeName] != "":
		return &gitOps{"Flux", fmt.Sprintf("Kustomization %s/%s", labels[kustomizeIn], labels[kustomizeName]), kustomizeManager}
	case labels[helmName] != "":
		return &gitOps{"Flux", fmt.Sprintf("HelmRelease %s/%s", labels[helmIn], labels[helmName]), helmManager}
	case o.managedBy(kustomizeManager):
		return &gitOps{"Flux", "a Kustomization", kustomizeManager}
	case o.managedBy(helmManager):
		return &gitOps{"Flux", "a HelmRelease", helmManager}
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

// owns tells whether a manager has written the field of a path, or one in it.
func (o *object) owns(manager, path string) bool {
	for _, entry := range o.ManagedFields {
		var fields map[string]any
		if entry.Manager != manager || entry.Subresource != "" || entry.FieldsV1 == nil || json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		if covers(fields, strings.Split(path, ".")) {
			return true
		}
	}
	return false
}

// covers walks a set of fields. One without fields of its own is owned as a whole.
func covers(fields map[string]any, path []string) bool {
	for i, name := range path {
		below, found := fields["f:"+name].(map[string]any)
		if !found {
			return i > 0 && len(fields) == 0
		}
		fields = below
	}
	return true
}

// warnings say what will happen to an edit, and what to do that lasts. A tool
// that applies what is in git leaves fields alone that are not there. Of a field
// that this program has written before nobody knows whether it is in git.
func (g *gitOps) warnings(o *object, changed []difference, inGit string) (out []string) {
	var reverted, unknown, stays []string
	for _, d := range changed {
		switch {
		case !o.managedBy(g.manager), o.owns(g.manager, d.path):
			reverted = append(reverted, d.path)
		case o.owns(FieldManager, d.path):
			unknown = append(unknown, d.path)
		default:
			stays = append(stays, d.path)
		}
	}
	manages := fmt.Sprintf("%s (%s) manages this Projection", g.tool, g.from)
	switch {
	case len(reverted) > 0:
		out = append(out, fmt.Sprintf("%s and will revert the change when it syncs; to make it last, in git: %s", manages, inGit))
	case len(unknown) > 0:
		out = append(out, fmt.Sprintf("%s and will revert the change when it syncs, if git has %s; to make it last, in git: %s", manages, strings.Join(unknown, " or "), inGit))
	}
	if len(stays) > 0 {
		out = append(out, fmt.Sprintf("%s; %s is not in git and will stay; put it there, or undo it by hand", manages, strings.Join(stays, " and ")))
	}
	return out
}
