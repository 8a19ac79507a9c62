package inspect

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/refold-dev/refold/projector/inspect/api"
)

// progressEvery is how often a stream says how far it is, at most.
const progressEvery = 250 * time.Millisecond

// answer is one request and what is answered: an object, or a stream of lines. A
// status other than 200 is possible as long as nothing was written.
type answer struct {
	request *http.Request
	query   query

	out     http.ResponseWriter
	control *http.ResponseController
	buffer  *bufio.Writer
	encoder *json.Encoder
	begun   bool
	plain   bool // an object is wanted, and no progress
	lines   int64
	long    []long    // texts of the line that is being made
	inline  int       // bytes of its short ones
	nonce   string    // what marks of long texts begin with; nobody else knows it
	shown   time.Time // when the client was last sent something

	patience time.Duration
}

func newAnswer(out http.ResponseWriter, r *http.Request, patience time.Duration) *answer {
	a := &answer{patience: patience, request: r, query: queryOf(r.URL), out: out, nonce: rand.Text(), control: http.NewResponseController(out), shown: time.Now()}
	a.buffer = bufio.NewWriterSize(writer{a}, 32<<10)
	a.encoder = json.NewEncoder(a.buffer) // which escapes <, > and &
	return a
}

func (a *answer) ctx() context.Context { return a.request.Context() }

// writer waits for the client no longer than that has patience. An error of it
// ends the request: there is nobody to tell.
type writer struct{ *answer }

func (w writer) Write(p []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.patience)) // recorders of tests have none
	return w.out.Write(p)
}

// object answers with one JSON object.
func (a *answer) object(v any) error {
	a.begin("application/json", http.StatusOK)
	if err := a.encode(v); err != nil {
		return err
	}
	return a.buffer.Flush()
}

func (a *answer) begin(contentType string, status int) {
	if !a.begun {
		a.begun = true
		a.out.Header().Set("Content-Type", contentType)
		a.out.WriteHeader(status)
	}
}

// streams says whether the client wants lines where both are answered.
func (a *answer) streams() bool {
	return strings.Contains(a.request.Header.Get("Accept"), api.StreamType)
}

// line writes one line of a stream. It reaches the client soon.
func (a *answer) line(l api.Line) error {
	a.begin(api.StreamType, http.StatusOK)
	if l.Progress == nil && l.End == nil {
		a.lines++
	}
	if err := a.encode(l); err != nil {
		return err
	}
	if time.Since(a.shown) > progressEvery {
		return a.show()
	}
	return nil
}

// progress says how far a stream is, now and then.
func (a *answer) progress(p func() api.Progress) error {
	if a.plain || time.Since(a.shown) < progressEvery {
		return nil
	}
	return a.progressNow(p())
}

// progressNow says how far a stream is, and sends all that was written.
func (a *answer) progressNow(p api.Progress) error {
	if err := a.line(api.Line{Progress: &p}); err != nil {
		return err
	}
	return a.show()
}

// show sends what was written.
func (a *answer) show() error {
	a.shown = time.Now()
	if err := a.buffer.Flush(); err != nil {
		return err
	}
	return a.control.Flush()
}

// end ends a stream that went well.
func (a *answer) end(e api.End) error {
	e.Lines = a.lines
	if err := a.line(api.Line{End: &e}); err != nil {
		return err
	}
	return a.buffer.Flush()
}

// fail answers with an error: by the status, or where that is out by the last line.
func (a *answer) fail(err error, log *slog.Logger) {
	f := failureOf(err, log)
	if f.status == http.StatusTooManyRequests {
		a.out.Header().Set("Retry-After", "1")
	}
	a.begin("application/json", f.status)
	_ = a.encoder.Encode(api.Failure{Error: api.Error{Reason: f.reason, Message: f.message}}) // it may be gone
	_ = a.buffer.Flush()
}
