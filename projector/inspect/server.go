package inspect

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/courtesy"
	"github.com/refold-dev/refold/projector/inspect/api"
	"github.com/refold-dev/refold/projector/readmodel"
	"github.com/refold-dev/refold/projector/stream"
)

// Options is what a Server works with; all up to Status must be set, and Log.
type Options struct {
	Document contract.Document
	Digest   string // of the contract's file
	Build    string

	Schema *projector.Schema
	// Reducer makes a reducer: each question that needs one has its own, as the
	// live engine folds other events of the same entities meanwhile.
	Reducer func() (projector.Reducer, error)
	Browser readmodel.Browser
	// Reader makes a reader of a source: each scan has its own.
	Reader func(contract.Source) *stream.Reader
	// Status is the live projector's.
	Status func() contract.Partition
	// Probe sees whether a scan is in the way; without one it never is.
	Probe courtesy.Probe
	Log   *slog.Logger

	// MemoryBytes is what the process may use, 0 for no bound.
	MemoryBytes int64
	// Patience is how long a client may take nothing before it is hung up on: one
	// that is gone without a word would hold its place for ever. 0 is 30 s.
	Patience time.Duration
}

const usualPatience = 30 * time.Second

// How much may be asked at once. A scan reads the whole log: two at once are
// enough for a person and a page.
const (
	mostScans   = 2
	mostFollows = 4
	mostOthers  = 4
)

// Server answers the inspect API. It serves one projector's revision.
type Server struct {
	Options
	limits  limits
	scans   chan struct{}
	turns   turns // of the scans, while others are there
	follows chan struct{}
	memory  *semaphore.Weighted // bytes of what is large, of all questions
	others  chan struct{}       // what neither scans nor follows
	routes  *http.ServeMux
}

// New dials nothing and starts nothing.
func New(o Options) *Server {
	if o.Patience <= 0 {
		o.Patience = usualPatience
	}
	s := &Server{
		Options: o,
		limits:  limitsOf(o.MemoryBytes),
		scans:   make(chan struct{}, mostScans),
		follows: make(chan struct{}, mostFollows),
		others:  make(chan struct{}, mostOthers),
		routes:  http.NewServeMux(),
	}
	s.memory = semaphore.NewWeighted(s.limits.memory)
	s.handle(api.InfoPath, s.brief(s.info))
	s.handle(api.EntitiesPath, s.brief(s.entities))
	s.handle(api.EntitiesPath+"/", s.entity)
	s.handle(api.StatesPath, s.states)
	s.handle(api.LogPath, s.log)
	s.handle(api.DiffPath, s.diff)
	s.handle("/", func(a *answer) error {
		return notFound(api.ReasonNotFound, "there is no %s; see docs/inspect.md for what there is", a.request.URL.Path)
	})
	return s
}

// handle has a handler's errors answered.
func (s *Server) handle(path string, h func(*answer) error) {
	s.routes.HandleFunc(path, func(out http.ResponseWriter, r *http.Request) {
		a := newAnswer(out, r, s.Patience)
		err := a.query.err
		if err == nil {
			err = h(a)
		}
		if err != nil && r.Context().Err() == nil {
			a.fail(err, s.Log)
		}
	})
}

// brief has few be asked at once of what takes no scan: it costs little, but is
// asked for in loops.
func (s *Server) brief(h func(*answer) error) func(*answer) error {
	return func(a *answer) error {
		leave, err := enter(s.others, "questions")
		if err != nil {
			return err
		}
		defer leave()
		return h(a)
	}
}

// ServeHTTP implements http.Handler. It answers a program on this side of a
// port-forward, and no page of another site that a browser shows meanwhile.
func (s *Server) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	out.Header().Set("Cache-Control", "no-store")
	out.Header().Set("X-Content-Type-Options", "nosniff")
	if err := admit(r); err != nil {
		newAnswer(out, r, s.Patience).fail(err, s.Log)
		return
	}
	s.routes.ServeHTTP(out, r)
}

func admit(r *http.Request) error {
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case !isLocal(r.Host):
		return &failure{http.StatusForbidden, api.ReasonForbidden, "the request is for another host: ask 127.0.0.1 or localhost"}
	case site != "" && site != "none" && site != "same-origin", r.Header.Get("Origin") != "":
		return &failure{http.StatusForbidden, api.ReasonForbidden, "pages of other sites are not answered: ask with kubectl refold"}
	case r.Method != http.MethodGet:
		return &failure{http.StatusMethodNotAllowed, api.ReasonBadRequest, "nothing can be changed here: only GET is answered"}
	}
	return nil
}

// isLocal says whether a Host names this machine: by a name that somebody's DNS
// gives an address of ours, other sites would get in.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// enter takes one of the places where few may be at once, or says that all are taken.
func enter(places chan struct{}, what string) (leave func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, &failure{http.StatusTooManyRequests, api.ReasonTooMany,
			"there are as many " + what + " as may be at once: end one, or ask again when one is done"}
	}
}

// Limits bound what questions cost the projector that they are asked in.
type limits struct {
	memory  int64 // set aside for all of this
	fold    int64 // for the entities of one scan
	page    int   // bytes read at once
	large   int64 // memory for an event that is larger, as it is read and shown
	event   int   // of one event; 0 for no bound
	process int64 // what all that is a part of
}

// The engine's cache takes two fifths of the memory limit, or what is asked for,
// and batches and commits of the largest events as much again (see
// stream.EventShare). Of the fifth that was measured to stay free a sixteenth of
// the whole is set aside here, always, so that no question makes the cache smaller.
const (
	memoryShare   = 16
	leastMemory   = 4 << 20
	defaultMemory = 64 << 20 // where there is no limit
	pageShare     = 8
	mostPage      = 4 << 20
)

func limitsOf(process int64) limits {
	l := limits{memory: defaultMemory, process: process}
	if process > 0 {
		l.memory = max(process/memoryShare, leastMemory)
		l.event = int(process / stream.EventShare)
	}
	l.fold = l.memory / mostScans
	l.page = int(min(l.memory/pageShare, mostPage))
	if l.large = 2 * int64(l.event); l.event == 0 || l.large > l.memory {
		l.large = l.memory
	}
	return l
}

// info answers what there is to be asked about.
func (s *Server) info(a *answer) error {
	if err := a.query.known(); err != nil {
		return err
	}
	log, err := s.logInfo(a.ctx())
	if err != nil {
		return err
	}
	revisions, err := s.Browser.Revisions(a.ctx(), s.Document.Projection)
	if err != nil {
		return err
	}
	status, d := s.Status(), &s.Document
	info := api.Info{
		Projection: d.Projection,
		Revision:   d.Revision,
		Contract:   s.Digest,
		Build:      s.Build,
		Stream:     d.Source.Stream,
		State:      status.State,
		Published:  status.Published,
		Position:   status.Position,
		Problem:    status.Problem,
		Log:        log,
		Revisions:  []api.Revision{},
		Reducer:    d.Reducer,
		Fields:     d.ReadModel.Fields,
		From:       d.Source.From,
		Until:      d.Source.Until,
		Format:     d.Source.Format,
		Limits:     api.Limits{Scans: mostScans, Follows: mostFollows, Others: mostOthers, FoldBytes: s.limits.fold},
	}
	for _, r := range revisions {
		info.Revisions = append(info.Revisions, api.Revision{Name: r.Name, Published: r.Published})
	}
	return a.object(info)
}

// logInfo is what the log holds; of a stream that is not there, nothing.
func (s *Server) logInfo(ctx context.Context) (api.Log, error) {
	reader := s.Reader(s.Document.Source)
	defer func() { _ = reader.Close() }()
	info, err := look(ctx, reader, s.Document.Source)
	if err != nil && !info.Exists && !isWaiting(err) {
		return api.Log{}, err
	}
	log := api.Log{Entries: info.Length, History: info.History}
	if info.Length > 0 {
		log.FirstID, log.LastID = info.FirstID.String(), info.LastEntryID.String()
	}
	if log.History == "" {
		log.History = contract.HistoryUnknown
	}
	return log, nil
}
