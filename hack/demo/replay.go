package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// The rule for EmailUpdated: as the sample has it, with a bug, and mended. The
// mended one keeps one thing more, so that it is another fold and no rollback.
const (
	emailRule   = "set: {email: event.email}"
	brokenRule  = "unset: [email]"
	mendedRule  = "set: {email: event.email, email_since: time}"
	lastField   = "- {name: created_at, type: Timestamp}"
	mendedField = "- {name: created_at, type: Timestamp}\n    - {name: email_since, type: Timestamp}"
)

const replayTimeout = 180 * time.Second

// edit is the sample's manifest with some of its text replaced.
func edit(pairs ...string) (string, error) {
	manifest, err := os.ReadFile("config/samples/user-profile.yaml")
	if err != nil {
		return "", err
	}
	text := string(manifest)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			return "", fmt.Errorf("the sample has no %q any more", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text, nil
}

func (d *demo) apply(ctx context.Context, pairs ...string) error {
	manifest, err := edit(pairs...)
	if err != nil {
		return err
	}
	_, err = d.cluster.Apply(ctx, manifest)
	return err
}

func (d *demo) applyBroken(ctx context.Context) error { return d.apply(ctx, emailRule, brokenRule) }

func (d *demo) applyMended(ctx context.Context) error {
	return d.apply(ctx, emailRule, mendedRule, lastField, mendedField)
}

// shipTheBug applies a reducer that loses e-mails. Refold holds it, since it would
// change most of the users; someone approves it all the same.
func (d *demo) shipTheBug(ctx context.Context) error {
	if err := d.applyBroken(ctx); err != nil {
		return err
	}
	held, err := d.awaitHeld(ctx)
	if err != nil {
		return err
	}
	d.sayDiff(held)
	if err := d.approve(ctx, held.Name); err != nil {
		return err
	}
	if err := d.awaitActive(ctx, held.Name); err != nil {
		return err
	}
	return d.sayUser(ctx)
}

// fixIt applies the mended reducer, and shows the replay until it is held.
func (d *demo) fixIt(ctx context.Context) error {
	if err := d.applyMended(ctx); err != nil {
		return err
	}
	held, err := d.awaitHeld(ctx)
	if err != nil {
		return err
	}
	d.sayDiff(held)
	d.held = held.Name
	return nil
}

// cutOver approves what is held while a reader reads as fast as it can.
func (d *demo) cutOver(ctx context.Context) error {
	reader, err := d.startReader(ctx, d.held)
	if err != nil {
		return err
	}
	defer reader.stop()
	if err := d.approve(ctx, d.held); err != nil {
		return err
	}
	if err := d.awaitActive(ctx, d.held); err != nil {
		return err
	}
	reader.stop()
	fmt.Printf("       %d reads of whole users: %d missing, %d torn, %d old, %d new\n", reader.reads, reader.missing, reader.torn, reader.old, reader.new)
	if reader.missing+reader.torn > 0 || reader.new == 0 || reader.err != nil {
		return errors.Join(errors.New("readers did not see whole old or whole new users all the time"), reader.err)
	}
	return d.sayUser(ctx)
}

// goBack rolls back to the broken revision, and forward again: neither replays.
func (d *demo) goBack(ctx context.Context) error {
	mended := d.held
	for _, step := range []struct {
		does  string
		apply func(context.Context) error
		done  func(string) bool
	}{
		{"back", d.applyBroken, func(active string) bool { return active != mended }},
		{"forward", d.applyMended, func(active string) bool { return active == mended }},
	} {
		begun := time.Now()
		if err := step.apply(ctx); err != nil {
			return err
		}
		if err := d.awaitStatus(ctx, "gone "+step.does, func(s v1alpha1.ProjectionStatus) bool { return step.done(s.ActiveRevision) }); err != nil {
			return err
		}
		fmt.Printf("       %s, with no replay, %.1f s after kubectl apply\n", step.does, time.Since(begun).Seconds())
	}
	return nil
}

// awaitHeld shows how a replay goes until it awaits approval.
func (d *demo) awaitHeld(ctx context.Context) (held v1alpha1.RevisionStatus, err error) {
	shown := ""
	err = d.awaitStatus(ctx, "held", func(s v1alpha1.ProjectionStatus) bool {
		for _, revision := range s.Revisions {
			if line := progressLine(revision); line != "" && line != shown {
				shown = line
				fmt.Println("       " + line)
			}
			if revision.State == v1alpha1.RevisionHeld {
				held = revision
				return true
			}
		}
		return false
	})
	return held, err
}

func progressLine(r v1alpha1.RevisionStatus) string {
	if r.State != v1alpha1.RevisionBuilding || r.Progress == nil || r.Progress.Percent == nil {
		return ""
	}
	return fmt.Sprintf("revision %s is built beside the live one: %d %%, %d events", r.Name, *r.Progress.Percent, r.Progress.Events)
}

func (d *demo) sayDiff(r v1alpha1.RevisionStatus) {
	if r.Diff == nil {
		return
	}
	fmt.Printf("       held: publishing %s would leave %d users as they are, add %d, remove %d and change %d (%s); compared at event %s\n",
		r.Name, r.Diff.Same, r.Diff.Added, r.Diff.Removed, r.Diff.Changed, fieldsText(r.Diff.ChangedFields), r.Diff.AtID)
}

func fieldsText(counts map[string]int64) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprintf("%s of %d", name, counts[name]))
	}
	return strings.Join(out, ", ")
}

func (d *demo) sayUser(ctx context.Context) error {
	hash, err := d.redis.HGetAll(ctx, keyPrefix+"42").Result()
	if err != nil {
		return err
	}
	email, set := hash["email"]
	if !set {
		email = "(gone!)"
	}
	fmt.Printf("       %s42 now: name %s, email %s, orders %s\n", keyPrefix, hash["name"], email, hash["orders"])
	return nil
}

func (d *demo) approve(ctx context.Context, revision string) error {
	fmt.Printf("       kubectl patch projection %s --type merge -p '{\"spec\":{\"replay\":{\"promotion\":{\"approve\":%q}}}}'\n", projection, revision)
	_, err := d.kubectl(ctx, "patch", "projection", projection, "--type", "merge", "-p",
		fmt.Sprintf(`{"spec":{"replay":{"promotion":{"approve":%q}}}}`, revision))
	return err
}

func (d *demo) awaitActive(ctx context.Context, revision string) error {
	return d.awaitStatus(ctx, "active", func(s v1alpha1.ProjectionStatus) bool { return s.ActiveRevision == revision })
}

func (d *demo) awaitStatus(ctx context.Context, what string, holds func(v1alpha1.ProjectionStatus) bool) error {
	for deadline := time.Now().Add(replayTimeout); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		text, err := d.kubectl(ctx, "get", "projection", projection, "-o", "json")
		if err != nil {
			return err
		}
		var seen v1alpha1.Projection
		if err := json.Unmarshal([]byte(text), &seen); err != nil {
			return err
		}
		if holds(seen.Status) {
			return nil
		}
	}
	why, _ := d.kubectl(ctx, "describe", "projection", projection)
	return fmt.Errorf("not %s after %s\n%s", what, replayTimeout, why)
}
