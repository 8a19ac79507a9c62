package inspect

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/refold-dev/refold/projector/inspect/api"
	"github.com/refold-dev/refold/projector/readmodel"
)

const (
	usualPage   = 100
	mostAPage   = 1000
	mostClose   = 5
	closeWithin = 2000 // it is a courtesy, and may be asked for in a loop
	longestKey  = 64   // in messages
)

// entities lists keys of the read model.
func (s *Server) entities(a *answer) error {
	if err := a.query.known("prefix", "after", "limit"); err != nil {
		return err
	}
	limit, err := a.query.number("limit", usualPage, mostAPage)
	if err != nil {
		return err
	}
	page, err := s.Browser.Keys(a.ctx(), s.Document.Projection, s.Document.Revision, readmodel.Listing{
		Prefix: a.query.Get("prefix"), After: a.query.Get("after"), Limit: limit, GiveWay: s.newManners().giveWay})
	if err != nil {
		return err
	}
	keys := api.Keys{Keys: []api.Text{}, Next: page.Next}
	for _, key := range page.Keys {
		keys.Keys = append(keys.Keys, api.Text(key))
	}
	return a.object(keys)
}

// entity answers what stands below one entity's path.
func (s *Server) entity(a *answer) error {
	key, below, ok := api.SplitEntityPath(a.request.URL.EscapedPath())
	switch {
	case !ok:
		return notFound(api.ReasonNotFound, "the path names no entity: write %s/{key}, with the key's bytes escaped", api.EntitiesPath)
	case below == "":
		return s.brief(func(a *answer) error { return s.stored(a, key) })(a)
	case below == api.History:
		return s.history(a, key)
	case below == api.State:
		return s.state(a, key)
	}
	return notFound(api.ReasonNotFound, "an entity has no %q; it has %s and %s", below, api.History, api.State)
}

// stored answers with what the read model holds of an entity now.
func (s *Server) stored(a *answer, key string) error {
	if err := a.query.known(); err != nil {
		return err
	}
	release, err := s.hold(a.ctx(), s.limits.memory/mostOthers)
	if err != nil {
		return err
	}
	defer release()
	seen, err := s.Browser.Look(a.ctx(), s.Document.Projection, []string{s.Document.Revision}, key)
	if err != nil {
		return err
	}
	if e := seen[0]; e.Exists {
		return a.object(api.Entity{Key: api.Text(key), Exists: true, Fields: a.texts(e.Fields), Position: e.Position.String()})
	}
	text := fmt.Sprintf("the read model holds no entity %s as of %s; its history tells whether there was one", quoted(key), seen[0].Position)
	if close := s.closeTo(a.ctx(), key); len(close) > 0 {
		text += "; there is " + strings.Join(close, ", ")
	}
	return notFound(api.ReasonNoSuchEntity, "%s", text)
}

// closeTo names keys that are there and begin as a key does, as far as that is
// found without looking long.
func (s *Server) closeTo(ctx context.Context, key string) (close []string) {
	prefix := key[:(len(key)+1)/2]
	page, err := s.Browser.Keys(ctx, s.Document.Projection, s.Document.Revision, readmodel.Listing{Prefix: prefix, Limit: mostClose, Within: closeWithin})
	if err != nil {
		return nil // whose error that is was asked before
	}
	for _, found := range page.Keys {
		if found != key {
			close = append(close, quoted(found))
		}
	}
	return close
}

// quoted is a key in a message: short, and in quotes.
func quoted(key string) string {
	if len(key) > longestKey {
		key = strings.ToValidUTF8(key[:longestKey], string(utf8.RuneError)) + "…"
	}
	return fmt.Sprintf("%q", key)
}
