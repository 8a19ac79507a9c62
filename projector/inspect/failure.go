package inspect

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
	"github.com/refold-dev/refold/projector/inspect/api"
	"github.com/refold-dev/refold/projector/readmodel"
)

// failure is what is answered in place of what was asked for.
type failure struct {
	status          int
	reason, message string
}

func (f *failure) Error() string { return f.message }

func badRequest(format string, args ...any) error {
	return &failure{http.StatusBadRequest, api.ReasonBadRequest, fmt.Sprintf(format, args...)}
}

func notFound(reason, format string, args ...any) error {
	return &failure{http.StatusNotFound, reason, fmt.Sprintf(format, args...)}
}

func conflict(reason, format string, args ...any) error {
	return &failure{http.StatusConflict, reason, fmt.Sprintf(format, args...)}
}

// failureOf finds the words for any error.
func failureOf(err error, log *slog.Logger) *failure {
	var f *failure
	switch problem := fault.As(err); {
	case errors.As(err, &f):
		return f
	case problem != nil:
		return &failure{statusOf(problem), problem.Reason, wordsOf(problem)}
	case errors.Is(err, readmodel.ErrNoRevision):
		return &failure{http.StatusNotFound, api.ReasonNoRevision, err.Error()}
	case errors.Is(err, readmodel.ErrBadPlace):
		return &failure{http.StatusBadRequest, api.ReasonBadRequest, "after: " + err.Error() + ": give what a former page had as its next, or nothing to begin"}
	}
	log.Error("Could not answer", "error", err.Error())
	return &failure{http.StatusInternalServerError, api.ReasonInternal, "the projector failed; its log says why"}
}

// wordsOf says what happened and what to do.
func wordsOf(f *fault.Error) string {
	text := f.Message
	if f.EventID != "" {
		text = "event " + f.EventID + ": " + text
	}
	if f.Remedy != "" {
		text += "; " + strings.TrimSuffix(f.Remedy, ".")
	}
	return text
}

func statusOf(f *fault.Error) int {
	switch f.Reason {
	case contract.ReasonSourceMissing, contract.ReasonFromAfterEnd:
		return http.StatusNotFound
	case contract.ReasonEventFailed, contract.ReasonEventTooLarge, contract.ReasonHistoryLost, contract.ReasonSourceDiverged:
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

// isWaiting says that the log is not there yet.
func isWaiting(err error) bool {
	f := fault.As(err)
	return f != nil && (f.Reason == contract.ReasonSourceMissing || f.Reason == contract.ReasonFromAfterEnd)
}

// Refused answers everything with an error: for a contract that cannot be followed.
func Refused(err error, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		a := newAnswer(out, r, usualPatience)
		if refused := admit(r); refused != nil {
			a.fail(refused, log)
			return
		}
		a.fail(&failure{http.StatusServiceUnavailable, api.ReasonUnavailable, failureOf(err, log).message}, log)
	})
}
