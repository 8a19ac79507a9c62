// Package fault is the one error type that tells an engine whether to try
// again and a person what to do. It classifies nothing by itself: whoever
// knows a server's errors builds the fault.
package fault

import (
	"errors"
	"fmt"
)

// Error is a fault with a reason, a remedy and a verdict. Reason is one of
// the contract's Reason constants. Message and Remedy hold no secret and no
// changing number.
type Error struct {
	Reason    string
	Message   string
	Remedy    string
	Permanent bool   // a person must act; else back off and try again
	EventID   string // the event that could not be folded, if it is about one
	Err       error  // the cause, for logs
}

func (e *Error) Error() string {
	if e.EventID != "" {
		return fmt.Sprintf("%s: event %s: %s", e.Reason, e.EventID, e.Message)
	}
	return fmt.Sprintf("%s: %s", e.Reason, e.Message)
}

func (e *Error) Unwrap() error { return e.Err }

// As returns the fault in err's chain, or nil.
func As(err error) *Error {
	var f *Error
	if errors.As(err, &f) {
		return f
	}
	return nil
}
