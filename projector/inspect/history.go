package inspect

import (
	"hash/fnv"
	"strings"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/inspect/api"
	"github.com/refold-dev/refold/projector/stream"
)

func (s *Server) newFold() (*Fold, error) {
	reducer, err := s.Reducer()
	if err != nil {
		return nil, err
	}
	return newFold(s.Schema, stream.NewDecoder(s.Document.Source), reducer), nil
}

// question is what one entity's history, or all entities' states, are asked with.
type question struct {
	until      *projector.ID
	incomplete bool
}

// ask reads what is common, of which the end has the name at.
func (q query) ask(at string) (question, error) {
	var asked question
	if q.Has(at) {
		id, err := q.id(at, projector.ParseEnd, projector.ID{})
		if err != nil {
			return asked, err
		}
		asked.until = &id
	}
	var err error
	asked.incomplete, err = q.flag("incomplete")
	return asked, err
}

// scan opens a scan, and takes one of the places for scans.
func (s *Server) scan(a *answer, q question) (c *scan, done func(), err error) {
	leave, err := enter(s.scans, "scans of the log")
	if err != nil {
		return nil, nil, err
	}
	if c, err = s.open(a.ctx(), q.until, q.incomplete); err != nil {
		leave()
		return nil, nil, err
	}
	return c, func() { c.close(); leave() }, nil
}

// history streams every event that touched an entity, and what it changed.
func (s *Server) history(a *answer, key string) error {
	if err := a.query.known("until", "field…", "incomplete"); err != nil {
		return err
	}
	asked, err := a.query.ask("until")
	if err != nil {
		return err
	}
	wanted, err := s.fields(a.query.Values["field"])
	if err != nil {
		return err
	}
	c, done, err := s.scan(a, asked)
	if err != nil {
		return err
	}
	defer done()
	t, err := s.trace(key)
	if err != nil {
		return err
	}
	t.each = func(step *Step) error {
		shown := a.step(step, wanted)
		if shown == nil {
			return nil
		}
		return a.line(api.Line{Step: shown})
	}
	if err := c.each(a, t.visit); err != nil {
		return err
	}
	if t.changed == (projector.ID{}) {
		return s.neverTouched(a, c, key)
	}
	end := c.end()
	end.Entity = t.entity(a, c)
	return a.end(end)
}

// fields are those that are asked for; none are all.
func (s *Server) fields(names []string) (map[string]bool, error) {
	wanted := map[string]bool{}
	for _, name := range names {
		if _, declared := s.Schema.Slot(name); !declared {
			return nil, badRequest("field: %q is not declared in readModel.fields", name)
		}
		wanted[name] = true
	}
	return wanted, nil
}

// trace folds one entity.
type trace struct {
	fold    *Fold
	key     string
	budget  int64
	each    func(*Step) error // nil: the state is wanted alone
	step    Step
	changed projector.ID // the last event that touched it
}

func (s *Server) trace(key string) (*trace, error) {
	f, err := s.newFold()
	if err != nil {
		return nil, err
	}
	f.Only(key)
	return &trace{fold: f, key: key, budget: s.limits.fold}, nil
}

func (t *trace) visit(e *projector.Event) error {
	var step *Step
	if t.each != nil {
		step, t.step.Effects = &t.step, t.step.Effects[:0]
	}
	if err := t.fold.fold(e, step); err != nil || len(t.fold.keys) == 0 {
		return err
	}
	t.changed = e.ID
	if t.fold.Bytes() > t.budget {
		return conflict(api.ReasonTooLarge, "as of %s the entity takes more than the %d MiB that the projector sets aside for such questions: raise spec.projector.resources.limits.memory",
			e.ID, t.budget>>20)
	}
	if t.each == nil {
		return nil
	}
	t.step.ID, t.step.Type = e.ID, t.fold.typeOf(e)
	return t.each(&t.step)
}

// entity is it as of the end of a scan.
func (t *trace) entity(a *answer, c *scan) *api.Entity {
	state, exists := t.fold.State(t.key)
	return &api.Entity{Key: api.Text(t.key), Exists: exists, Fields: a.texts(state.Fields),
		Position: c.position.String(), Changed: t.changed.String(), Incomplete: c.incomplete}
}

func (a *answer) texts(fields map[string]string) map[string]api.Text {
	texts := make(map[string]api.Text, len(fields))
	for name, text := range fields {
		texts[name] = a.text(text)
	}
	return texts
}

// step is what the entity that is traced has of a step; nil where it has nothing
// of the fields that are wanted.
func (a *answer) step(s *Step, wanted map[string]bool) *api.Step {
	shown := &api.Step{ID: s.ID.String(), Time: timeOf(s.ID), Type: a.text(s.Type)}
	for _, e := range s.Effects {
		shown.Created, shown.Deleted = shown.Created || e.Created, e.Deleted
		shown.Rules = append(shown.Rules, e.Rules...)
		if e.Rules != nil && shown.Rules == nil {
			shown.Rules = []int{}
		}
		for _, change := range e.Changes {
			if len(wanted) == 0 || wanted[change.Field] {
				shown.Changes = append(shown.Changes, api.Change{Field: change.Field, Old: a.textOf(change.Old), New: a.textOf(change.New)})
			}
		}
	}
	if len(wanted) > 0 && len(shown.Changes) == 0 {
		return nil
	}
	return shown
}

func (a *answer) textOf(text *string) *api.Text {
	if text == nil {
		return nil
	}
	shown := a.text(*text)
	return &shown
}

// state answers what an entity was.
func (s *Server) state(a *answer, key string) error {
	if err := a.query.known("at", "incomplete"); err != nil {
		return err
	}
	asked, err := a.query.ask("at")
	if err != nil {
		return err
	}
	c, done, err := s.scan(a, asked)
	if err != nil {
		return err
	}
	defer done()
	a.plain = !a.streams()
	t, err := s.trace(key)
	if err != nil {
		return err
	}
	if err := c.each(a, t.visit); err != nil {
		return err
	}
	if t.changed == (projector.ID{}) {
		return s.neverTouched(a, c, key)
	}
	if a.plain {
		return a.object(t.entity(a, c))
	}
	if err := a.line(api.Line{Entity: t.entity(a, c)}); err != nil {
		return err
	}
	return a.end(c.end())
}

// neverTouched is the error of a key of which no event is, with others that may
// be meant.
func (s *Server) neverTouched(a *answer, c *scan, key string) error {
	text := "no event up to " + shownID(c.last) + " is about the entity " + quoted(key)
	if c.info.Length == 0 {
		text = "the log is empty: there is no entity " + quoted(key) + " yet"
	}
	if close := s.closeTo(a.ctx(), key); len(close) > 0 {
		text += "; there is " + strings.Join(close, ", ")
	}
	return notFound(api.ReasonNoSuchEntity, "%s", text)
}

// mostParts is how many parts the states may be asked for in.
const mostParts = 1 << 20

// partOf is the part that a key is in: FNV-1a, 64 bits, of its bytes, and a last
// mix, as its low bits alone are the lanes.
func partOf(key string, of int) int {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(key))
	return int((hash.Sum64() * 0x9e3779b97f4a7c15 >> 32) % uint64(of))
}

// states streams all entities as they were.
func (s *Server) states(a *answer) error {
	if err := a.query.known("at", "prefix", "part", "incomplete"); err != nil {
		return err
	}
	asked, err := a.query.ask("at")
	if err != nil {
		return err
	}
	in, err := a.query.part()
	if err != nil {
		return err
	}
	c, done, err := s.scan(a, asked)
	if err != nil {
		return err
	}
	defer done()
	f, err := s.statesFold(a.query.Get("prefix"), in)
	if err != nil {
		return err
	}
	err = c.each(a, func(e *projector.Event) error {
		if err := f.fold(e, nil); err != nil {
			return err
		}
		return s.fits(f, e)
	})
	if err != nil {
		return err
	}
	for _, key := range f.Keys() {
		state, _ := f.State(key)
		if err := a.line(api.Line{Entity: &api.Entity{Key: api.Text(key), Exists: true, Fields: a.texts(state.Fields)}}); err != nil {
			return err
		}
	}
	return a.end(c.end())
}

// statesFold keeps the entities that have a prefix and are in a part, nil for all.
func (s *Server) statesFold(prefix string, in func(key string) bool) (*Fold, error) {
	f, err := s.newFold()
	if err == nil && (prefix != "" || in != nil) {
		f.keep = func(key string) bool { return strings.HasPrefix(key, prefix) && (in == nil || in(key)) }
	}
	return f, err
}

// fits says whether all entities so far fit into the memory for them.
func (s *Server) fits(f *Fold, e *projector.Event) error {
	if f.Bytes() <= s.limits.fold {
		return nil
	}
	whose := "this projector has no memory limit, and sets 64 MiB aside for all questions"
	if s.limits.process > 0 {
		whose = "1/32 of the memory that spec.projector.resources.limits.memory leaves to the projector"
	}
	return conflict(api.ReasonTooLarge, "as of %s there are %d entities, which take more than %d MiB: that is what one scan may have, %s. Ask for fewer at a time, by prefix= or by part=1/8, part=2/8 and so on, or raise that limit",
		e.ID, f.Len(), s.limits.fold>>20, whose)
}
