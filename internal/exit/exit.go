package exit

import (
	"errors"
	"fmt"
)

// The exit codes, which scripts rely on.
const (
	CodeOK          = 0
	CodeSomeFailed  = 1 // some jobs or rows failed
	CodeUsage       = 2 // wrong usage or configuration
	CodeUnreachable = 3 // what is needed could not be reached
	CodeWrite       = 4 // what was to be written could not be
)

// Error is an error with the exit code that it means.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Usagef is an error in what the user gave: arguments, settings, a file's form.
func Usagef(format string, args ...any) error {
	return &Error{CodeUsage, fmt.Errorf(format, args...)}
}

// Unreachablef is an error of what the program needs and could not reach.
func Unreachablef(format string, args ...any) error {
	return &Error{CodeUnreachable, fmt.Errorf(format, args...)}
}

// ErrSomeFailed ends a command that has said itself what failed.
var ErrSomeFailed = &Error{CodeSomeFailed, errors.New("some failed")}

// With gives an error an exit code.
func With(code int, err error) error { return &Error{code, err} }

// Worded is err under a text of its own.
func Worded(code int, text string, err error) error {
	return &Error{code, wordedError{text, err}}
}

type wordedError struct {
	text string
	err  error
}
