package run

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

// verify counts what publishing the revision would change.
func verify(ctx context.Context, w *worker, o options, log *slog.Logger, r *contract.Result) error {
	d := &w.document
	return patiently(ctx, log, func() error {
		if o.active != "" {
			if err := w.checkActive(ctx, o.active); err != nil {
				return err
			}
		}
		diff, err := w.store.Compare(ctx, d.Projection, d.Revision)
		r.Diff = &diff
		r.Message = fmt.Sprintf("%d entities are the same, %d would be added, %d removed, %d changed", diff.Same, diff.Added, diff.Removed, diff.Changed)
		if err == nil && diff.AtID == "" {
			r.Message += "; the two revisions read different logs, or up to different ends, and were compared as they stood"
		}
		return err
	})
}

// checkActive sees that what is published is what the verdict will be about.
func (w *worker) checkActive(ctx context.Context, revision string) error {
	revisions, err := w.store.Revisions(ctx, w.document.Projection)
	if err != nil {
		return err
	}
	if len(revisions) > 0 && revisions[0].Published && revisions[0].Name == revision {
		return nil
	}
	return &fault.Error{
		Reason:    contract.ReasonNotComparable,
		Message:   fmt.Sprintf("revision %s is not the published one", revision),
		Remedy:    "nothing: the operator compares again with the one that is",
		Permanent: true,
	}
}

// cutover publishes the revision.
func cutover(ctx context.Context, w *worker, _ options, log *slog.Logger, r *contract.Result) error {
	d := &w.document
	touched := false // by an attempt before
	return patiently(ctx, log, func() error {
		done, err := w.store.Promote(ctx, d.Projection, d.Revision)
		switch {
		case err == nil, done.To != "":
			r.Cutover = &done
		case !touched:
			r.Cutover = nil
		}
		touched = touched || done.From != ""
		r.Message = fmt.Sprintf("readers read revision %s; %d entities were renamed, and writers stood still for %d ms", d.Revision, done.Entities, done.PausedMillis)
		return err
	})
}
