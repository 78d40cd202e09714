package exit

import (
	"errors"
	"fmt"
)

// The exit codes.
const (
	CodeOK          = 0
	CodeSomeFailed  = 1 // some jobs or rows failed
	CodeUsage       = 2 // wrong usage or configuration
	CodeUnreachable = 3 // a required service could not be reached
	CodeWrite       = 4 // an output could not be written, such as on a full disk
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

// Errors of commands that have printed themselves what happened.
var (
	ErrSomeFailed = &Error{CodeSomeFailed, errors.New("some failed")}
	ErrNotWritten = &Error{CodeWrite, errors.New("an output could not be written")}
)

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

func (e wordedError) Error() string { return e.text }

func (e wordedError) Unwrap() error { return e.err }
