package inspect

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
	"github.com/refold-dev/refold/projector/stream"
)

const (
	usualEvents = 100
	mostEvents  = 100_000
	// followBlock is how long a follower waits for an event before it says that it
	// is still there.
	followBlock = time.Second
	// How many entries are asked for when the log is read backward: first a few, as
	// nobody knows how large they are, and the server holds the whole answer.
	firstBack = 4
	mostBack  = 1000
)

// logQuery is what of the log is wanted.
type logQuery struct {
	from, until projector.ID // inclusive
	hasFrom     bool
	key         string
	hasKey      bool
	types       []string
	most        int // 0 for no bound
	follow      bool
	reverse     bool
}

func (q query) log() (l logQuery, err error) {
	if err := q.known("from", "until", "key", "type…", "limit", "follow", "reverse"); err != nil {
		return l, err
	}
	l.key, l.hasKey, l.hasFrom, l.types = q.Get("key"), q.Has("key"), q.Has("from"), q.Values["type"]
	var errs [5]error
	l.from, errs[0] = q.id("from", projector.ParseStart, projector.ID{})
	l.until, errs[1] = q.id("until", projector.ParseEnd, projector.ID{Ms: math.MaxUint64, Seq: math.MaxUint64})
	l.follow, errs[2] = q.flag("follow")
	l.reverse, errs[3] = q.flag("reverse")
	usual := usualEvents
	if l.follow {
		usual = 0
	}
	l.most, errs[4] = q.number("limit", usual, mostEvents)
	for _, err := range errs {
		if err != nil {
			return l, err
		}
	}
	switch {
	case l.follow && (l.reverse || q.Has("until")):
		return l, badRequest("follow: it goes with neither reverse nor until")
	case l.from.Compare(l.until) > 0:
		return l, badRequest("from: %s lies after until %s", shownID(l.from), shownID(l.until))
	}
	return l, nil
}

// log streams events, as they stand in the log.
func (s *Server) log(a *answer) error {
	q, err := a.query.log()
	if err != nil {
		return err
	}
	places, what := s.scans, "scans of the log"
	if q.follow {
		places, what = s.follows, "that follow the log"
	}
	leave, err := enter(places, what)
	if err != nil {
		return err
	}
	defer leave()
	reducer, err := s.Reducer()
	if err != nil {
		return err
	}
	source := s.Document.Source
	source.From = q.from.String()
	l := &logging{scan: s.newScan(source), logQuery: q, answer: a, decoder: stream.NewDecoder(source), reducer: reducer, payload: payloadOf(source)}
	defer l.close()
	if err := l.begin(a.ctx()); err != nil {
		return err
	}
	switch {
	case l.follow:
		err = l.following(a.ctx())
	case l.reverse:
		err = l.backward(a.ctx())
	default:
		err = l.each(a, l.visit)
	}
	if err != nil && !errors.Is(err, errDone) {
		return err
	}
	end := l.end()
	end.Incomplete, end.More = false, errors.Is(err, errDone) && !q.follow
	return a.end(end)
}

// logging shows events.
type logging struct {
	*scan
	logQuery
	answer  *answer
	decoder stream.Decoder
	reducer projector.Reducer
	payload string // the field that the document is in, "" for none
	shown   int
	keys    []string
}

func payloadOf(s contract.Source) string {
	if s.Format == contract.FormatFields {
		return ""
	}
	return s.PayloadField
}

// begin looks at what the log holds, and where to begin. What is gone is not
// missed: it is for people who look at what there is.
func (l *logging) begin(ctx context.Context) error {
	l.tolerant = true
	info, err := l.reader.Check(ctx, l.from.Prev(), -1)
	l.info, l.position, l.entries = info, l.from.Prev(), info.Entries
	switch {
	case isWaiting(err) && !info.Exists:
		return err
	case l.follow && l.hasFrom && isWaiting(err):
		if err := inLog(info, l.from); err != nil {
			return err
		}
		l.position, l.entries = info.LastID, info.EntriesAdded // and pass over what comes before from
		return nil
	case l.hasFrom && isWaiting(err), l.hasFrom && l.from.Compare(info.LastID) > 0 && !l.follow:
		if err := inLog(info, l.from); err != nil {
			return err
		}
		l.last = projector.ID{} // it is no time to come, and nothing has been since
		return nil
	case err != nil:
		if err := l.skip(ctx, err); err != nil {
			return err
		}
	}
	l.last = l.info.LastEntryID
	if l.until.Compare(l.last) < 0 {
		l.last = l.until
	}
	if l.follow && !l.hasFrom {
		l.position, l.entries = l.info.LastID, l.info.EntriesAdded
	}
	return nil
}

// following shows what comes, until the client goes or has enough.
func (l *logging) following(ctx context.Context) error {
	l.last = projector.ID{Ms: math.MaxUint64, Seq: math.MaxUint64}
	if err := l.answer.progressNow(l.tail()); err != nil { // so that the client knows that it follows
		return err
	}
	for {
		if err := l.giveWay(ctx); err != nil {
			return err
		}
		batch, err := l.readOn(ctx, followBlock)
		if err != nil {
			return err
		}
		err = l.batch(batch)
		batch.Release()
		l.settle()
		if err != nil {
			return err
		}
		if err := l.answer.progressNow(l.tail()); err != nil {
			return err
		}
	}
}

func (l *logging) batch(b *stream.Batch) error {
	for i := range b.Events {
		e := &b.Events[i]
		if e.ID.Compare(l.from) < 0 {
			l.position = e.ID
			continue
		}
		l.read++
		if err := l.visit(e); err != nil {
			return err
		}
		if l.position = e.ID; l.most > 0 && l.shown == l.most {
			return errDone // who follows does not wait for one more
		}
	}
	l.entries = b.Entries
	return nil
}

// tail is the progress of who follows: there is no end.
func (l *logging) tail() api.Progress {
	return api.Progress{Position: l.position.String(), Last: l.position.String(), Entries: l.read, Of: l.info.Length}
}

// backward shows the newest first.
func (l *logging) backward(ctx context.Context) error {
	back := l.reader.Backward(0)
	defer back.Close()
	for from, count := l.last, firstBack; ; {
		if err := l.giveWay(ctx); err != nil {
			return err
		}
		asked := l.wants(count)
		back.Bound(l.atMost())
		n, bytes, err := back.Read(ctx, from, l.from, asked, func(e *projector.Event) error {
			l.read++
			if err := l.visit(e); err != nil {
				return err
			}
			l.position, from = e.ID, e.ID.Prev()
			return nil
		})
		if isLarge(err) && l.release == nil {
			if err := l.grow(ctx); err != nil {
				return err
			}
			count = 1
			continue
		}
		l.settle()
		if err != nil || n < asked || from.Compare(l.from) < 0 {
			return err // or all was read
		}
		count = max(1, min(4*count, mostBack, l.limits.page/(bytes/n+1)))
		if err := l.answer.progress(func() api.Progress {
			return api.Progress{Position: l.position.String(), Last: l.from.String(), Entries: l.read, Of: l.info.Length}
		}); err != nil {
			return err
		}
	}
}

// wants is how many of so many entries may still be of use: where all are shown,
// one more than are to be, to know whether there are more.
func (l *logging) wants(count int) int {
	if l.most > 0 && !l.hasKey && len(l.types) == 0 {
		return min(count, l.most-l.shown+1)
	}
	return count
}

// visit shows an event, if it is one that is wanted. errDone: there are enough.
func (l *logging) visit(e *projector.Event) error {
	problem := l.decoder.Decode(e)
	if len(l.types) > 0 && !slices.Contains(l.types, string(e.Type)) {
		return nil
	}
	var keys []string
	var skipped error
	if problem == nil {
		keys, skipped, problem = l.touches(e)
	}
	if l.hasKey && !slices.Contains(keys, l.key) {
		return nil
	}
	if l.most > 0 && l.shown == l.most {
		return errDone
	}
	l.shown++
	return l.answer.line(api.Line{Event: l.event(e, keys, skipped, problem)})
}

// touches are the keys of the entities that an event is about.
func (l *logging) touches(e *projector.Event) (keys []string, skipped, problem error) {
	defer func() {
		if p := recover(); p != nil {
			problem = errors.New("the reducer panicked")
		}
	}()
	keys, err := l.reducer.Keys(e, l.keys[:0])
	l.keys = keys
	switch {
	case errors.Is(err, projector.ErrUnnamedType), errors.Is(err, projector.ErrNoKey):
		return nil, err, nil
	case err != nil:
		return nil, nil, err
	case len(keys) == 0:
		return nil, projector.ErrNoKey, nil
	}
	return keys, nil, nil
}

// event is all that is shown, of which long texts are views. The document is shown as it was written,
// where it is one.
func (l *logging) event(e *projector.Event, keys []string, skipped, problem error) *api.Event {
	shown := &api.Event{ID: e.ID.String(), Time: timeOf(e.ID), Type: l.answer.view(e.Type)}
	for _, f := range e.Fields {
		if e.Document != nil && string(f.Name) == l.payload && shown.Document == nil {
			shown.Document = l.answer.document(f.Value)
			continue
		}
		shown.Fields = append(shown.Fields, api.Field{Name: l.answer.view(f.Name), Value: l.answer.view(f.Value)})
	}
	for _, key := range keys {
		shown.Keys = append(shown.Keys, l.answer.text(key))
	}
	if skipped != nil {
		shown.Skipped = skipped.Error()
	}
	if problem != nil {
		shown.Problem = failed(e, problem).Message
	}
	return shown
}
