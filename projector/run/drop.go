package run

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/readmodel"
)

// drop removes the read model, unless it is kept, and the consumer groups; or
// one revision.
func drop(ctx context.Context, w *worker, o options, log *slog.Logger, r *contract.Result) error {
	if o.revisionOnly {
		return dropRevision(ctx, w, o, log, r)
	}
	var groups []group
	steps := []func() error{
		func() (err error) { groups, err = w.groups(ctx); return err },
		// The ledger goes with the read model, and then nothing names the groups any
		// more: they go first, as far as they can, and again when nobody can make them.
		func() error { _ = w.dropGroups(ctx, groups); return nil },
		func() error { return w.store.Drop(ctx, w.document.Projection, o.keep) },
		func() error { return w.dropGroups(ctx, groups) },
	}
	if err := inTurn(ctx, log, steps...); err != nil {
		return err
	}
	r.Message = "the read model, its ledger and the consumer groups are gone"
	if o.keep {
		r.Message = "the consumer groups are gone; the published read model stays, with its ledger"
	}
	return nil
}

func dropRevision(ctx context.Context, w *worker, o options, log *slog.Logger, r *contract.Result) error {
	d := &w.document
	err := inTurn(ctx, log,
		func() error { return w.store.DropRevision(ctx, d.Projection, d.Revision, o.published) },
		func() error { return w.newReader().DropGroup(ctx) })
	r.Message = "revision " + d.Revision + " and its consumer group are gone"
	return err
}

// inTurn takes one step after another, each patiently.
func inTurn(ctx context.Context, log *slog.Logger, steps ...func() error) error {
	for _, step := range steps {
		if err := patiently(ctx, log, step); err != nil {
			return err
		}
	}
	return nil
}

// group is a revision's, at the stream that it reads.
type group struct{ stream, revision string }

// groups are those of every revision that reads from the contract's server.
func (w *worker) groups(ctx context.Context) ([]group, error) {
	groups := []group{{w.document.Source.Stream, w.document.Revision}}
	revisions, err := w.store.Revisions(ctx, w.document.Projection)
	if err != nil {
		return groups, err
	}
	for _, known := range revisions {
		if g := (group{w.streamOf(known), known.Name}); g.stream != "" && !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// streamOf is the stream that a revision reads, where it is on the contract's
// server.
func (w *worker) streamOf(r readmodel.Revision) string {
	ours, _, _ := strings.Cut(w.log, " ")
	where, stream, _ := strings.Cut(r.Source, " ")
	if where != ours {
		return ""
	}
	return stream
}

func (w *worker) dropGroups(ctx context.Context, groups []group) error {
	for _, g := range groups {
		source := w.document.Source
		source.Stream = g.stream
		if err := w.readerOf(source, g.revision).DropGroup(ctx); err != nil {
			return err
		}
	}
	return nil
}
