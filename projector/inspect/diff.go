package inspect

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
	"github.com/refold-dev/refold/projector/readmodel"
)

const (
	diffPage = 1000 // keys listed at once
	// Entities that are read at once from both revisions: fewer of large ones.
	mostRows  = 256
	firstRows = 4
	rowsBytes = 1 << 20
	// An entity that differs is looked at in both at one moment, until both are
	// folded up to one ID; while events come fast that may never be seen.
	settleTimes = 20
	settlePause = 5 * time.Millisecond
	mostSettled = 10 // of which that was waited for in vain: then the candidate is just behind
)

// diff streams the entities that are others in a candidate than in what is
// published, both as they are now.
func (s *Server) diff(a *answer) error {
	if err := a.query.known("candidate", "key", "prefix"); err != nil {
		return err
	}
	leave, err := enter(s.scans, "scans")
	if err != nil {
		return err
	}
	defer leave()
	d, err := s.newDiff(a)
	if err != nil {
		return err
	}
	if a.query.Has("key") {
		err = d.one(a.ctx(), a.query.Get("key"))
	} else {
		err = d.all(a.query.Get("prefix"))
	}
	if err != nil {
		return err
	}
	return a.end(api.End{Entries: d.read, Position: d.position.String(), Counts: &d.counts})
}

// diffing compares two revisions.
type diffing struct {
	*Server
	answer    *answer
	published string
	candidate string
	counts    api.Counts
	position  projector.ID // of the candidate, as last seen
	read      int64        // keys
	rows      int          // of the last chunk
	bytes     int

	manners *manners
}

// newDiff finds the two.
func (s *Server) newDiff(a *answer) (*diffing, error) {
	revisions, err := s.Browser.Revisions(a.ctx(), s.Document.Projection)
	if err != nil {
		return nil, err
	}
	d := &diffing{Server: s, answer: a, candidate: a.query.Get("candidate"), manners: s.newManners()}
	var names, others []string
	for _, r := range revisions {
		if names = append(names, r.Name); r.Published {
			d.published = r.Name
		} else {
			others = append(others, r.Name)
		}
	}
	if d.candidate == "" && len(others) == 1 {
		d.candidate = others[0]
	}
	switch {
	case d.published == "":
		return nil, notFound(api.ReasonNoRevision, "no revision is published: there is nothing to compare with")
	case d.candidate == "":
		return nil, badRequest("candidate: name the revision to compare with %s, of %q", d.published, others)
	case !slices.Contains(names, d.candidate):
		return nil, notFound(api.ReasonNoRevision, "candidate: the read model holds no revision %q; it holds %q", d.candidate, names)
	case d.candidate == d.published:
		return nil, badRequest("candidate: %s is the published revision; the others are %q", d.candidate, others)
	}
	d.counts = api.Counts{Published: d.published, Candidate: d.candidate}
	return d, nil
}

// one compares one entity.
func (d *diffing) one(ctx context.Context, key string) error {
	seen, err := d.Browser.Look(ctx, d.Document.Projection, []string{d.published, d.candidate}, key)
	if err != nil {
		return err
	}
	if !seen[0].Exists && !seen[1].Exists {
		return notFound(api.ReasonNoSuchEntity, "neither %s nor %s holds an entity %s", d.published, d.candidate, quoted(key))
	}
	d.read = 1
	return d.settle(ctx, key)
}

// all compares what the candidate has, and then finds what only the other has.
func (d *diffing) all(prefix string) error {
	if err := d.each(d.candidate, prefix, d.compare); err != nil {
		return err
	}
	return d.each(d.published, prefix, d.removed)
}

// each walks a revision's keys in chunks.
func (d *diffing) each(revision, prefix string, chunk func(ctx context.Context, keys []string) error) error {
	ctx := d.answer.ctx()
	for after := ""; ; {
		page, err := d.Browser.Keys(ctx, d.Document.Projection, revision, readmodel.Listing{Prefix: prefix, After: after, Limit: diffPage, GiveWay: d.manners.giveWay})
		if err != nil {
			return err
		}
		for keys := page.Keys; len(keys) > 0; {
			n := min(len(keys), d.atOnce())
			if err := chunk(ctx, keys[:n]); err != nil {
				return err
			}
			keys = keys[n:]
			if err := d.pause(ctx); err != nil {
				return err
			}
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}

func (d *diffing) atOnce() int {
	if d.rows == 0 {
		return firstRows
	}
	return max(1, min(4*d.rows, mostRows, rowsBytes*d.rows/max(d.bytes, 1)))
}

// pause gives way to others, and says how far it is.
func (d *diffing) pause(ctx context.Context) error {
	if err := d.manners.giveWay(ctx); err != nil {
		return err
	}
	return d.answer.progress(func() api.Progress { return api.Progress{Position: d.position.String(), Entries: d.read} })
}

// compare settles the entities of the candidate that are not the same.
func (d *diffing) compare(ctx context.Context, keys []string) error {
	is, err := d.readRows(ctx, d.candidate, keys)
	if err != nil {
		return err
	}
	was, err := d.readRows(ctx, d.published, keys)
	if err != nil {
		return err
	}
	d.read += int64(len(keys))
	for _, key := range keys {
		if maps.Equal(is[key], was[key]) {
			if len(is[key]) > 0 {
				d.counts.Same++
			}
			continue
		}
		if err := d.settle(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// removed settles the entities that the candidate does not have.
func (d *diffing) removed(ctx context.Context, keys []string) error {
	d.rows, d.bytes = len(keys), 0
	var gone []string
	err := d.Browser.Read(ctx, d.Document.Projection, d.candidate, keys, func(r readmodel.Row) error {
		if !r.Exists {
			gone = append(gone, r.Key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.read += int64(len(gone))
	for _, key := range gone {
		if err := d.settle(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// readRows reads entities. One without a field is none to readers.
func (d *diffing) readRows(ctx context.Context, revision string, keys []string) (map[string]map[string]string, error) {
	rows := make(map[string]map[string]string, len(keys))
	d.rows, d.bytes = len(keys), 0
	err := d.Browser.Read(ctx, d.Document.Projection, revision, keys, func(r readmodel.Row) error {
		for _, text := range r.Fields {
			d.bytes += len(text)
		}
		rows[r.Key] = r.Fields
		return nil
	})
	return rows, err
}

// settle compares one entity in both at one moment, and shows what differs.
func (d *diffing) settle(ctx context.Context, key string) error {
	for try := 1; ; try++ {
		seen, err := d.Browser.Look(ctx, d.Document.Projection, []string{d.published, d.candidate}, key)
		if err != nil {
			return err
		}
		was, is := seen[0], seen[1]
		d.position = is.Position
		same, settled := maps.Equal(was.Fields, is.Fields), was.Position == is.Position
		switch {
		case same:
			if len(is.Fields) > 0 {
				d.counts.Same++
			}
			return nil
		case settled, try == settleTimes, d.counts.Unsettled >= mostSettled:
			return d.show(key, was.Fields, is.Fields, !settled)
		}
		time.Sleep(settlePause)
	}
}

// show writes one difference and counts it.
func (d *diffing) show(key string, was, is map[string]string, unsettled bool) error {
	shown := &api.Difference{Key: api.Text(key), Unsettled: unsettled}
	switch {
	case len(was) == 0:
		shown.Change = contract.Added
		d.counts.Added++
	case len(is) == 0:
		shown.Change = contract.Removed
		d.counts.Removed++
	default:
		shown.Change = contract.Changed
		d.counts.Changed++
	}
	if unsettled {
		d.counts.Unsettled++
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(was)), maps.Keys(is))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		old, had := was[name]
		now, has := is[name]
		if had == has && old == now {
			continue
		}
		shown.Changes = append(shown.Changes, api.Change{Field: name, Old: d.answer.textIf(old, had), New: d.answer.textIf(now, has)})
		if shown.Change == contract.Changed {
			if d.counts.ChangedFields == nil {
				d.counts.ChangedFields = map[string]int64{}
			}
			d.counts.ChangedFields[name]++
		}
	}
	return d.answer.line(api.Line{Difference: shown})
}

func (a *answer) textIf(text string, set bool) *api.Text {
	if !set {
		return nil
	}
	return a.textOf(&text)
}
