package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers/plan"
)

const never = "2222222a" // a revision that is none

// held is a Projection whose new fold awaits approval.
func (w *world) held(changes ...func(*v1alpha1.Projection)) (p *v1alpha1.Projection, active, candidate string) {
	w.t.Helper()
	p = w.create(changes...)
	active = w.keepContract(p)
	p.Spec.Reducer.Rules[1].Set["email"] = "event.email.lowerAscii()"
	p.Spec.Replay.Trigger = "mended"
	w.Expect(w.client.Update(w.ctx, p)).To(Succeed())
	candidate = w.keepContract(p)
	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.ActiveRevision = active
		s.Conditions = conditions("Held", "AwaitingApproval", "revision "+candidate+" is built and awaits approval")
		s.Revisions = []v1alpha1.RevisionStatus{
			{Name: active, State: "Active", PromotedAt: ago(2 * time.Hour)},
			{Name: candidate, State: "Held", Diff: &v1alpha1.RevisionDiff{AtID: "9-0", Same: 60, Changed: 40, ChangedFields: map[string]int64{"email": 40}}},
		}
	})
	return p, active, candidate
}

func TestPromoteApprovesWhatIsHeldAndNothingElse(t *testing.T) {
	w := newWorld(t)
	p, active, candidate := w.held()

	got := w.run("promote", p.Name, never)
	w.Expect(got.code).To(Equal(1))
	w.Expect(got.err).To(HavePrefix("error: revision " + candidate + " is held, not " + never + "\n"))

	got = w.run("promote", p.Name, "--dry-run=server")
	w.Expect(got.code).To(Equal(0), got.err)
	w.Expect(got.out).To(ContainSubstring("(server dry run: nothing is changed)\n  spec.replay.promotion.approve: not set → \"" + candidate + "\"\n"))
	w.Expect(w.refresh(p).Spec.Replay.Promotion.Approve).To(BeEmpty())

	got = w.run("promote", p.Name)
	w.Expect(got.out).To(Equal("shop/user-profile: revision " + candidate + " is approved, and is published in the place of " + active +
		"\n  spec.replay.promotion.approve: not set → \"" + candidate + "\"\n"))
	w.Expect(w.refresh(p).Spec.Replay.Promotion.Approve).To(Equal(candidate))
	w.Expect(p.ManagedFields).To(ContainElement(HaveField("Manager", FieldManager)))

	w.says(p, func(*v1alpha1.ProjectionStatus) {})
	w.Expect(w.run("promote", p.Name).out).To(Equal("shop/user-profile: revision " + candidate + " is approved already: AwaitingApproval\n"))

	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.Revisions = s.Revisions[:1]
		s.Conditions = conditions("Ready", "Folding", "folds")
	})
	got = w.run("promote", p.Name)
	w.Expect(got.code).To(Equal(1))
	w.Expect(got.err).To(Equal("error: nothing of shop/user-profile is held: " + active + " is Active\nkubectl refold status -n shop user-profile\n"))
}

func TestPromoteAndRejectRefuseWhileTheOperatorIsBehindTheSpec(t *testing.T) {
	w := newWorld(t)
	p, _, _ := w.held()
	p.Spec.Reducer.Key = "event.other"
	w.Expect(w.client.Update(w.ctx, p)).To(Succeed())
	for _, command := range []string{"promote", "reject"} {
		got := w.run(command, p.Name)
		w.Expect(got.code).To(Equal(1))
		w.Expect(got.err).To(ContainSubstring("the operator has not seen the newest spec of shop/user-profile yet"))
	}
}

func TestWhatCannotBeComparedIsOnlyPublishedByItsName(t *testing.T) {
	w := newWorld(t)
	p, _, candidate := w.held()
	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.Conditions = conditions("Stalled", "VerifyFailed", "the active one is halted. What to do: set spec.replay.promotion.approve to "+candidate+" to publish it without a comparison, or put the old spec back.")
		s.Revisions[1].State, s.Revisions[1].Diff = "Verifying", nil
	})
	w.Expect(w.run("promote", p.Name).err).To(ContainSubstring("nothing of shop/user-profile is held"))
	got := w.run("promote", p.Name, candidate)
	w.Expect(got.code).To(Equal(0), got.err)
	w.Expect(got.err).To(ContainSubstring("note: the revisions could not be compared"))
	w.Expect(w.refresh(p).Spec.Replay.Promotion.Approve).To(Equal(candidate))
}

func TestWhatIsStillToBeComparedIsNotApprovedAhead(t *testing.T) {
	for name, words := range map[string][2]string{
		"the comparison's pod is refused": {"QuotaExceeded", "the Job's pod is refused: quota"},
		"the comparison failed otherwise": {"VerifyFailed", "it could not be compared: the server is away. What to do: remove the cause, or put the old spec back."},
		"another one is incomparable":     {"VerifyFailed", "What to do: set spec.replay.promotion.approve to " + never + " to publish it without a comparison"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, _, candidate := w.held()
			w.says(p, func(s *v1alpha1.ProjectionStatus) {
				s.Conditions = conditions("Stalled", words[0], words[1])
				s.Revisions[1].State, s.Revisions[1].Diff = "Verifying", nil
			})
			got := w.run("promote", p.Name, candidate)
			w.Expect(got.code).To(Equal(1))
			w.Expect(got.err).To(ContainSubstring("nothing of shop/user-profile is held"))
			w.Expect(w.refresh(p).Spec.Replay.Promotion.Approve).To(BeEmpty())
		})
	}
	said, err := os.ReadFile(filepath.Join("..", "..", "..", "controllers", "plan", "candidate.go"))
	if err != nil || !strings.Contains(string(said), byApproval+"%s ") {
		t.Errorf("the operator does not say %q any more: %v", byApproval, err)
	}
}

// folds are edits of all that a revision is made of. Each is put back.
var folds = map[string]func(*v1alpha1.ProjectionSpec){
	"a rule":                   func(s *v1alpha1.ProjectionSpec) { s.Reducer.Rules[0].Set["name"] = "'x'" },
	"fewer rules":              func(s *v1alpha1.ProjectionSpec) { s.Reducer.Rules = s.Reducer.Rules[:1] },
	"the key":                  func(s *v1alpha1.ProjectionSpec) { s.Reducer.Key = "event.other" },
	"the trigger":              func(s *v1alpha1.ProjectionSpec) { s.Replay.Trigger = "again" },
	"the stream":               func(s *v1alpha1.ProjectionSpec) { s.Source.Stream = "other" },
	"from and until":           func(s *v1alpha1.ProjectionSpec) { s.Source.From, s.Source.Until = "7", "2027-01-01T00:00:00Z" },
	"format":                   func(s *v1alpha1.ProjectionSpec) { s.Source.Format, s.Source.PayloadField = "JSON", "body" },
	"the type's field":         func(s *v1alpha1.ProjectionSpec) { s.Source.TypeField = "kind" },
	"fields of the read model": func(s *v1alpha1.ProjectionSpec) { s.ReadModel.Fields[5].Type = "Number" },
	"prefix and cutover": func(s *v1alpha1.ProjectionSpec) {
		h := &s.ReadModel.RedisHash
		h.KeyPrefix, h.Cutover = "u:", "Pointer"
	},
	"a server of the model's own": func(s *v1alpha1.ProjectionSpec) { s.ReadModel.RedisHash.URL = "redis://elsewhere:6379/0" },
	"the source's server":         func(s *v1alpha1.ProjectionSpec) { s.Source.Redis = v1alpha1.Redis{URL: "redis://elsewhere:6379/0"} },
	"the source's and the model's": func(s *v1alpha1.ProjectionSpec) {
		s.Source.Redis.URL, s.ReadModel.RedisHash.URL = "redis://a:1/0", "redis://b:2/0"
	},
	"everything at once, and more": func(s *v1alpha1.ProjectionSpec) {
		*s = *s.DeepCopy()
		s.Reducer.Key, s.Source.Stream, s.Replay.Trigger, s.Suspend = "event.k", "s", "t", true
	},
	"nothing but what is no part": func(s *v1alpha1.ProjectionSpec) {
		s.Reducer.Key = "event.k"
		s.Replay.RollbackWindowSeconds = new(int64(60))
	},
	"credentials and another fold": func(s *v1alpha1.ProjectionSpec) { s.Source.Redis.CredentialsSecretRef = nil; s.Reducer.Key = "event.k" },
	"a model by a user of its own": func(s *v1alpha1.ProjectionSpec) {
		s.ReadModel.RedisHash.CredentialsSecretRef = &v1alpha1.SecretReference{Name: "other"}
		s.Reducer.Key = "event.k"
	},
}

func TestAbortPutsBackExactlyWhatTheActiveRevisionFolds(t *testing.T) {
	for name, edit := range folds {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.create(func(p *v1alpha1.Projection) {
				p.Spec.Replay.Trigger = "first"
				p.Spec.Source.Redis.CredentialsSecretRef = &v1alpha1.SecretReference{Name: "redis"}
			})
			active := w.keepContract(p)
			old := p.Spec.DeepCopy()
			edit(&p.Spec)
			w.Expect(w.client.Update(w.ctx, p)).To(Succeed())
			edited := p.Spec.DeepCopy()
			w.says(p, func(s *v1alpha1.ProjectionStatus) {
				s.ActiveRevision, s.Conditions = active, conditions("Reconciling", "Replaying", "is built")
				s.Revisions = []v1alpha1.RevisionStatus{{Name: active, State: "Active"}, {Name: plan.Revision(p.Spec), State: "Building"}}
			})
			got := w.run("abort", p.Name)
			w.Expect(got.code).To(Equal(0), got.err)
			w.refresh(p)
			w.Expect(plan.Revision(p.Spec)).To(Equal(active))
			w.Expect(p.Spec.Suspend).To(Equal(edited.Suspend), "what is no part of the fold stays")
			w.Expect(p.Spec.Replay.RollbackWindowSeconds).To(Equal(edited.Replay.RollbackWindowSeconds))
			if edited.Source.Redis.URL != old.Source.Redis.URL && edited.Source.Redis.CredentialsSecretRef == nil {
				w.Expect(p.Spec.Source.Redis.CredentialsSecretRef).To(Equal(old.Source.Redis.CredentialsSecretRef), "credentials come back with their server")
			}
		})
	}
}

func TestRejectRefusesOnlyWhatIsHeld(t *testing.T) {
	w := newWorld(t)
	p, active, candidate := w.held()
	got := w.run("reject", p.Name)
	w.Expect(got.code).To(Equal(0), got.err)
	w.Expect(got.out).To(Equal("shop/user-profile: revision " + candidate + " is refused: the spec is that of revision " + active +
		" again, which readers read\n  spec.reducer.rules is changed\n  spec.replay.trigger: \"mended\" → not set\n"))
	w.Expect(plan.Revision(w.refresh(p).Spec)).To(Equal(active))

	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.Revisions[1].State, s.Conditions = "Building", conditions("Reconciling", "Replaying", "is built")
	})
	got = w.run("reject", p.Name)
	w.Expect(got.code).To(Equal(1))
	w.Expect(got.err).To(ContainSubstring("kubectl refold abort -n shop user-profile calls off what is not finished"))
	w.Expect(w.run("abort", p.Name).err).To(ContainSubstring("there is no replay of shop/user-profile to call off"))
}

func TestNothingIsPutBackThatIsNotCertain(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(w *world, p *v1alpha1.Projection, active string)
		want  string
	}{
		"the contract is gone": {func(w *world, p *v1alpha1.Projection, active string) {
			w.Expect(w.client.DeleteAllOf(w.ctx, &corev1.ConfigMap{}, client.InNamespace(w.namespace))).To(Succeed())
		}, "is in no ConfigMap of namespace shop\nput the old manifest back by hand or from git\n"},
		"somebody has put another in its place": {func(w *world, p *v1alpha1.Projection, active string) {
			list := &corev1.ConfigMapList{}
			w.Expect(w.client.List(w.ctx, list, client.InNamespace(w.namespace), client.MatchingLabels{v1alpha1.RevisionLabel: active})).To(Succeed())
			forged := list.Items[0].DeepCopy()
			w.Expect(w.client.Delete(w.ctx, &list.Items[0])).To(Succeed())
			forged.ResourceVersion, forged.UID = "", ""
			forged.Data["contract.json"] = strings.ReplaceAll(forged.Data["contract.json"], "event.email", "'gotcha'")
			w.Expect(w.client.Create(w.ctx, forged)).To(Succeed())
		}, "is in no ConfigMap of namespace shop"},
		"no revision is published": {func(w *world, p *v1alpha1.Projection, _ string) {
			w.says(p, func(s *v1alpha1.ProjectionStatus) { s.ActiveRevision = "" })
		}, "readers read no revision of shop/user-profile yet"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, active, _ := w.held()
			test.spoil(w, p, active)
			got := w.run("reject", p.Name)
			w.Expect(got.code).To(Equal(1))
			w.Expect(got.err).To(ContainSubstring(test.want))
			w.Expect(w.refresh(p).Generation).To(Equal(int64(2)))
		})
	}
}

func TestAContractOfAnOlderOperatorWithoutATriggerIsEnoughWhereTheTriggerIsKnown(t *testing.T) {
	w := newWorld(t)
	p := w.create(func(p *v1alpha1.Projection) {
		p.Annotations = map[string]string{lastApplied: `{"spec":{"replay":{"trigger":"old"}}}`}
	})
	p.Spec.Replay.Trigger = "old"
	active := plan.Revision(p.Spec)
	w.Expect(w.client.Update(w.ctx, p)).To(Succeed())
	older := p.DeepCopy()
	w.keepOlder(older, active)
	p.Spec.Replay.Trigger = "new"
	w.Expect(w.client.Update(w.ctx, p)).To(Succeed())
	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.ActiveRevision, s.Revisions = active, []v1alpha1.RevisionStatus{{Name: active, State: "Active"}}
	})
	got := w.run("abort", p.Name)
	w.Expect(got.code).To(Equal(0), got.err)
	w.Expect(w.refresh(p).Spec.Replay.Trigger).To(Equal("old"))
	w.Expect(got.err).To(ContainSubstring("note: the manifest that was applied with kubectl"))
}

func TestRollbackGoesBackToWhatIsRetained(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	var names []string
	for _, trigger := range []string{"one", "two", "three"} {
		p.Spec.Replay.Trigger = trigger
		names = append(names, w.keepContract(p))
	}
	w.Expect(w.client.Update(w.ctx, p)).To(Succeed())
	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.ActiveRevision, s.Conditions = names[2], conditions("Ready", "Folding", "folds")
		s.Revisions = []v1alpha1.RevisionStatus{
			{Name: names[2], State: "Active", PromotedAt: ago(time.Minute)},
			{Name: names[0], State: "Retained", PromotedAt: ago(3 * time.Hour)},
			{Name: names[1], State: "Retained", PromotedAt: ago(time.Hour)},
		}
	})
	got := w.run("rollback", p.Name, "--to", never)
	w.Expect(got.err).To(Equal("error: revision " + never + " is not retained\none can roll back to " + names[1] + " or " + names[0] + "\n"))
	w.Expect(w.run("rollback", p.Name, "--to", names[2]).err).To(ContainSubstring("is what readers read already"))

	got = w.run("rollback", p.Name, "--dry-run=server")
	w.Expect(got.out).To(ContainSubstring("revision " + names[1] + " is published again in the place of " + names[2]))
	got = w.run("rollback", p.Name, "--to", names[0])
	w.Expect(got.code).To(Equal(0), got.err)
	w.Expect(plan.Revision(w.refresh(p).Spec)).To(Equal(names[0]))
	w.Expect(w.run("rollback", p.Name, "--to", names[0]).out).To(Equal("shop/user-profile: the spec asks for revision " + names[0] + " already: Folding\n"))
}

func TestARollbackAfterTheWindowSaysThatItMayBeAReplay(t *testing.T) {
	w := newWorld(t)
	p, active, candidate := w.held()
	for until, want := range map[*metav1.Time]string{
		ago(time.Hour):  "its rollback window ended at 2026-11-23T11:00:00Z: if it is removed by now, it is folded anew\n",
		ago(-time.Hour): "in the place of " + candidate + "; nothing is folded anew\n",
	} {
		w.says(p, func(s *v1alpha1.ProjectionStatus) {
			s.ActiveRevision, s.Conditions = candidate, conditions("Ready", "Folding", "folds")
			s.Revisions = []v1alpha1.RevisionStatus{{Name: candidate, State: "Active"}, {Name: active, State: "Retained", PromotedAt: ago(3 * time.Hour), RetainedUntil: until}}
		})
		w.Expect(strings.ReplaceAll(w.run("rollback", p.Name, "--dry-run=server").out, " (server dry run: nothing is changed)", "")).To(ContainSubstring(want))
	}
}

func TestWhatIsGoneAwayFromIsApprovedNoMore(t *testing.T) {
	w := newWorld(t)
	p, active, candidate := w.held(func(p *v1alpha1.Projection) { p.Spec.Replay.Promotion.Approve = "other222" })
	w.Expect(w.run("promote", p.Name).code).To(Equal(0))
	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.ActiveRevision, s.Conditions = candidate, conditions("Ready", "Folding", "folds")
		s.Revisions = []v1alpha1.RevisionStatus{{Name: candidate, State: "Active"}, {Name: active, State: "Retained"}}
	})
	got := w.run("rollback", p.Name)
	w.Expect(got.out).To(ContainSubstring("  spec.replay.promotion.approve: \"" + candidate + "\" → not set\n"))
	w.Expect(w.refresh(p).Spec.Replay.Promotion.Approve).To(BeEmpty())
}

func TestReplaySetsANewTrigger(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	active := plan.Revision(p.Spec)
	w.says(p, func(s *v1alpha1.ProjectionStatus) {
		s.ActiveRevision = active
		s.Conditions = append(conditions("Ready", "Folding", "folds"), metav1.Condition{Type: "HistoryComplete", Status: "False", Reason: "HistoryIncomplete", Message: "trimmed"})
	})
	got := w.run("replay", p.Name)
	w.Expect(got.code).To(Equal(0), got.err)
	w.Expect(w.refresh(p).Spec.Replay.Trigger).To(Equal("2026-11-23T12:00:00Z"))
	w.Expect(got.out).To(Equal("shop/user-profile: the log is folded again as revision " + plan.Revision(p.Spec) + "; readers read " + active +
		" until it is published\n  spec.replay.trigger: not set → \"2026-11-23T12:00:00Z\"\n"))
	w.Expect(got.err).To(ContainSubstring("note: the log has lost its beginning"))
	w.Expect(w.run("replay", p.Name, "--trigger", "2026-11-23T12:00:00Z").err).To(ContainSubstring("only another value replays"))
}

func TestSuspendAndResume(t *testing.T) {
	w := newWorld(t)
	p := w.create()
	w.Expect(w.run("suspend", p.Name).out).To(Equal("shop/user-profile: the projectors are stopped and their positions kept; readers read what is there\n  spec.suspend: not set → true\n"))
	w.Expect(w.refresh(p).Spec.Suspend).To(BeTrue())
	w.Expect(w.run("suspend", p.Name).out).To(Equal("shop/user-profile: it is suspended already\n"))
	w.Expect(w.run("resume", p.Name, "-o", "name").out).To(Equal("projection.refold.dev/user-profile\n"))
	w.Expect(w.refresh(p).Spec.Suspend).To(BeFalse())
}
