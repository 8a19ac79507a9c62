package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/cmd/kubectl-refold/local/manifest"
	"github.com/refold-dev/refold/controllers/plan"
)

// advise says what nobody refuses and somebody may regret.
func advise(r *report, p *v1alpha1.Projection) {
	spec := plan.Defaulted(p.Spec)
	adviseFields(r, &spec)
	adviseRules(r, &spec)
	adviseReplay(r, p, &spec)
	adviseServers(r, &spec)
	if spec.DeletionPolicy == v1alpha1.DeletionDelete {
		r.advise(Note, "deletes-read-model", "spec.deletionPolicy", "with the Projection the read model is deleted, too; Retain leaves it to its readers")
	}
}

func (r *report) advise(severity Severity, check, path, format string, args ...any) {
	r.add(severity, FromAdvice, path, r.document.Value(path), format, args...).Check = check
}

func adviseFields(r *report, spec *v1alpha1.ProjectionSpec) {
	written := map[string]bool{}
	for _, rule := range spec.Reducer.Rules {
		for name := range rule.Set {
			written[name] = true
		}
		for name := range rule.Add {
			written[name] = true
		}
	}
	for i, f := range spec.ReadModel.Fields {
		if !written[string(f.Name)] {
			r.advise(Warning, "field-never-set", fmt.Sprintf("spec.readModel.fields[%d].name", i),
				"no rule sets the field %q: it will never have a value", f.Name)
		}
	}
	if len(written) == 0 && len(spec.Reducer.Rules) > 0 {
		r.advise(Warning, "nothing-created", "spec.reducer.rules", "no rule sets or adds to a field, so no entity is ever made")
	}
}

// adviseRules looks at types: an event of a type that no rule names is passed
// over, and a misspelled type in a rule looks like that.
func adviseRules(r *report, spec *v1alpha1.ProjectionSpec) {
	types := map[string]bool{}
	gone := map[v1alpha1.EventType]int{}
	for i, rule := range spec.Reducer.Rules {
		path := fmt.Sprintf("spec.reducer.rules[%d]", i)
		for _, typ := range rule.On {
			types[string(typ)] = true
			if first, deleted := gone[typ]; deleted && len(rule.Set)+len(rule.Add) == 0 {
				r.advise(Warning, "rule-without-effect", path, "rule %d has deleted the entity of every %s: there is nothing left for this rule", first, typ)
			}
			if rule.Delete && rule.When == "" {
				gone[typ] = i
			}
		}
	}
	if len(types) > 0 {
		names := slices.Sorted(maps.Keys(types))
		r.advise(Note, "unnamed-types", "spec.reducer.rules",
			"only events of %s are folded; all others are skipped, and only counted", list(names))
	}
}

func list(names []string) string {
	const most = 8
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more types", len(names)-most)
		names = names[:most]
	}
	return strings.Join(names, ", ") + more
}

func adviseReplay(r *report, p *v1alpha1.Projection, spec *v1alpha1.ProjectionSpec) {
	replay := spec.Replay
	if replay.Strategy == v1alpha1.ReplayInPlace {
		r.advise(Warning, "in-place", "spec.replay.strategy",
			"a replay empties the read model while readers look on, and nothing is compared or can be rolled back; Shadow does none of this")
		return
	}
	if replay.Promotion.Mode == v1alpha1.PromotionAutomatic && *replay.Promotion.MaxChangedPercent == 100 {
		r.advise(Warning, "nothing-is-held", "spec.replay.promotion.maxChangedPercent",
			"every replay is published, even one that changes all entities; the default is 20")
	}
	if *replay.RollbackWindowSeconds == 0 {
		r.advise(Warning, "no-rollback", "spec.replay.rollbackWindowSeconds",
			"the old revision is removed at once, so that going back takes a whole replay; the default is 3600")
	}
	if replay.History == v1alpha1.HistoryAvailable {
		r.advise(Note, "incomplete-history", "spec.replay.history",
			"a replay of a trimmed stream folds what is left, and its result misses what is gone")
	}
	if revision := plan.Revision(p.Spec); replay.Promotion.Approve != "" && replay.Promotion.Approve != revision {
		r.advise(Warning, "approves-another", "spec.replay.promotion.approve",
			"approves the revision %s, but this manifest is the revision %s: it publishes nothing", replay.Promotion.Approve, revision)
	}
}

func adviseServers(r *report, spec *v1alpha1.ProjectionSpec) {
	redis := spec.Source.Redis
	if redis.CredentialsSecretRef != nil && strings.HasPrefix(string(redis.URL), "redis://") {
		r.advise(Note, "password-in-the-clear", "spec.source.redis.url", "the password crosses the network as it is; rediss:// encrypts it")
	}
	prefix := spec.ReadModel.RedisHash.KeyPrefix
	if prefix != "" && !strings.ContainsAny(prefix[len(prefix)-1:], ":/.-_|#@") {
		r.advise(Note, "prefix-without-end", "spec.readModel.redisHash.keyPrefix",
			"the entity 42 will be the hash %s42; with a last character like : it is told from other keys", prefix)
	}
	if limit, given := spec.Projector.Resources.Limits["memory"]; given && limit.IsZero() {
		r.advise(Note, "no-memory-limit", "spec.projector.resources.limits.memory",
			"0 is no limit: the projector takes 256 MiB for entities and is bound by nothing else")
	}
}

// Together finds what is wrong with several Projections beside each other.
func Together(documents []*manifest.Document) []Finding {
	var claims []plan.Claim
	var kept []*manifest.Document
	var out []Finding
	for _, d := range documents {
		p, err := d.Projection()
		if err != nil || p.Name == "" || p.Spec.ReadModel.RedisHash.KeyPrefix == "" {
			continue
		}
		claim := plan.Claim{Projection: cmpNamespace(p.Namespace) + "/" + p.Name, Target: plan.TargetOf(&p.Spec)}
		for i, other := range claims {
			out = append(out, besides(d, claim, kept[i], other)...)
		}
		claims, kept = append(claims, claim), append(kept, d)
	}
	return out
}

func cmpNamespace(namespace string) string {
	if namespace == "" {
		return "default"
	}
	return namespace
}

func besides(d *manifest.Document, claim plan.Claim, before *manifest.Document, other plan.Claim) []Finding {
	r := &report{document: d}
	switch {
	case claim.Projection == other.Projection:
		r.add(Warning, FromAdvice, "metadata.name", d.Value("metadata.name"), "%s stands at %s, too: the one that is applied last wins", claim.Projection, before.At()).Check = "doubled-name"
	case claim.Target.Overlaps(other.Target):
		const path = "spec.readModel.redisHash.keyPrefix"
		r.add(Error, FromOperator, path, d.Value(path), "keeps keys of %s, as does %s (%s): choose another keyPrefix or database", claim.Target, other.Projection, before.Value(path)).Check = v1alpha1.ReasonTargetConflict
	}
	return r.findings
}
