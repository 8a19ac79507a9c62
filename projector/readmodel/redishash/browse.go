package redishash

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/refold-dev/refold/projector/readmodel"
)

var _ readmodel.Browser = (*Store)(nil)

const (
	// browseAtOnce is about how many members one reply of SSCAN looks at.
	browseAtOnce = 1000
	// mostLooks bounds what one page costs where few keys have the prefix.
	mostLooks = 64
)

// browsed is a revision as control names it.
type browsed struct {
	names    []names // of its partitions
	location string
	fields   []string // that it declares
}

func (s *Store) browsed(c control, projection, revision string) (browsed, error) {
	rows := c.rows(revision)
	switch {
	case len(rows) == 0:
		return browsed{}, fmt.Errorf("%w: %q; it holds %q", readmodel.ErrNoRevision, revision, c.revisions())
	case c.op.swaps():
		return browsed{}, cuttingOver()
	}
	b := browsed{
		names:    c.names(projection, revision),
		location: c.layout(revision).location(c.active == revision),
		fields:   c.ledgers[rows[0]].Fields,
	}
	if len(b.fields) == 0 { // it was claimed before rows said them
		b.fields = s.row.Fields
	}
	return b, nil
}

func (s *Store) browse(ctx context.Context, projection, revision string) (control, browsed, error) {
	c, err := controlAt(ctx, s.client, controlName(projection))
	if err != nil {
		return control{}, browsed{}, err
	}
	b, err := s.browsed(c, projection, revision)
	return c, b, err
}

// Keys implements readmodel.Browser: it walks the sets of one lane after another.
func (s *Store) Keys(ctx context.Context, projection, revision, prefix, after string, limit int) (readmodel.Page, error) {
	at, err := parsePlace(after)
	if err != nil {
		return readmodel.Page{}, err
	}
	_, b, err := s.browse(ctx, projection, revision)
	if err != nil {
		return readmodel.Page{}, err
	}
	var page readmodel.Page
	for range mostLooks {
		set, ok := b.set(at.set)
		if !ok {
			return page, nil
		}
		members, next, err := s.client.SScan(ctx, set, at.cursor, globOf(prefix), browseAtOnce).Result()
		if err != nil {
			return readmodel.Page{}, ledgerFault(set, err)
		}
		page.Keys = append(page.Keys, at.take(members, limit-len(page.Keys))...)
		if at.done == 0 { // all of the reply is taken
			at.pass(next)
		}
		if page.Next = at.String(); len(page.Keys) >= limit {
			break
		}
	}
	if _, more := b.set(at.set); !more {
		page.Next = ""
	}
	return page, nil
}

// set is the n-th set of keys: all lanes of the first partition, then of the next.
func (b *browsed) set(n int) (name string, ok bool) {
	partition, lane := n/readmodel.Lanes, n%readmodel.Lanes
	if partition >= len(b.names) {
		return "", false
	}
	return b.names[partition].keys[lane], true
}

// globOf matches what has the prefix.
func globOf(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(prefix) + "*"
}

// place is where a page ended. SSCAN answers with whole buckets: a page may end
// within a reply. The same cursor then gives the same reply again, as a rule; its
// digest tells. If it is another one all of it is listed: better twice than never.
type place struct {
	set    int
	cursor uint64
	done   int    // members of the reply that were taken, in order; 0 at its beginning
	digest uint64 // of the reply
}

// String is empty at the beginning.
func (p place) String() string {
	if p == (place{}) {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d.%x", p.set, p.cursor, p.done, p.digest)
}

func parsePlace(text string) (p place, err error) {
	if text == "" {
		return p, nil
	}
	if n, err := fmt.Sscanf(text, "%d.%d.%d.%x", &p.set, &p.cursor, &p.done, &p.digest); err != nil || n != 4 || p.set < 0 || p.done < 0 || p.String() != text {
		return p, fmt.Errorf("%w: %q", readmodel.ErrBadPlace, text)
	}
	return p, nil
}

// take takes up to room of a reply's members.
func (p *place) take(members []string, room int) []string {
	slices.Sort(members)
	members = slices.Compact(members)
	digest := fnv.New64a()
	for _, m := range members {
		_, _ = digest.Write(strconv.AppendInt(nil, int64(len(m)), 10))
		_, _ = digest.Write([]byte(m))
	}
	if sum := digest.Sum64(); sum != p.digest || p.done > len(members) {
		p.digest, p.done = sum, 0
	}
	rest := members[p.done:]
	if len(rest) <= room {
		p.done = 0
		return rest
	}
	p.done += room
	return rest[:room]
}

// pass goes on to the next reply.
func (p *place) pass(next uint64) {
	if *p = (place{set: p.set, cursor: next}); next == 0 {
		p.set++
	}
}
