package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	ExitDone    = 0
	ExitFailed  = 1
	ExitFinding = 2 // plan: it will replay; test: cases failed; lint: findings
	ExitUsage   = 3
)

// Error is what a command ends with: one line of what happened, where useful one
// of what to do, and the exit code. An Error without a message ends the program
// with its code and says nothing more.
type Error struct {
	Code    int
	Message string
	Hint    string
	Err     error // the cause, for errors.Is
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// Failf is an error that ends with exit code 1.
func Failf(format string, args ...any) *Error {
	return &Error{Code: ExitFailed, Message: fmt.Sprintf(format, args...)}
}

// Usagef is an error of how the command was called: exit code 3.
func Usagef(format string, args ...any) *Error {
	return &Error{Code: ExitUsage, Message: fmt.Sprintf(format, args...)}
}

// Finding ends with exit code 2; what was found has been printed.
func Finding() *Error { return &Error{Code: ExitFinding} }

// WithHint adds the line that says what to do.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Run executes a root, says on errOut what went wrong, and returns the exit code.
func Run(ctx context.Context, root *cobra.Command, errOut io.Writer) int {
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitDone
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		fmt.Fprintln(errOut, "error: interrupted")
		return ExitFailed
	}
	var told *Error
	if !errors.As(err, &told) {
		told = &Error{Code: ExitFailed, Message: err.Error()}
	}
	if told.Message != "" {
		fmt.Fprintln(errOut, "error: "+oneLine(told.Message))
	}
	if told.Hint != "" {
		for line := range strings.SplitSeq(told.Hint, "\n") {
			fmt.Fprintln(errOut, Safe(line))
		}
	}
	return told.Code
}

func oneLine(text string) string { return Safe(strings.Join(strings.Fields(text), " ")) }
