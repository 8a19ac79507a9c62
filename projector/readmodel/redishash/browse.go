package redishash

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
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
func (s *Store) Keys(ctx context.Context, projection, revision string, what readmodel.Listing) (readmodel.Page, error) {
	at, err := parsePlace(what.After)
	if err != nil {
		return readmodel.Page{}, err
	}
	_, b, err := s.browse(ctx, projection, revision)
	if err != nil {
		return readmodel.Page{}, err
	}
	looks, usual := mostLooks, browseAtOnce
	if what.Within > 0 {
		looks, usual = readmodel.Lanes, max(1, what.Within/readmodel.Lanes)
	}
	l := listing{Listing: what, b: &b, at: at, usual: usual, count: usual}
	for n := 0; n < looks && !l.over; n++ {
		if n > 0 && what.GiveWay != nil {
			if err := what.GiveWay(ctx); err != nil {
				return readmodel.Page{}, err
			}
		}
		if err := l.look(ctx, s); err != nil {
			return readmodel.Page{}, err
		}
	}
	page := readmodel.Page{Keys: l.keys}
	if _, more := b.set(l.at.set); more {
		page.Next = l.at.String()
	}
	return page, nil
}

// listing is a page that comes together.
type listing struct {
	readmodel.Listing
	b     *browsed
	at    place
	usual int // about how many members a reply looks at
	count int // and the next one
	keys  []string
	over  bool
}

// look sends one command. A reply that does not fit on the page is asked for
// again, shorter; one that then does not fit is the next page's.
func (l *listing) look(ctx context.Context, s *Store) error {
	set, ok := l.b.set(l.at.set)
	if !ok {
		l.over = true
		return nil
	}
	if l.at.within { // the same reply again, as it was asked for
		l.count = min(l.Limit, browseAtOnce)
	}
	members, next, err := s.client.SScan(ctx, set, l.at.cursor, globOf(l.Prefix), int64(l.count)).Result()
	if err != nil {
		return ledgerFault(set, err)
	}
	members, room := l.at.left(members, next), l.Limit-len(l.keys)
	switch {
	case len(members) <= room:
		l.keys = append(l.keys, members...)
		l.at.pass(next)
		l.count, l.over = l.usual, len(members) == room
	case l.count > room && !l.at.within:
		l.count = room
	default:
		if l.over = true; len(l.keys) == 0 {
			l.keys = members[:room]
			l.at = place{l.at.set, l.at.cursor, true, next, members[room-1]}
		}
	}
	return nil
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

// place is where a page ended: before a reply of SSCAN, or within one that has
// more members than a page may. Replies are whole buckets, and which they are
// changes as others come and go. So a page begins with a reply that is no longer
// than itself, and all of that is taken, however often it changes.
type place struct {
	set    int
	cursor uint64
	within bool   // the reply's members up to last were taken, in order
	next   uint64 // what the reply ended with
	last   string
}

// String is empty at the beginning.
func (p place) String() string {
	switch {
	case p == (place{}):
		return ""
	case !p.within:
		return fmt.Sprintf("%d.%d", p.set, p.cursor)
	}
	return fmt.Sprintf("%d.%d.%d.%s", p.set, p.cursor, p.next, base64.RawURLEncoding.EncodeToString([]byte(p.last)))
}

func parsePlace(text string) (p place, err error) {
	if text == "" {
		return p, nil
	}
	var errs [4]error
	words := strings.Split(text, ".")
	if len(words) == 4 {
		var last []byte
		p.next, errs[0] = strconv.ParseUint(words[2], 10, 64)
		last, errs[1] = base64.RawURLEncoding.DecodeString(words[3])
		p.within, p.last = true, string(last)
		words = words[:2]
	}
	if len(words) == 2 {
		p.set, errs[2] = strconv.Atoi(words[0])
		p.cursor, errs[3] = strconv.ParseUint(words[1], 10, 64)
	}
	if errors.Join(errs[:]...) != nil || p.set < 0 || p.String() != text {
		return place{}, fmt.Errorf("%w: %.100q", readmodel.ErrBadPlace, text)
	}
	return p, nil
}

// left are a reply's members that were not taken yet. A reply that ends elsewhere
// than it did holds others, too: all of it is listed, better twice than never.
func (p *place) left(members []string, next uint64) []string {
	slices.Sort(members)
	members = slices.Compact(members)
	if p.within && p.next == next {
		n, found := slices.BinarySearch(members, p.last)
		if found {
			n++
		}
		return members[n:]
	}
	p.within = false
	return members
}

// pass goes on to the next reply.
func (p *place) pass(next uint64) {
	if *p = (place{set: p.set, cursor: next}); next == 0 {
		p.set++
	}
}
